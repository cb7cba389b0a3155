//go:build unix

package pluginhost

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// write writes an executable of a test.
func write(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode))
	check(t, os.Chmod(filepath.Join(dir, name), mode))
}

// A file that cannot be a plugin fails alone, at the start and while the host
// runs, and is in the list.
func TestMisfitFailsAlone(t *testing.T) {
	s := newSetup(t, func(c *Config) {
		c.Watch = true
		write(t, c.Dir, "notes (1)", 0o755)
		write(t, c.Dir, "good.bak", 0o755)
		plugins.PutBinary(t, filepath.Join(c.Dir, "hookswitch-plugin-good")) // the same under both spellings
	})
	s.timings.stable, s.timings.lookAgain, s.timings.goneGrace = 50*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	s.start(t)
	works := func(when string) {
		t.Helper()
		if a := deliver(t, s.plugin(t, "good"), task(1, "ack")); a.Outcome != delivery.OutcomeDone {
			t.Errorf("%s: got %+v", when, a)
		}
	}
	works("at the start")
	misfits := func() (names []string) {
		for _, st := range s.Status() {
			if st.Misfit {
				if st.State != StateFailed || st.LastError == "" || st.File == "" {
					t.Errorf("status %+v", st)
				}
				names = append(names, st.Name)
			}
		}
		return names
	}
	if got := misfits(); !slices.Equal(got, []string{"notes (1)"}) {
		t.Errorf("listed: %q", got)
	}
	pid := s.plugin(t, "good").Status().PID
	write(t, s.dir, "good~", 0o755)
	plugins.PutBinary(t, filepath.Join(s.dir, "good")) // the second spelling, with another time
	check(t, os.Chtimes(filepath.Join(s.dir, "good~"), time.Now(), time.Now()))
	s.log.wait(t, 1, "ERROR a file of the plugin directory cannot be a plugin", "good~", "code=plugin-directory")
	s.log.wait(t, 1, "ERROR a file of the plugin directory cannot be a plugin", s.dir+"/good ", "second plugin good")
	works("with another spelling")
	if now := s.plugin(t, "good").Status(); now.PID != pid || now.File != filepath.Join(s.dir, "hookswitch-plugin-good") {
		t.Errorf("the other spelling took over: %+v", now)
	}
	if got := misfits(); !slices.Equal(got, []string{"good", "good~", "notes (1)"}) {
		t.Errorf("listed: %q", got)
	}
	if n := len(s.Plugins()); n != 1 {
		t.Errorf("%d plugins", n)
	}
	// The other spelling takes its place, and not twice.
	check(t, os.Remove(filepath.Join(s.dir, "hookswitch-plugin-good")))
	awaitStatus(t, s.plugin(t, "good"), "renamed", func(st Status) bool { return st.File == filepath.Join(s.dir, "good") })
	works("renamed")
	s.Stop()
	// It is the one that runs after the next start.
	plugins.PutBinary(t, filepath.Join(s.dir, "hookswitch-plugin-good"))
	again, err := New(s.cfg)
	check(t, err)
	if st := again.Status(); len(again.Plugins()) != 1 || len(st) != 4 || again.Plugins()[0].file.Path != filepath.Join(s.dir, "good") {
		t.Errorf("after a restart: %+v", st)
	}
	var said []string
	for _, line := range s.log.all { // it has stopped
		if strings.Contains(line, "cannot be a plugin") {
			said = append(said, line)
		}
	}
	if len(said) != 6 { // each of three, and again at the second start
		t.Errorf("it was said %d times:\n%s", len(said), strings.Join(said, "\n"))
	}
}

