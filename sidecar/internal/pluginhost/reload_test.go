//go:build unix

package pluginhost

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// version puts a program of its own digest somewhere: that of plugins.Put, with
// something appended.
func version(t testing.TB, path, tag string) {
	t.Helper()
	name := "good" // unless the file has the name of another
	if filepath.Base(path) == "unary" {
		name = "unary"
	}
	check(t, os.WriteFile(path, append(plugins.Script(t, name), "version "+tag...), 0o755))
}

// reloadSetup is a host that watches its directory and is quick about it, with
// a plugin of version 0 that is called all the time.
type reloadSetup struct {
	*setup
	p      *Plugin
	path   string
	stop   func()
	events atomic.Int64 // that were delivered
}

func startReload(t *testing.T, limit func(*timings)) *reloadSetup {
	t.Helper()
	r := new(reloadSetup)
	r.setup = newSetup(t, func(c *Config) {
		c.Watch = true
		version(t, filepath.Join(c.Dir, "good"), "0")
	})
	r.path = filepath.Join(r.dir, "good")
	r.timings.stable = 100 * time.Millisecond
	r.timings.lookAgain = 20 * time.Millisecond
	r.timings.changePause = time.Millisecond // tests change a plugin more often than people do
	if limit != nil {
		limit(&r.timings)
	}
	r.start(t)
	r.p = r.plugin(t, "good")
	r.load(t)
	return r
}

// load delivers events by eight callers until stop, or the end of the test. Each
// has to be done at the first attempt.
func (r *reloadSetup) load(t *testing.T) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for caller := range 8 {
		wg.Go(func() {
			for i := int64(0); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				a := deliver(t, r.p, task(int64(caller)<<32|i, "ack"))
				if a.Outcome != delivery.OutcomeDone {
					t.Errorf("failed: %+v", a)
					return
				}
				r.events.Add(1)
			}
		})
	}
	r.stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(r.stop) // before the host's
}

// await waits until the plugin is as it should be.
func (r *reloadSetup) await(t *testing.T, what string, ok func(Status) bool) Status {
	t.Helper()
	return awaitStatus(t, r.p, what, ok)
}

func awaitStatus(t *testing.T, p *Plugin, what string, ok func(Status) bool) Status {
	t.Helper()
	deadline := time.Now().Add(3 * soon)
	for {
		st := p.Status()
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: status %+v", what, st)
		}
		time.Sleep(5 * time.Millisecond) // a poll: states have no other way to be seen
	}
}

// versionsKept is how many programs of each plugin the catalog keeps.
const versionsKept = 3

// isDigest reports whether a name is that of a private copy.
func isDigest(name string) bool { return len(name) == 2*sha256.Size }

func TestTenSwapsUnderLoad(t *testing.T) {
	r := startReload(t, nil)
	next := filepath.Join(t.TempDir(), "next")
	for n := 1; n <= 10; n++ {
		version(t, next, string(rune('0'+n)))
		if err := os.Rename(next, r.path); err != nil {
			t.Fatal(err)
		}
		r.await(t, "a swap", func(s Status) bool { return s.Reloads == n })
	}
	r.stop()
	st := r.p.Status()
	if st.Reloads != 10 || st.Restarts != 0 || st.Update != nil || st.Crashed != 0 {
		t.Errorf("status %+v", st)
	}
	t.Logf("%d events through 10 swaps, none failed", r.events.Load())
	r.Stop() // then what it remembers is written
	kept := 0
	for _, name := range ls(t, r.cfg.StateDir) {
		if isDigest(name) {
			kept++
		}
	}
	var recorded map[string]struct{ Versions []struct{ Digest string } }
	text, err := os.ReadFile(filepath.Join(r.cfg.StateDir, "plugins.json"))
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	check(t, err)
	if versions := recorded["good"].Versions; len(versions) != versionsKept || versions[2].Digest != st.Digest {
		t.Errorf("kept %+v, %d copies", versions, kept)
	}
}

