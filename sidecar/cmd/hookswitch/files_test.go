package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestIdleConnectionsToOtherListeners: with few open files allowed, thousands of
// connections to the admin port, to the port of metrics and to the socket leave
// the port of webhooks open, and all that a sidecar is asked is answered.
func TestIdleConnectionsToOtherListeners(t *testing.T) {
	app := newCountingApp(t)
	env, key := home(t)
	env = append(env, "HOOKSWITCH_FORWARD_TO="+app.URL, "HOOKSWITCH_METRICS_LISTEN=127.0.0.1:0")
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := program(t, env)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `ulimit -n 400; exec hookswitch run`}
	cmd.Stdout, cmd.Stderr = log, log
	r := startCommand(t, env, key, cmd)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	host := func(url string) string { return strings.Split(strings.TrimPrefix(url, "http://"), "/")[0] }
	for range 600 {
		for _, to := range [][2]string{
			{"tcp", host(r.here.Admin)}, {"tcp", host(r.here.Metrics)}, {"tcp", host(r.here.Webhooks)}, {"unix", r.here.Socket},
		} {
			c, err := net.DialTimeout(to[0], to[1], patience)
			if errors.Is(err, syscall.EAGAIN) {
				continue // the backlog of a socket is full: it is taken as fast as it can
			}
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range 5 {
		if status, took := r.send(t, client); status != http.StatusOK {
			t.Fatalf("event %d: %d after %v", i, status, took)
		}
	}
	poll(t, func() error {
		if n := app.requests.Load(); n != 5 {
			return fmt.Errorf("the app has got %d events of 5", n)
		}
		return nil
	})
	if text, err := r.get("/readyz?verbose"); err != nil || !strings.Contains(text, "[+] files: ok") || !strings.Contains(text, "[!] files: the limit of open files is 400") {
		t.Errorf("readiness, %v: %s", err, text)
	}
	if out, err := program(t, env, "status").CombinedOutput(); err != nil {
		t.Errorf("status, %v: %s", err, out)
	}
	res, err := client.Get(r.here.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, listener := range []string{"webhooks", "admin", "socket", "metrics"} {
		_, rest, found := strings.Cut(string(page), `hookswitch_connections_closed_total{listener="`+listener+`"} `)
		number, _, _ := strings.Cut(rest, "\n")
		if n, err := strconv.ParseFloat(number, 64); !found || err != nil || n < 300 {
			t.Errorf("%s: %q connections were closed", listener, number)
		}
	}
	r.stop(t, syscall.SIGTERM)
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "code=files-few") || strings.Contains(string(text), "code=files-exhausted") {
		t.Errorf("the log:\n%s", text)
	}
	if n := strings.Count(string(text), "code=connections-full"); n > 200 {
		t.Errorf("%d lines about thousands of connections", n)
	}
}
