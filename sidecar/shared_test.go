package sidecar_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// Two sidecars share a database, and the plugin of one does not start. Its
// events are delivered by the other, and wait while that does not want any.
func TestPluginIsDownAtOneOfTwo(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	join := func(c *config.Config) { c.Store, c.DataDir, c.ForwardTo = url, t.TempDir(), "" }
	well := start(t, join) // the first, so that it is known which events the plugin wants
	sick := start(t, func(c *config.Config) {
		join(c)
		c.PluginDir = t.TempDir()
		if err := os.WriteFile(filepath.Join(c.PluginDir, "hookswitch-plugin-echo"), []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	})
	pending := func() int {
		status, text := sick.get("/api/v1/events?status=pending&limit=50")
		if status != http.StatusOK {
			t.Fatalf("events: %d %s", status, text)
		}
		return strings.Count(text, `"delivery_id"`)
	}
	for range 40 {
		sick.send("call.hangup", nil) // where nobody can take it
	}
	sick.eventually("delivery by the other", func() bool { return pending() == 0 })

	steer(t, well, "disable")
	for range 10 {
		sick.send("call.hangup", nil)
	}
	if n := pending(); n != 10 {
		t.Errorf("%d are pending while nobody can take them", n)
	}
	steer(t, well, "enable")
	sick.eventually("delivery after the plugin was enabled", func() bool { return pending() == 0 })
	// It says so after it has stored the result.
	well.eventually("50 deliveries by the other", func() bool { return len(well.log.with(`"msg":"delivered"`)) >= 50 })
	if n := len(well.log.with(`"msg":"delivered"`)); n != 50 {
		t.Errorf("%d were delivered by the other, want 50", n)
	}
}

// steer disables or enables the plugin.
func steer(t *testing.T, r *running, how string) {
	t.Helper()
	resp, err := http.Post(r.at.Admin+"/api/v1/plugins/echo/"+how, "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", how, resp.Status)
	}
}