// A copy of a program under another name is not run beside it, whichever starts
// first; when the first is gone it is.
func TestCopyOfAPluginIsRefused(t *testing.T) {
	for _, kind := range []string{"exec", "jsonl"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			put := func(dir, name string) {
				if kind == "exec" {
					plugins.PutBinary(t, filepath.Join(dir, name)) // the same under each name
					return
				}
				check(t, os.WriteFile(filepath.Join(dir, name+catalog.ManifestSuffix), []byte(`{"protocol":"jsonl","command":["sh","-c","cat >/dev/null"],"events":["*"]}`), 0o644))
			}
			s := newSetup(t, func(c *Config) {
				c.Watch = true
				put(c.Dir, "twin")
				put(c.Dir, "twin-copy")
			})
			s.timings.stable, s.timings.lookAgain, s.timings.goneGrace = 50*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
			s.launch.Timings.Settle = 50 * time.Millisecond
			s.start(t)
			ready := func(st Status) bool { return st.State == StateReady }
			awaitStatus(t, s.plugin(t, "twin"), "the first", ready)
			st := awaitStatus(t, s.plugin(t, "twin-copy"), "the copy", func(st Status) bool { return st.State == StateFailed })
			if !strings.Contains(st.LastError, "it is the same program as the plugin twin ("+s.dir+"/twin") || !strings.Contains(st.LastError, "remove one of them") {
				t.Errorf("status %+v", st)
			}
			if kind == "exec" { // with settings of its own it is there on purpose
				put(s.dir, "twin-eu")
				check(t, os.WriteFile(filepath.Join(s.dir, "twin-eu.json"), []byte(`{"region":"eu"}`), 0o600))
				s.log.wait(t, 1, "plugin is ready", "plugin=twin-eu")
				check(t, os.Remove(filepath.Join(s.dir, "twin-eu")))
				s.log.wait(t, 1, "plugin stopped", "plugin=twin-eu")
			}
			// One that is disabled is in nobody's way.
			check(t, s.SetEnabled(t.Context(), "twin", false))
			awaitStatus(t, s.plugin(t, "twin-copy"), "the copy, while the first is disabled", ready)
			check(t, s.SetEnabled(t.Context(), "twin-copy", false))
			check(t, s.SetEnabled(t.Context(), "twin", true))
			if err := s.SetEnabled(t.Context(), "twin-copy", true); err == nil || !strings.Contains(err.Error(), "it is the same program as the plugin twin (") {
				t.Errorf("enabled again: %v", err)
			}
			suffix := map[string]string{"jsonl": catalog.ManifestSuffix}[kind]
			check(t, os.Remove(filepath.Join(s.dir, "twin"+suffix)))
			awaitStatus(t, s.plugin(t, "twin-copy"), "the copy, alone", ready)
		})
	}
}

// A plugin that rewrites its own file is not started again each time, and leaves
// no more copies than are kept of any.
func TestPluginThatRewritesItself(t *testing.T) {
	s := newSetup(t, func(c *Config) { c.Watch = true }, "good")
	s.timings.stable, s.timings.lookAgain = 10*time.Millisecond, 5*time.Millisecond
	s.timings.changePause = time.Hour
	s.start(t)
	p := s.plugin(t, "good")
	program, err := os.ReadFile(filepath.Join(s.dir, "good"))
	check(t, err)
	rewrite := func(n int) {
		temp := filepath.Join(s.dir, "good.tmp")
		check(t, os.WriteFile(temp, append(bytes.Clone(program), byte(n)), 0o755))
		check(t, os.Rename(temp, filepath.Join(s.dir, "good")))
	}
	for n := 1; n <= freeChanges; n++ {
		rewrite(n)
		s.log.wait(t, 1+n, "INFO plugin is ready")
	}
	rewrite(freeChanges + 1)
	s.log.wait(t, 1, "WARN", "code=plugin-unsettled", "plugin=good")
	awaitStatus(t, p, "copies are removed", func(Status) bool {
		entries, err := os.ReadDir(s.cfg.StateDir)
		check(t, err)
		copies := slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !isDigest(e.Name()) })
		return len(copies) == versionsKept
	})
	if st := p.Status(); st.Reloads != freeChanges {
		t.Errorf("%d reloads", st.Reloads)
	}
	// An operator need not wait.
	check(t, s.Reload(t.Context(), "good"))
	if st := p.Status(); st.Reloads != freeChanges+1 {
		t.Errorf("%d reloads after one that was asked for", st.Reloads)
	}
}

