package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar"
)

func triggerCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "trigger",
		Usage:     "sign a sample event with the development key and send it",
		ArgsUsage: "EVENT",
		Description: "Sends it to the sidecar that runs on this data directory (\"hookswitch dev\").\n" +
			"Each event has a new id and the present time, unless they are set.\n" +
			"A path is relative to \"data\": --set payload.text=hi --set id=…\n" +
			"The samples: " + strings.Join(event.Samples(), ", "),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "set", Usage: "change one field: `PATH=VALUE`, repeatable"},
			&cli.StringFlag{Name: "from", Usage: "send the body in `FILE`, byte for byte unless --set is given"},
			&cli.StringFlag{Name: "to", Usage: "send it to `URL`, such as a receiver of your own"},
		},
		// Values may contain commas.
		DisableSliceFlagSeparator: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			return trigger(ctx, c, stdout)
		},
	}
}

func trigger(ctx context.Context, c *cli.Command, stdout io.Writer) error {
	body, contentType, err := triggerBody(c)
	if err != nil {
		return err
	}
	_, dir, err := dataDir()
	if err != nil {
		return err
	}
	key, err := sidecar.LoadKey(dir, sidecar.DevKey)
	if err != nil {
		return err
	}
	here, findErr := sidecar.FindInstance(dir)
	to := c.String("to")
	if to == "" {
		if to = "http://localhost:8080/webhooks"; findErr == nil {
			to = here.Webhooks
		}
	}
	if u, err := url.Parse(to); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError("--to %q is not a URL: write it like http://localhost:8080/webhooks", to)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp, signature := webhook.Sign(key, time.Now(), body)
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "hookswitch-trigger/"+version)

	e := webhook.Decode(contentType, body)
	fmt.Fprintf(stdout, "→ POST %s   %s, %d bytes, signed with the development key\n", to, typeName(e.Type), len(body))
	client := &http.Client{
		Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // Telnyx takes a redirect for a failure
		},
	}
	start := time.Now()
	res, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return &exitError{exitUnreachable, fmt.Errorf("nothing listens at %s: start \"hookswitch dev\" in another terminal, or name your receiver with --to", to)}
	}
	if err != nil {
		return &exitError{exitUnreachable, err}
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only shown
	fmt.Fprintf(stdout, "← %d in %s   event %s\n", res.StatusCode, roundDuration(time.Since(start)), e.ID)
	if res.StatusCode != http.StatusOK {
		hint := ""
		if res.StatusCode == http.StatusUnauthorized {
			hint = "\nthe receiver must accept the development key: \"hookswitch dev\" does, and \"hookswitch keys dev --export\" prints it for a receiver of your own"
		}
		return fmt.Errorf("not accepted: %s%s", bytes.TrimSpace(answer), hint)
	}
	if findErr == nil && to == here.Webhooks && e.ID != "" {
		fmt.Fprintf(stdout, "  its record, once delivered:  curl -H 'Authorization: Bearer x' %s/v2/webhook_deliveries/%s\n", here.Admin, e.ID)
	}
	return nil
}

// triggerBody returns what to send: a file, or a sample that is made new.
func triggerBody(c *cli.Command) (body []byte, contentType string, err error) {
	contentType = "application/json"
	changes := c.StringSlice("set")
	if file := c.String("from"); file != "" {
		if c.Args().Present() {
			return nil, "", usageError("trigger: give EVENT or --from, not both")
		}
		if body, err = os.ReadFile(file); err != nil {
			return nil, "", err
		}
		if filepath.Ext(file) == ".form" {
			contentType = "application/x-www-form-urlencoded"
		}
		if len(changes) == 0 {
			return body, contentType, nil
		}
		body, err = setFields(body, changes)
		return body, contentType, err
	}
	name := c.Args().First()
	if c.Args().Len() != 1 {
		return nil, "", usageError("trigger: name one event, such as message.received; there are: %s", strings.Join(event.Samples(), ", "))
	}
	body, ok := event.Sample(name)
	if !ok {
		return nil, "", usageError("trigger: there is no sample for %q; there are: %s. Send a body of your own with --from FILE", name, strings.Join(event.Samples(), ", "))
	}
	fresh := []string{
		"data.id=" + uuid.NewString(),
		"data.occurred_at=" + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	body, err = setFields(body, slices.Concat(fresh, changes))
	return body, contentType, err
}

// setFields changes fields of a JSON body and prints it as Telnyx does: names
// in alphabetical order, indented by two.
func setFields(body []byte, changes []string) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // big integers stay exact
	var root map[string]any
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("--set needs a JSON object to change: %w", err)
	}
	for _, change := range changes {
		path, value, found := strings.Cut(change, "=")
		if !found || path == "" {
			return nil, usageError("--set %q: write it as PATH=VALUE", change)
		}
		if err := setField(root, strings.Split(path, "."), value); err != nil {
			return nil, usageError("--set %s: %w", path, err)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// setField follows path into root. A path that does not begin with a member
// of root is relative to "data". Objects on the way are made if need be.
func setField(root map[string]any, path []string, value string) error {
	at := root
	if data, ok := root["data"].(map[string]any); ok {
		if _, top := root[path[0]]; !top {
			at = data
		}
	}
	var here any = at
	for i, name := range path {
		last := i == len(path)-1
		switch node := here.(type) {
		case map[string]any:
			if last {
				node[name] = fieldValue(node[name], value)
				return nil
			}
			if node[name] == nil {
				node[name] = map[string]any{}
			}
			here = node[name]
		case []any:
			var index int
			if _, err := fmt.Sscanf(name, "%d", &index); err != nil || index < 0 || index >= len(node) {
				return fmt.Errorf("%q is no index of an array of %d", name, len(node))
			}
			if last {
				node[index] = fieldValue(node[index], value)
				return nil
			}
			here = node[index]
		default:
			return fmt.Errorf("%q is inside a plain value", name)
		}
	}
	return nil
}

// fieldValue reads a value as JSON where it is JSON, so that numbers, true
// and null can be set; but text that replaces text stays text.
func fieldValue(old any, value string) any {
	if _, isText := old.(string); isText {
		return value
	}
	decoder := json.NewDecoder(strings.NewReader(value))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		return value
	}
	return v
}