// Whatever way the file takes, it is one swap, and no call notices.
func TestWaysToReplace(t *testing.T) {
	ways := []struct {
		name string
		do   func(t *testing.T, r *reloadSetup)
	}{
		{"copied over", func(t *testing.T, r *reloadSetup) { version(t, r.path, "1") }},
		{"renamed over", func(t *testing.T, r *reloadSetup) {
			next := filepath.Join(r.dir, ".next")
			version(t, next, "1")
			check(t, os.Rename(next, r.path))
		}},
		{"removed and created, as install does", func(t *testing.T, r *reloadSetup) {
			check(t, os.Remove(r.path))
			version(t, r.path, "1")
			check(t, os.Chmod(r.path, 0o755))
		}},
		{"another directory in its place", func(t *testing.T, r *reloadSetup) {
			check(t, os.RemoveAll(r.dir))
			r.log.wait(t, 1, "plugin file is gone")
			check(t, os.Mkdir(r.dir, 0o755))
			version(t, r.path, "1")
		}},
		{"a slow copy", func(t *testing.T, r *reloadSetup) {
			next := filepath.Join(t.TempDir(), "next")
			version(t, next, "1")
			text, err := os.ReadFile(next)
			check(t, err)
			f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_TRUNC, 0)
			check(t, err)
			for part := range 4 {
				size := (len(text) + 3) / 4
				_, err := f.Write(text[part*size : min(len(text), (part+1)*size)])
				check(t, err)
				r.log.wait(t, part+1, "plugin file is open for writing") // that alone tells that it is not complete
			}
			if st := r.p.Status(); st.Reloads != 0 || st.Update != nil {
				t.Errorf("started before it was complete: %+v", st)
			}
			check(t, f.Close())
		}},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			r := startReload(t, nil)
			way.do(t, r)
			r.await(t, "the swap", func(s Status) bool { return s.Reloads > 0 })
			// Another swap, if there is going to be one, comes before a plugin
			// that is put there now.
			version(t, filepath.Join(r.dir, "unary"), "1")
			r.log.wait(t, 1, "plugin is ready", "plugin=unary")
			r.stop()
			if st := r.p.Status(); st.Reloads != 1 || st.Restarts != 0 || st.Update != nil || len(r.Plugins()) != 2 {
				t.Errorf("status %+v", st)
			}
		})
	}
	t.Run("a link that is turned", func(t *testing.T) {
		r := new(reloadSetup)
		r.setup = newSetup(t, func(c *Config) {
			c.Watch = true
			check(t, os.Mkdir(filepath.Join(c.Dir, "releases"), 0o755))
			for _, v := range []string{"1", "2"} {
				version(t, filepath.Join(c.Dir, "releases", v), v)
			}
			check(t, os.Symlink("releases/1", filepath.Join(c.Dir, "good")))
		})
		r.timings.stable, r.timings.lookAgain = 100*time.Millisecond, 20*time.Millisecond
		r.start(t)
		r.p = r.plugin(t, "good")
		r.load(t)
		check(t, os.Symlink("releases/2", filepath.Join(r.dir, ".next")))
		check(t, os.Rename(filepath.Join(r.dir, ".next"), filepath.Join(r.dir, "good")))
		r.await(t, "the swap", func(s Status) bool { return s.Reloads > 0 })
		// The system's notices of the directory do not cover the target of the
		// link.
		version(t, filepath.Join(r.dir, "releases", "2"), "3")
		r.await(t, "the swap behind the link", func(s Status) bool { return s.Reloads > 1 })
		r.stop()
		if st := r.p.Status(); st.Reloads != 2 || st.Restarts != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUpdateThatFailsKeepsTheOld(t *testing.T) {
	exe, err := os.Executable()
	check(t, err)
	program, err := os.ReadFile(exe)
	check(t, err)
	foreign := append([]byte{}, program...)
	copy(foreign[18:20], "\xff\x00") // another machine in the header of the ELF file
	for _, tt := range []struct {
		name, reason string
		content      []byte
	}{
		{"empty", "is empty", nil},
		{"a text", "exec format error", []byte("this is no program\n")},
		{"truncated", "no handshake", program[:len(program)/3]},
		{"of another machine", "exec format error", foreign},
		{"exits", "exit status 3", []byte("#!/bin/sh\necho no database >&2\nexit 3\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			r := startReload(t, nil)
			old := r.p.Status()
			check(t, os.WriteFile(r.path, tt.content, 0o755))
			st := r.await(t, "the failed update", func(s Status) bool { return s.Update != nil })
			if !strings.Contains(st.Update.Reason, tt.reason) && !(tt.name == "truncated" && strings.Contains(st.Update.Reason, "exec format error")) {
				t.Errorf("reason %q, want %q", st.Update.Reason, tt.reason)
			}
			if st.PID != old.PID || st.State != StateReady || st.Digest != old.Digest {
				t.Errorf("status %+v, was %+v", st, old)
			}
			// Mended, it is taken.
			version(t, r.path, "mended")
			r.await(t, "the update", func(s Status) bool { return s.Reloads == 1 && s.Update == nil })
			r.stop()
		})
	}
}

// TestRelativeStateDir: copies are found although plugins work elsewhere.
func TestRelativeStateDir(t *testing.T) {
	t.Chdir(t.TempDir())
	s := startSetup(t, func(c *Config) { c.StateDir, c.WorkDir = "state", t.TempDir() }, "good")
	if st := s.plugin(t, "good").Status(); st.State != StateReady {
		t.Errorf("status %+v", st)
	}
}
