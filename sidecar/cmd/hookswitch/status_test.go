package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// TestStatusOfUnknown: unknown numbers are not shown as zero.
func TestStatusOfUnknown(t *testing.T) {
	var out bytes.Buffer
	s := adminapi.Status{Unready: "store", Plugins: []adminapi.PluginStatus{{Name: "crm", State: "ready"}}}
	s.Store.Error = "does not answer: the sidecar's log says why"
	printStatus(&out, newPalette(&cli.Command{Writer: &out}), s)
	for _, want := range []string{"not ready: store", "store      does not answer: the sidecar's log", "waiting and dead events are unknown", "crm"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	for _, not := range []string{"TARGET", "0 B", "nothing handles"} {
		if strings.Contains(out.String(), not) {
			t.Errorf("%q in:\n%s", not, &out)
		}
	}
}

// fullStatus has everything that a status can have, in long words.
func fullStatus() adminapi.Status {
	old := time.Now().Add(-50 * time.Hour)
	s := adminapi.Status{
		Version: "v1.22.333-rc.4", Unready: "disk failed: less than 100MiB are free", Dev: true, Uptime: 1e6,
		Webhooks: "https://webhooks.of-a-long-name.example.com:18080/telnyx/webhooks", Keys: []string{"production", "the-old-one", "dev"},
		Warnings: []string{"HOOKSWITCH_FORWARD_TO leads to this sidecar itself: every event would come back to it, and be forwarded again"},
		Ack:      adminapi.AckStatus{Rate: 1234.5, RejectedRate: 12.3, P50: 0.0123, P99: 1.234}, RejectedKept: 500,
		Paths: []string{"/telnyx/webhooks", "/other"}, Unhandled: 12345,
		Strays:  adminapi.StrayStatus{Count: 7, Path: "/" + strings.Repeat("long/", 20), At: &old},
		Targets: []adminapi.TargetStatus{{Target: "forward:default", Configured: true}, {Target: "plugin:" + strings.Repeat("name-", 8), Pending: 1234567, Retrying: 12345678, Dead: 1234, Oldest: &old}},
		Plugins: []adminapi.PluginStatus{{Name: "crm", Version: "1.2.3", State: "restarting", LastError: "exit status 2: panic: the database has gone away for good", LastErrorAt: &old}},
	}
	s.Store.Bytes, s.Store.DiskFree = 1<<40, 1<<41
	return s
}

// TestStatusFits: one screen of 24 lines and 80 columns; and less on a narrow one.
func TestStatusFits(t *testing.T) {
	for _, width := range []int{80, 60, 40} {
		var out bytes.Buffer
		printStatus(&sheet{&out, width}, newPalette(&cli.Command{Writer: &out}), fullStatus())
		text := out.String()
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			whole := !strings.Contains(strings.TrimSpace(line), " ") // such as a URL, which is not broken
			if n := utf8.RuneCountInString(line); n > width && !whole && !strings.Contains(line, "receives ") {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
		if n := strings.Count(text, "\n"); width == 80 && n > 28 {
			t.Errorf("%d lines:\n%s", n, text)
		}
		flat := strings.Join(strings.Fields(text), " ")
		for _, want := range []string{"not ready: disk failed", "12345 events that no target wanted", "gone: not configured any more", "2d2h ago: exit status 2", "leads to this sidecar itself", "7 requests to other paths"} {
			if !strings.Contains(flat, want) {
				t.Errorf("at %d columns there is no %q in:\n%s", width, want, text)
			}
		}
	}
}
