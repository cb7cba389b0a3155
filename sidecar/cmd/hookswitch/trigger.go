package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

func triggerCommand() *cli.Command {
	return &cli.Command{
		Name:      "trigger",
		Usage:     "sign a sample event with the development key and send it",
		ArgsUsage: "EVENT",
		Description: "Sends it to the sidecar running on this data directory (\"hookswitch dev\"), or to\n" +
			"that of --addr, or to the receiver --to.\n" +
			"Each event has a new id and the current time, unless --set says otherwise. The path\n" +
			"of a field is relative to \"data\".",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "list", Usage: "list the events that have samples"},
			&cli.StringSliceFlag{Name: "set", Usage: "change one field: `PATH=VALUE`, repeatable"},
			&cli.StringFlag{Name: "from", Usage: "send the body in `FILE`, byte for byte unless --set is given"},
			&cli.StringFlag{Name: "to", Usage: "send it to `URL`, such as a receiver of your own"},
			&cli.IntFlag{Name: "count", Value: 1, Usage: "send `N` events, each with its own id unless the body is fixed"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORM`: text or json"},
			&cli.StringFlag{Name: "rate", Usage: "send at most `N/s`"},
			&cli.StringFlag{Name: "tamper", Usage: "break one `PART` (body, signature, timestamp or key) and expect a refusal"},
		},
		// Values may contain commas.
		DisableSliceFlagSeparator: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Bool("list") {
				if c.Args().Present() {
					return usageError("trigger: --list takes no argument %q", c.Args().First())
				}
				fmt.Fprintln(c.Writer, strings.Join(event.Samples(), "\n"))
				return nil
			}
			return trigger(ctx, c)
		},
	}
}

func trigger(ctx context.Context, c *cli.Command) error {
	v := &volley{tamper: c.String("tamper"), count: c.Int("count"), out: c.Writer, notes: c.ErrWriter}
	var err error
	if v.rate, err = rate(c); err != nil {
		return err
	}
	form, err := outputForm(c, "text", "json")
	if err != nil {
		return err
	}
	v.json = form == "json"
	switch {
	case v.count < 1:
		return usageError("--count: give a number of 1 or more")
	case v.tamper != "" && !slices.Contains(tampers, v.tamper):
		return usageError("--tamper: %s", meant(v.tamper, tampers, "use "+strings.Join(tampers, ", ")))
	}
	// Each event is new, with its own id.
	v.next = func() ([]byte, *webhook.Event, string, error) {
		body, contentType, err := triggerBody(c)
		if err != nil {
			return nil, nil, "", err
		}
		return body, webhook.Decode(contentType, body), contentType, nil
	}
	if _, _, _, err := v.next(); err != nil {
		return err // before anything is made or sent
	}
	if name := c.Args().First(); name != "" {
		if hint := spelling.EventType(name); hint != "" {
			fmt.Fprintf(v.notes, "a sample of %s\n", hint)
		}
	}
	dir, err := v.aim(ctx, c)
	if err != nil {
		return err
	}
	if v.key, err = loadKey(c, dir, keyfile.Dev, func() (ed25519.PrivateKey, error) { return keyfile.Load(dir, keyfile.Dev) }); err != nil {
		return err
	}
	here, findErr := instance.Find(dir)
	if v.to == "" {
		if v.to = "http://localhost:8080/webhooks"; findErr == nil {
			v.to = here.Webhooks
		}
	}
	if v.count > 1 || v.json {
		return v.many(ctx)
	}
	e, err := v.one(ctx)
	if err != nil || e == nil {
		return err
	}
	if findErr == nil && v.to == here.Webhooks && e.ID != "" {
		fmt.Fprintf(c.Writer, "  its record, once delivered:  curl -H 'Authorization: Bearer x' %s/v2/webhook_deliveries/%s\n", here.Admin, e.ID)
	}
	return nil
}

// aim decides where the events go, and returns the data directory whose key signs
// them.
func (v *volley) aim(ctx context.Context, c *cli.Command) (dir string, err error) {
	to, addr := c.String("to"), c.String("addr")
	switch {
	case to != "" && addr != "":
		return "", usageError("trigger: give --to for a receiver, or --addr for a sidecar, not both")
	case to != "":
		v.to = appURL(to)
		err = checkURL("to", v.to, "http://localhost:8080/webhooks")
	case addr != "":
		return v.aimAt(ctx, c, addr)
	}
	if err == nil {
		_, dir, err = sidecarDir(c)
	}
	return dir, err
}

// aimAt is aim for the sidecar that --addr names. Its data directory is known if it
// is on this machine.
func (v *volley) aimAt(ctx context.Context, c *cli.Command, addr string) (dir string, err error) {
	api, err := connect(c)
	if err != nil {
		return "", err
	}
	var s adminapi.Status
	if err := api.get(ctx, "/status", nil, &s); err != nil {
		return "", err
	}
	v.to = s.Webhooks
	if there, err := url.Parse(addr); err == nil && there.Hostname() != "" && !net.ParseIP(there.Hostname()).IsLoopback() {
		// The sidecar says where it receives in the words of its own machine.
		if u, err := url.Parse(s.Webhooks); err == nil && u.Hostname() == "localhost" {
			u.Host = net.JoinHostPort(there.Hostname(), u.Port())
			v.to = u.String()
		}
	}
	if _, dir, err = dataDir(c); err != nil {
		return "", err
	}
	for _, other := range instance.Latest() {
		if here, err := instance.Find(other); err == nil && ("unix://"+here.Socket == addr || here.Admin == strings.TrimSuffix(addr, "/")) {
			dir = other
		}
	}
	return dir, nil
}

// triggerBody returns the body to send: a file, or a fresh sample.
func triggerBody(c *cli.Command) (body []byte, contentType string, err error) {
	name := ""
	switch {
	case c.String("from") != "" && c.Args().Present():
		return nil, "", usageError("trigger: give EVENT or --from, not both")
	case c.String("from") != "":
	case c.Args().Len() != 1:
		return nil, "", usageError("trigger: name one event, such as message.received; \"hookswitch trigger --list\" shows them all")
	default:
		name = c.Args().First()
	}
	return eventBody(name, c.String("from"), c.StringSlice("set"))
}

// eventBody returns the body of an event: a file, byte for byte unless there are
// settings, or a fresh sample of that name.
func eventBody(name, file string, settings []string) (body []byte, contentType string, err error) {
	changes, err := parseChanges(settings)
	if err != nil {
		return nil, "", err
	}
	if file != "" {
		if body, err = os.ReadFile(file); err != nil {
			return nil, "", err
		}
		contentType = "application/json"
		if filepath.Ext(file) == ".form" {
			contentType = "application/x-www-form-urlencoded"
		}
		if len(changes) == 0 {
			return body, contentType, nil
		}
	} else {
		var ok bool
		if body, ok = event.Sample(name); !ok {
			return nil, "", noSample(name)
		}
		contentType = event.SampleContentType(name)
		changes = slices.Concat(fresh(contentType, body), changes)
	}
	if body, err = event.Edit(body, contentType, changes...); err != nil {
		return nil, "", usageError("--set: %w", err)
	}
	return body, contentType, nil
}

func parseChanges(settings []string) ([]event.Change, error) {
	var changes []event.Change
	for _, s := range settings {
		path, value, found := strings.Cut(s, "=")
		if !found || path == "" {
			return nil, usageError("--set %q: write it as PATH=VALUE", s)
		}
		changes = append(changes, event.Change{Path: path, Value: event.Literal(value)})
	}
	return changes, nil
}

// fresh makes a sample a new event: with its own id, or it would be a duplicate,
// and the current time, where it has such fields.
func fresh(contentType string, body []byte) []event.Change {
	id, now := uuid.NewString(), time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	if contentType != "application/json" {
		return []event.Change{{Path: "CallSid", Value: "v3:" + id}, {Path: "Timestamp", Value: now}}
	}
	var sample struct {
		Data map[string]any `json:"data"`
		Top  map[string]any `json:"-"`
	}
	_ = json.Unmarshal(body, &sample) // our own sample
	_ = json.Unmarshal(body, &sample.Top)
	var changes []event.Change
	for prefix, object := range map[string]map[string]any{"": sample.Top, "data.": sample.Data} {
		for name, value := range map[string]string{"id": id, "webhook_id": id, "message_id": id, "occurred_at": now, "created_at": now} {
			if _, has := object[name].(string); has {
				changes = append(changes, event.Change{Path: prefix + name, Value: value})
			}
		}
	}
	return changes
}

// noSample suggests other events.
func noSample(name string) error {
	if use, wrong := event.Misnomer(name); wrong {
		if use == "" {
			return usageError("Telnyx never sends %q, and nothing is known to come in its place; \"hookswitch trigger --list\" shows what it sends", name)
		}
		return usageError("Telnyx never sends %q: use %q", name, use)
	}
	meant := ""
	if guess := spelling.MeantType(name); guess != "" && !strings.HasSuffix(name, "*") { // a pattern has no sample
		meant = fmt.Sprintf(": did you mean %q?", guess)
	}
	product, _, _ := strings.Cut(name, ".")
	var near []string
	for _, s := range event.Samples() {
		if strings.HasPrefix(s, product+".") {
			near = append(near, s)
		}
	}
	if len(near) > 0 {
		return usageError("there is no sample for %q%s; for %s there are: %s. Send a body of your own with --from FILE", name, meant, product, strings.Join(near, ", "))
	}
	return usageError("there is no sample for %q%s; \"hookswitch trigger --list\" shows them all. Send a body of your own with --from FILE", name, meant)
}
