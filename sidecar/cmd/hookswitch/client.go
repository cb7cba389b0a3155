package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// client talks to the admin API of a running sidecar.
type client struct {
	name  string // its address, for people
	http  *http.Client
	base  string
	token string
	gone  error // no sidecar was found: the error of every request
}

// globalFlags returns the flags of every command: which sidecar is meant, and how
// its answers look.
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "addr", Usage: "`ADDRESS` of the sidecar: unix:///path or http://host:port", DefaultText: "the one running on HOOKSWITCH_STORE, or the latest \"hookswitch dev\""},
		&cli.StringFlag{Name: "token-file", Usage: "`FILE` with the admin token, for http addresses", DefaultText: "HOOKSWITCH_ADMIN_TOKEN"},
		&cli.StringSliceFlag{Name: "env-file", TakesFile: true, Usage: "read unset variables from `FILE`: lines of NAME=VALUE"},
		&cli.BoolFlag{Name: "utc", Usage: "show times in UTC, not in the zone of this machine", Action: func(_ context.Context, _ *cli.Command, on bool) error {
			if on {
				time.Local = time.UTC // of this process, before it shows any
			}
			return nil
		}},
		&cli.BoolFlag{Name: "no-color", Usage: "no colours; also honours NO_COLOR and FORCE_COLOR"},
	}
}

// connect returns a client of the sidecar that the flags name, or of the one
// running on this data directory.
func connect(c *cli.Command) (*client, error) {
	find := sidecarDir
	addr := c.String("addr")
	if addr != "" {
		find = dataDir
	}
	cfg, dir, err := find(c)
	if err != nil {
		return nil, err
	}
	if addr == "" {
		here, err := instance.Find(dir)
		switch {
		case err == nil:
			addr = "unix://" + here.Socket
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		default:
			if addr = cmp.Or(serviceAddr(&cfg), adminAddr(c, &cfg)); addr == "" {
				return nil, &exitError{exitUnreachable, notFound(dir)}
			}
		}
	}
	token := string(cfg.AdminToken)
	if file := c.String("token-file"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		if volume := strings.TrimPrefix(path, "/"); filepath.VolumeName(volume) != "" {
			path = volume // unix:///C:/… on Windows
		}
		return &client{name: addr, http: &http.Client{Transport: overSocket(path)}, base: "http://hookswitch"}, nil
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError("--addr: write it like http://127.0.0.1:9080 or unix:///run/hookswitch/admin.sock")
	}
	return &client{name: u.Redacted(), http: new(http.Client), base: strings.TrimSuffix(addr, "/"), token: token}, nil
}

// overSocket connects to a socket, whatever the URL.
func overSocket(path string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
}

// notFound returns the error that no sidecar is found by its data directory. One
// whose directory was moved away may well be running.
func notFound(dir string) error {
	if other := runningDev(); other != "" {
		return fmt.Errorf("no sidecar runs on %s, but one of \"hookswitch dev\" on %s: set HOOKSWITCH_STORE=file:%s, or go to its directory", dir, other, other)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data directory %s does not exist: start a sidecar, move the directory back if it was moved away, set HOOKSWITCH_STORE as the sidecar does, or give --addr", dir)
	}
	return fmt.Errorf("no sidecar runs on %s: start one, set HOOKSWITCH_STORE as it does, or give --addr", dir)
}

// serviceSocket is the admin socket of the service that packages install.
const serviceSocket = "/run/hookswitch/admin.sock"

// serviceAddr returns the address of a sidecar that does not run on this data
// directory: that in HOOKSWITCH_ADMIN_SOCKET, or the service of this machine. Both
// are only open to their own user and to root.
func serviceAddr(cfg *config.Config) string {
	for _, path := range []string{cfg.AdminSocket, serviceSocket} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return "unix://" + path
		}
	}
	return ""
}

// do sends a request and returns the answer, whose body the caller closes. An
// answer that is a problem is an error.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	return c.send(ctx, method, path, query, body, nil)
}

// send is do with headers.
func (c *client) send(ctx context.Context, method, path string, query url.Values, body any, header http.Header) (*http.Response, error) {
	if c.gone != nil {
		return nil, c.gone
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	target := c.base + "/api/v1" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if errors.Is(err, context.Canceled) {
		return nil, errInterrupted
	}
	if err != nil {
		return nil, &exitError{exitUnreachable, fmt.Errorf("the sidecar does not answer: %w", err)}
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var p adminapi.Problem
	if json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&p) != nil || p.Detail == "" {
		return nil, fmt.Errorf("the sidecar answered %s: is this really hookswitch?", res.Status)
	}
	if res.StatusCode == http.StatusNotFound {
		return nil, &exitError{exitNothing, &p}
	}
	if res.StatusCode == http.StatusBadRequest || strings.HasSuffix(p.Type, ":unknown-target") {
		return nil, &exitError{exitUsage, &p}
	}
	return nil, &p
}

// get reads the answer to a GET into v.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, v)
}

// call sends a request and reads the answer into v.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, v any) error {
	res, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		return fmt.Errorf("the sidecar's answer cannot be read: %w", err)
	}
	return nil
}

// clock shows a time of today to the second, and others with their date to the minute.
func clock(t *time.Time) string {
	switch {
	case t == nil:
		return "–"
	case time.Since(*t).Abs() < 20*time.Hour:
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04")
}

// action is what a command does with a running sidecar.
type action func(context.Context, *cli.Command, *client) error

// command returns a command whose action has a client.
func command(name, usage, args string, flags []cli.Flag, do action) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: args,
		Flags: flags,
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := checkTyped(c); err != nil {
				return err
			}
			api, err := connect(c)
			if ee, ok := errors.AsType[*exitError](err); ok && ee.code == exitUnreachable {
				api, err = &client{gone: err}, nil // what else is wrong with the command line is said first
			}
			if err != nil {
				return err
			}
			return inFlags(c, do(ctx, c, api))
		},
	}
}

var errNothing = &exitError{exitNothing, errors.New("no event matches")}
