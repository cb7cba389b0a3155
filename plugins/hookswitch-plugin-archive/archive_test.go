package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventIsKeptWithItsFacts(t *testing.T) {
	a := open(t, t.TempDir(), 1<<20)
	var mux webhook.Mux
	mux.Handle("*", a.handle)
	host := sdktest.New(t, &mux)
	bodies := []string{
		`{"data":{"event_type":"message.received","id":"7B0E2A9A-7d8e-4d4e-9d5c-0f5a2a7a1f10","occurred_at":"date-time","payload":{"text":"<&>"}}}`,
		"CallSid=v3%3Aabc&CallStatus=ringing",
		"{\"broken\": \xff\n",
		"",
	}
	for _, body := range bodies {
		res := host.DeliverEvent(sdktest.Event{Body: []byte(body), Header: http.Header{"X-Two": {"1", "2"}}, Attempt: 2})
		if res.Outcome != webhook.Done {
			t.Fatalf("body %q: %v", body, res)
		}
	}
	got := records(t, a.dir)
	if len(got) != len(bodies) {
		t.Fatalf("%d records of %d", len(got), len(bodies))
	}
	for i, r := range got {
		if string(r.Body) != bodies[i] {
			t.Errorf("body %q became %q", bodies[i], r.Body)
		}
		if r.Key == "" || r.Attempt != 2 || r.ReceivedAt == nil || r.Signature.KeyLabel != "test" || len(r.Headers["X-Two"]) != 2 {
			t.Errorf("record %+v, signature %+v", r, r.Signature)
		}
	}
	if r := got[0]; r.ID != "7B0E2A9A-7d8e-4d4e-9d5c-0f5a2a7a1f10" || r.Type != "message.received" || r.OccurredAt != "date-time" {
		t.Errorf("record %+v", r)
	}
	text, err := os.ReadFile(filepath.Join(a.dir, activeName))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(a.dir, activeName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v: messages are nobody else's business", err, info.Mode())
	}
	if !strings.HasSuffix(string(text), "}\n") {
		t.Errorf("the file ends in %q", text[len(text)-10:])
	}
}

