package sidecar_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// TestReadinessFollowsAccepts: a sidecar whose accepts fail is not ready, also
// if only events like theirs fail, and says so before anybody asks; and it is
// ready again when an accept would work.
func TestReadinessFollowsAccepts(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (change func(text string), edit func(*config.Config), all, some, end string){
		"sqlite": func(t *testing.T) (func(string), func(*config.Config), string, string, string) {
			dir := t.TempDir()
			change := func(text string) {
				t.Helper()
				db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "events.db")+"?_pragma=busy_timeout(10000)")
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.Exec(text); err != nil {
					t.Fatal(err)
				}
			}
			return change, func(c *config.Config) { c.Store = "file:" + dir },
				`CREATE TRIGGER bad BEFORE INSERT ON jobs BEGIN SELECT RAISE(FAIL, 'no insert'); END`,
				`CREATE TRIGGER bad BEFORE INSERT ON events WHEN NEW.type = 'fax.received' BEGIN SELECT RAISE(FAIL, 'no insert'); END`,
				`DROP TRIGGER bad`
		},
		"postgres": func(t *testing.T) (func(string), func(*config.Config), string, string, string) {
			server := pgtest.Start(t)
			database := server.Database(t)
			const function = `CREATE OR REPLACE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE insufficient_privilege; END $$; `
			return func(text string) { t.Helper(); server.Exec(t, database, text) },
				func(c *config.Config) { c.Store, c.DataDir = database, t.TempDir() },
				function + `CREATE TRIGGER bad BEFORE INSERT ON hookswitch_jobs FOR EACH ROW EXECUTE FUNCTION bad()`,
				function + `CREATE TRIGGER bad BEFORE INSERT ON hookswitch_events FOR EACH ROW WHEN (NEW.type = 'fax.received') EXECUTE FUNCTION bad()`,
				`DO $$ BEGIN DROP TRIGGER IF EXISTS bad ON hookswitch_jobs; DROP TRIGGER IF EXISTS bad ON hookswitch_events; END $$`
		},
	} {
		t.Run(name, func(t *testing.T) {
			change, edit, all, some, end := open(t)
			r := start(t, func(c *config.Config) { edit(c); c.PluginDir = "" })
			r.send("fax.received", nil)
			fax := func(n int) int {
				return r.post(fmt.Appendf(nil, `{"data":{"event_type":"fax.received","id":"fax-%d","record_type":"event","payload":{}}}`, n), nil)
			}
			ready := func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK }

			change(all) // noticed without a webhook
			r.eventually("not ready while nothing is accepted", func() bool { return !ready() })
			change(end)
			r.eventually("ready again", ready)
			before := len(r.log.with(`"code":"unhealthy"`))

			change(some)
			n := 0
			r.eventually("a fax is refused", func() bool { // after some that SQLite's journal took
				n++
				return fax(n) == http.StatusServiceUnavailable
			})
			for range 4 {
				n++
				if status := fax(n); status != http.StatusServiceUnavailable {
					t.Fatalf("a fax that cannot be stored was answered %d", status)
				}
			}
			r.eventually("unhealthy, though nobody has asked", func() bool { return len(r.log.with(`"code":"unhealthy"`)) > before })
			if ready() {
				t.Error("ready, though no fax is accepted and nothing else was sent")
			}
			change(end)
			r.eventually("ready again", ready)
			for n := range n + 1 { // whether it was answered 200 before or not
				if status := fax(n); status != http.StatusOK {
					t.Errorf("fax %d was answered %d", n, status)
				}
			}
		})
	}
}

