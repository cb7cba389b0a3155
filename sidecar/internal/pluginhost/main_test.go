//go:build unix

package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// The test binary is also the plugins: under the name of one of them, which a
// symbolic link in a plugin directory gives it, it is that plugin. So the
// processes in these tests are real.
func TestMain(m *testing.M) {
	if plugins.Main(map[string]func(){hostProgram: hostMain, "same": same}) {
		return
	}
	// A program with the race detector sleeps for a second before it exits,
	// unless it is told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

// soon bounds every wait of a test. It is long because nothing but a failure
// waits for it.
const soon = 10 * time.Second

// Error codes that package link writes into records, and its limit for reading.
const (
	codeTimeout = 75000
	codeLost    = 75002
	codeFail    = 75499
	codeRetry   = 75599

	crashRetry = 50 * time.Millisecond
	retryMax   = 366 * 24 * time.Hour

	resultMax = 256 << 10 // bytes of a line
)

// setup is a host for a test, with the directory that it reads and what it
// logs.
type setup struct {
	*Host
	dir string
	log *recorder
}

// newSetup makes a host whose plugin directory has the named programs. edit may
// change the configuration, and the limits by the host.
func newSetup(t testing.TB, edit func(*Config), names ...string) *setup {
	t.Helper()
	s := &setup{dir: t.TempDir(), log: newRecorder(t)}
	for _, name := range names {
		plugins.Put(t, filepath.Join(s.dir, name))
	}
	cfg := Config{Dir: s.dir, RunDir: shortDir(t), StateDir: t.TempDir(),
		Log: slog.New(s.log), Env: []string{"GORACE"}, Environ: os.Environ()}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	if s.Host, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	s.timings.crashMax = 1000 // many tests let plugins crash, quickly
	s.timings.hold = 6 * soon // and deliver again themselves, as no dispatcher is there to do it
	t.Cleanup(s.Stop)
	return s
}

// startSetup is newSetup and Start.
func startSetup(t testing.TB, edit func(*Config), names ...string) *setup {
	t.Helper()
	s := newSetup(t, edit, names...)
	s.start(t)
	return s
}

func (s *setup) start(t testing.TB) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func fileDigest(path string) (string, error) {
	text, err := os.ReadFile(path)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// shortDir returns a directory whose path is short enough for sockets, which
// that of t.TempDir is not.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// plugin returns the only plugin, or the one of that name.
func (s *setup) plugin(t testing.TB, name string) *Plugin {
	t.Helper()
	for _, p := range s.Plugins() {
		if p.Name() == "plugin:"+name {
			return p
		}
	}
	t.Fatalf("no plugin %q", name)
	return nil
}

// task returns a task whose event tells the test's plugin what to do.
func task(id int64, do string) delivery.Task {
	now := time.Now()
	return delivery.Task{
		Job: delivery.Job{ID: id, Target: "plugin:good"},
		Event: &delivery.Event{
			ID:         fmt.Sprintf("event-%d", id),
			Type:       "test." + do,
			DeliveryID: fmt.Sprintf("delivery-%d", id),
			ReceivedAt: now,
			Header:     [][2]string{{"Content-Type", "application/json"}, {"X-Bytes", "\xff"}},
			Body:       fmt.Appendf(nil, `{"data":{"event_type":"test.%s","id":"event-%d","payload":{}}}`, do, id),
			SignedAt:   now.Add(-1500 * time.Millisecond),
			KeyLabel:   "main",
		},
	}
}

// deliver delivers and expects no error.
func deliver(t testing.TB, p *Plugin, task delivery.Task) delivery.Attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	a, err := p.Deliver(ctx, task)
	if err != nil {
		t.Errorf("Deliver: %v (status %+v)", err, p.Status())
	}
	return a
}

// recorder is a slog.Handler that keeps what is logged and lets tests wait for
// it, which is how they know what a process has done.
type recorder struct {
	t     testing.TB
	attrs []slog.Attr
	*records
}

type records struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed and replaced at every record
}

func newRecorder(t testing.TB) *recorder {
	r := &recorder{t: t, records: &records{more: make(chan struct{})}}
	t.Cleanup(func() {
		if t.Failed() {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, line := range r.all {
				t.Logf("log: %.800s", line)
			}
		}
	})
	return r
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &recorder{t: r.t, attrs: slices.Concat(r.attrs, attrs), records: r.records}
}

func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Level.String() + " " + rec.Message
	for _, a := range r.attrs {
		line += " " + a.String()
	}
	rec.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, line)
	close(r.more)
	r.more = make(chan struct{})
	return nil
}

// wait waits until n records contain all of the texts, and returns the last of
// them.
func (r *recorder) wait(t *testing.T, n int, texts ...string) string {
	t.Helper()
	timeout := time.After(soon)
	for {
		r.mu.Lock()
		found := slices.DeleteFunc(slices.Clone(r.all), func(line string) bool {
			return slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
		})
		more := r.more
		r.mu.Unlock()
		if len(found) >= n {
			return found[n-1]
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("the log has %d of %d records with %q", len(found), n, texts)
		}
	}
}

// lifetime returns a FIFO that plugins open while they live, and a function
// that waits until all that have opened it are gone.
func lifetime(t *testing.T) (path string, waitGone func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Read and write, so that opening does not block and there is no end of
	// file before the first plugin; the write side is closed by waitGone.
	keep, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keep.Close(); reader.Close() })
	return path, func() {
		t.Helper()
		keep.Close()
		if err := reader.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			t.Errorf("a plugin process is still there: %v", err)
		}
	}
}