func TestChangeLimiter(t *testing.T) {
	var b changeLimiter
	now := time.Now()
	for n := range freeChanges {
		if wait := b.wait(now, time.Minute); wait != 0 {
			t.Errorf("change %d waits for %v", n+1, wait)
		}
	}
	if wait := b.wait(now, time.Minute); wait != time.Minute {
		t.Errorf("one too many waits for %v", wait)
	}
	passed := 0
	for range 600 { // ten minutes
		now = now.Add(time.Second)
		if b.wait(now, time.Minute) == 0 {
			passed++
		}
	}
	if passed != 10 {
		t.Errorf("%d changes in ten minutes", passed)
	}
	if wait := b.wait(now.Add(time.Hour), time.Minute); wait != 0 {
		t.Errorf("after an hour of peace it waits for %v", wait)
	}
}

// That changes wait is said once for as long as they do not cease, and again when
// that begins anew.
func TestChangesThatWaitAreTold(t *testing.T) {
	s := newSetup(t, func(c *Config) { write(t, c.Dir, "restless", 0o755) })
	p := s.plugin(t, "restless")
	w := &watcher{h: s.Host, known: map[string]*sighting{"restless": {plugin: p}}}
	pause, now := s.timings.changePause, time.Now()
	look := func() time.Duration {
		now = now.Add(s.timings.stable)
		return w.found(p.file, now)
	}
	change := func() time.Duration {
		check(t, os.Chtimes(p.file.Path, now, now))
		look()
		return look()
	}
	told := func() (n int) {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		for _, line := range s.log.all {
			if strings.Contains(line, "code=plugin-unsettled") {
				n++
			}
		}
		return n
	}
	for round := 1; round <= 2; round++ {
		for n := range freeChanges {
			if wait := change(); wait != 0 || told() != round-1 {
				t.Fatalf("round %d, change %d: it waits for %v, told %d times", round, n+1, wait, told())
			}
		}
		for n := range 3 { // each waits, and comes through
			if wait := change(); wait == 0 || look() == 0 || told() != round {
				t.Errorf("round %d, change %d too many: it waits for %v, told %d times", round, n+1, wait, told())
			}
			now = now.Add(pause)
			if wait := look(); wait != 0 {
				t.Errorf("round %d: after a pause it waits for %v", round, wait)
			}
		}
		now = now.Add(freeChanges * 2 * pause)
	}
}

// A start that is cancelled after it has made its claim leaves the claim of the
// running process, or none: others are compared with that.
func TestCancelledStartClaimsNothing(t *testing.T) {
	s := startSetup(t, nil, "good")
	p := s.plugin(t, "good")
	p.mu.Lock()
	current := p.ready
	p.mu.Unlock()
	claimed := func() claim {
		s.mu.Lock()
		defer s.mu.Unlock()
		return p.claim
	}
	runs := claimed()
	if runs == (claim{}) {
		t.Fatal("what runs claims nothing")
	}
	for _, tt := range []struct {
		name    string
		current *running
		want    claim
	}{{"beside one that runs", current, runs}, {"alone", nil, claim{}}} {
		proc, err := s.launch.Start(t.Context(), current.build, p.log)
		check(t, err)
		next := *current.build
		next.SettingsDigest = "others"
		check(t, s.claim(t.Context(), p, &next, proc.About))
		late := order{gen: p.orders.get().gen - 1}
		(&supervisor{h: s.Host, p: p, log: p.log, current: tt.current}).started(late, outcome{build: &next, proc: proc})
		if got := claimed(); got != tt.want {
			t.Errorf("%s: it claims %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
