package adminapi_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

// TestMain lets the test binary be a plugin, so that the host of these tests is
// a real one.
func TestMain(m *testing.M) {
	if os.Getenv("HOOKSWITCH_PLUGIN") != "" {
		var mux webhook.Mux
		mux.Handle("message.*", func(context.Context, *webhook.Event) error { return nil })
		sdk.Plugin{Version: "1.2.3", Mux: &mux}.Serve()
		return
	}
	os.Exit(m.Run())
}

// newPlugins returns a host that runs a plugin "echo".
func newPlugins(t *testing.T) *pluginhost.Host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run, err := os.MkdirTemp("/tmp", "hs") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	dir := t.TempDir()
	if err := os.Link(self, filepath.Join(dir, "hookswitch-plugin-echo")); err != nil {
		t.Fatal(err)
	}
	host, err := pluginhost.New(pluginhost.Config{Dir: dir, RunDir: run, StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Stop)
	if err := host.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return host
}

func testPlugins(t *testing.T, f *fixture) {
	list := decode[struct{ Data []adminapi.Plugin }](t, f.call(t, "GET", "/api/v1/plugins", "", 200)).Data
	if len(list) != 1 || list[0].State != "ready" || list[0].Events[0] != "message.*" || list[0].PID == 0 {
		t.Errorf("plugins %+v", list)
	}
	for _, name := range []string{"echo", "plugin:echo"} {
		if p := decode[adminapi.Plugin](t, f.call(t, "GET", "/api/v1/plugins/"+name, "", 200)); p.Version != "1.2.3" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	old := list[0].PID
	if p := decode[adminapi.Plugin](t, f.call(t, "POST", "/api/v1/plugins/echo/reload", "", 200)); p.PID == old || p.Reloads != 1 || p.State != "ready" {
		t.Errorf("reloaded: %+v", p)
	}
	if p := decode[adminapi.Plugin](t, f.call(t, "POST", "/api/v1/plugins/echo/disable", "", 200)); p.State != "disabled" || p.Enabled || p.PID != 0 {
		t.Errorf("disabled: %+v", p)
	}
	if p := decode[adminapi.Plugin](t, f.call(t, "POST", "/api/v1/plugins/echo/enable", "", 200)); p.State != "ready" || !p.Enabled {
		t.Errorf("enabled: %+v", p)
	}
	if body := f.call(t, "POST", "/api/v1/plugins/echo/rollback", "", 409); !strings.Contains(string(body), "no older program") {
		t.Errorf("nothing to go back to: %s", body)
	}
	f.call(t, "GET", "/api/v1/plugins/echo/logs?lines=x", "", 400)
	if body := f.call(t, "GET", "/api/v1/plugins/echo/logs?lines=5", "", 200); !strings.Contains(string(body), `"message":"plugin is ready"`) {
		t.Errorf("logs: %s", body)
	}
	// Another program in the place of the file, and back.
	path := list[0].File
	program, err := os.ReadFile(path)
	if err == nil {
		err = os.Rename(path, path+".old.tmp")
	}
	if err == nil {
		err = os.WriteFile(path, append(program, "another"...), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	next := decode[adminapi.Plugin](t, f.call(t, "POST", "/api/v1/plugins/echo/reload", "", 200))
	if next.Digest == list[0].Digest {
		t.Errorf("reloaded the same: %+v", next)
	}
	if p := decode[adminapi.Plugin](t, f.call(t, "POST", "/api/v1/plugins/echo/rollback", "", 200)); p.Digest == next.Digest || !p.Rollback {
		t.Errorf("rolled back: %+v", p)
	}
}