// TestDataDirectoryIsRemoved: a sidecar whose data directory was removed answers
// no webhook 200, is not ready, and says why. It stays alive for the service
// manager, and goes on when the same directory is moved back.
func TestDataDirectoryIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	r := start(t, func(c *config.Config) {
		c.Store, c.PluginDir = "file:"+dir, ""
		c.Systemd.NotifySocket, c.Systemd.WatchdogUsec = path, "400000"
	})
	r.send("fax.received", nil)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	const body = `{"data":{"event_type":"fax.received","id":"fax-1","record_type":"event","payload":{}}}`
	if status := r.post([]byte(body), nil); status != http.StatusServiceUnavailable {
		t.Errorf("an event was answered %d", status)
	}
	r.eventually("an error with its code", func() bool {
		lines := r.log.with(`"code":"data-replaced"`)
		return len(lines) == 1 && strings.Contains(lines[0], `"level":"ERROR"`)
	})
	if status, text := r.get("/readyz?verbose"); status != http.StatusServiceUnavailable || !strings.Contains(text, "[-] data: failed") {
		t.Errorf("readiness: %d %s", status, text)
	}
	// It does not make a directory of that name, which would be in the way.
	r.eventually("a word about the socket", func() bool { return len(r.log.with("the data directory is gone")) == 1 })
	if _, err := os.Stat(dir); err == nil {
		t.Error("the data directory was made again")
	}
	for signs, text := 0, make([]byte, 4096); signs < 16; { // more than a socket keeps of those before
		if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		signs += strings.Count(string(text[:n]), "WATCHDOG=1")
	}
	if err := os.Rename(dir+".old", dir); err != nil {
		t.Fatal(err)
	}
	r.eventually("ready again", func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK })
	if status := r.post([]byte(body), nil); status != http.StatusOK {
		t.Errorf("an event was answered %d", status)
	}
}

// TestAnotherTakesTheDirectory: of two sidecars of which one has the directory
// and the other had it, commands find the first, also when the second ends.
func TestAnotherTakesTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	edit := func(c *config.Config) { c.Store, c.PluginDir = "file:"+dir, "" }
	before := start(t, edit)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	now := start(t, edit)
	before.eventually("that it has lost its place", func() bool { return len(before.log.with("run.json is that of another sidecar")) == 1 })
	before.stop()
	if here, err := instance.Find(dir); err != nil || here != now.at {
		t.Errorf("commands find %+v (%v), want %+v", here, err, now.at)
	}
	if said := now.log.with(`"code":"file-restored"`); len(said) != 0 {
		t.Errorf("its files were taken away: %s", said)
	}
}

// TestFilesAreRestored: what others need to find this sidecar is made again when
// somebody removes it; of a key that is gone it warns.
func TestFilesAreRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, func(c *config.Config) { c.Store, c.PluginDir = "file:"+dir, "" })
	for _, path := range []string{r.at.Socket, filepath.Join(dir, "run.json"), filepath.Join(dir, "lock"), filepath.Join(dir, keyfile.Forward)} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.at.Socket)
	}}}
	r.eventually("the socket", func() bool {
		resp, err := client.Get("http://hookswitch/livez")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	r.eventually("run.json", func() bool {
		here, err := instance.Find(dir)
		return err == nil && here == r.at
	})
	r.eventually("the lock", func() bool { _, err := os.Stat(filepath.Join(dir, "lock")); return err == nil })
	r.eventually("warnings", func() bool {
		return len(r.log.with(`"code":"file-restored"`)) == 3 && len(r.log.with(`"code":"key-replaced"`)) == 1
	})
	if err := os.WriteFile(filepath.Join(dir, keyfile.Forward), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.eventually("a warning of another key", func() bool { return len(r.log.with("holds another key")) == 1 })
	r.stop()
	if _, err := os.Stat(r.at.Socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// TestStatusWithoutStore: whoever asks how a sidecar is doing hears what is known
// of it while the store does not answer.
func TestStatusWithoutStore(t *testing.T) {
	server := pgtest.Start(t)
	r := start(t, func(c *config.Config) { c.Store, c.DataDir = server.Database(t), t.TempDir() })
	r.send("fax.received", nil)
	read := func() (s adminapi.Status) {
		t.Helper()
		status, text := r.get("/api/v1/status")
		if status != http.StatusOK {
			t.Fatalf("status: %d %s", status, text)
		}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := read(); s.Store.Error != "" || s.Store.Bytes == 0 || len(s.Targets) == 0 {
		t.Errorf("with a store: %+v", s)
	}
	server.Kill()
	r.eventually("what is known without a store", func() bool {
		s := read()
		return !s.Ready && strings.Contains(s.Unready, "store") && strings.Contains(s.Store.Error, "does not answer") &&
			len(s.Targets) == 0 && len(s.Plugins) == 1 && s.Webhooks != ""
	})
	if !strings.Contains(r.log.String(), "could not be asked what waits") {
		t.Error("the log does not say why")
	}
	server.Run(t)
	r.eventually("all of it again", func() bool { s := read(); return s.Ready && s.Store.Error == "" && len(s.Targets) > 0 })
}