func TestConcurrentLinesAreAllThereAndShareSyncs(t *testing.T) {
	a, disk := faulty(t, 1<<20)
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := a.append(context.Background(), fmt.Appendf(nil, "{\"key\":\"%d-%d\"}\n", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	keys := make(map[string]int)
	for _, r := range records(t, a.dir) {
		keys[r.Key]++
	}
	if len(keys) != writers*each {
		t.Errorf("%d different lines of %d", len(keys), writers*each)
	}
	if n := strings.Count(disk.trace(), "sync"); n == 0 || n > writers*each {
		t.Errorf("%d syncs for %d lines", n, writers*each)
	}
}

func TestLineIsSyncedBeforeItIsAcknowledged(t *testing.T) {
	a, disk := faulty(t, 1<<20)
	for i := range 3 {
		must(t, a.append(t.Context(), []byte("{}\n")))
		disk.note(fmt.Sprint("ack", i))
	}
	want := "open write sync ack0 write sync ack1 write sync ack2"
	if got := disk.trace(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLinesQueuedDuringASyncShareTheNextOne(t *testing.T) {
	a, disk := faulty(t, 1<<20)
	entered, proceed := make(chan struct{}), make(chan struct{})
	disk.onSync = func() {
		disk.onSync = nil
		close(entered)
		<-proceed
	}
	var wg sync.WaitGroup
	wg.Go(func() { must(t, a.append(t.Context(), []byte("{}\n"))) })
	<-entered
	for range 5 {
		wg.Go(func() { must(t, a.append(t.Context(), []byte("{}\n"))) })
	}
	for len(a.queue) < 5 { // until all of them have queued up
		runtime.Gosched()
	}
	close(proceed)
	wg.Wait()
	if got, want := disk.trace(), "open write sync write sync"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Every write is tried lost, and landed but reported lost. Either way the event
// is not acknowledged, and its second attempt is.
func TestFailures(t *testing.T) {
	broken := errors.New("input/output error")
	tests := []struct {
		name  string
		fault fault
		lines int // complete lines in all files in the end
		torn  int // others
		files int
	}{
		{"a write is lost", fault{op: "write"}, 2, 0, 1},
		{"half of a write lands", fault{op: "write", lands: 4}, 2, 1, 1},
		{"a write lands and is reported lost", fault{op: "write", lands: 1000}, 3, 0, 1},
		{"a sync fails, and its file gets nothing more", fault{op: "sync"}, 3, 0, 2},
		{"the file cannot be opened again", fault{op: "write", alsoOpen: true}, 2, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, disk := faulty(t, 1<<20)
			must(t, a.append(t.Context(), []byte(`{"key":"one"}`+"\n")))
			tt.fault.err = broken
			disk.set(&tt.fault)
			two := []byte(`{"key":"two"}` + "\n")
			if err := a.append(t.Context(), two); !errors.Is(err, broken) {
				t.Errorf("got %v, want %v", err, broken)
			}
			if tt.fault.alsoOpen {
				if err := a.append(t.Context(), two); !errors.Is(err, broken) {
					t.Errorf("while the file cannot be opened: got %v", err)
				}
			}
			disk.set(nil)
			must(t, a.append(t.Context(), two))
			lines, torn := 0, 0
			names := files(t, a.dir)
			for _, name := range names {
				for _, text := range split(t, filepath.Join(a.dir, name)) {
					if json.Valid([]byte(text)) {
						lines++
					} else {
						torn++
					}
				}
			}
			if lines != tt.lines || torn != tt.torn || len(names) != tt.files {
				t.Errorf("%d lines, %d torn, files %q; want %d, %d, %d files", lines, torn, names, tt.lines, tt.torn, tt.files)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, 100)
	text := []byte(`{"key":"` + strings.Repeat("x", 28) + `"}` + "\n") // 39 bytes
	for range 5 {
		must(t, a.append(t.Context(), text))
	}
	long := []byte(`{"key":"` + strings.Repeat("y", 200) + `"}` + "\n")
	must(t, a.append(t.Context(), long)) // more than a file may have
	must(t, a.append(t.Context(), text))
	must(t, a.close())

	// A file that was full already is rotated on the next start.
	a = open(t, dir, 39)
	must(t, a.append(t.Context(), text))

	var sizes []int
	for _, name := range files(t, dir) {
		sizes = append(sizes, len(split(t, filepath.Join(dir, name))))
		if name != activeName && (!strings.HasPrefix(name, "events-2") || !strings.HasSuffix(name, "Z.jsonl")) {
			t.Errorf("a rotated file is named %q", name)
		}
	}
	if want := []int{2, 2, 1, 1, 1, 1}; !slices.Equal(sizes, want) {
		t.Errorf("the files, oldest first, have %d lines, want %d", sizes, want)
	}
	if got := len(records(t, dir)); got != 8 {
		t.Errorf("%d lines in all, want 8", got)
	}
}

func TestTornLineIsEndedOnStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, activeName)
	if err := os.WriteFile(path, []byte(`{"key":"a"}`+"\n"+`{"key":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir, 1<<20)
	must(t, a.append(t.Context(), []byte(`{"key":"b"}`+"\n")))
	must(t, a.close())
	open(t, dir, 1<<20) // nothing to end now
	want := []string{`{"key":"a"}`, `{"key":"to`, `{"key":"b"}`}
	if got := split(t, path); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestClosedArchiveSaysSo(t *testing.T) {
	a := open(t, t.TempDir(), 1<<20)
	must(t, a.close())
	if err := a.append(t.Context(), []byte("{}\n")); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openArchive(filepath.Join(file, "sub"), 1); err == nil || !strings.HasPrefix(err.Error(), "archive: make the directory: ") {
		t.Errorf("got %v", err)
	}
}

func TestParseSize(t *testing.T) {
	tests := []struct {
		text string
		want int64
	}{
		{"64MiB", 64 << 20}, {"1GiB", 1 << 30}, {"10 KiB", 10 << 10}, {"5B", 5}, {"1024", 1024},
		{"", 0}, {"0", 0}, {"-1MiB", 0}, {"64MB", 0}, {"1.5GiB", 0}, {"9223372036854775807KiB", 0},
	}
	for _, tt := range tests {
		if got, err := parseSize(tt.text); got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%q: got %d, %v; want %d", tt.text, got, err, tt.want)
		}
	}
}
