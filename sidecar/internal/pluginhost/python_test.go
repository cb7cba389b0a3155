//go:build unix

package pluginhost

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// TestPythonExample runs examples/python as it is, with the machine's Python.
func TestPythonExample(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3:", err)
	}
	work := t.TempDir()
	example := filepath.Join("..", "..", "..", "examples", "python")
	s := startSetup(t, func(c *Config) {
		c.WorkDir = work
		c.StartTimeout = 3 * soon // an interpreter starts slowly on a busy machine
		for _, name := range []string{"optout.plugin.json", "optout.py"} {
			text, err := os.ReadFile(filepath.Join(example, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.Dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
	p := s.plugin(t, "optout")
	if st := p.Status(); st.State != StateReady || st.Version != "1.0.0" {
		t.Fatalf("status %+v", st)
	}
	const text = `{"data":{"payload":{"text":%q,"from":{"phone_number":"+15550100002"},"to":[{"phone_number":"+15550100001"}]}}}`
	message := func(id, at, words string) delivery.Task {
		work := task(1, "message")
		work.Event.ID, work.Event.Key, work.Event.OccurredAt = id, "id:"+id, at
		work.Event.Body = fmt.Appendf(nil, text, words)
		return work
	}
	tests := []struct{ name, id, at, words, want string }{
		{"a word that means nothing", "1", "2026-03-04T09:00:00Z", "a table for two", "nothing to do"},
		{"STOP, whatever it looks like", "2", "2026-03-04T10:00:00.5+00:00", " stop. \n", "out"},
		{"what follows is known to be from such a number", "3", "2026-03-04T10:00:01Z", "hello?", "from a number that has opted out"},
		{"an event that comes twice", "2", "2026-03-04T10:00:00.5+00:00", " stop. \n", "handled before"},
		{"a START that was sent before the STOP", "4", "2026-03-04T11:00:00+02:00", "START", "older than what is known of this number"},
		{"HELP", "5", "2026-03-04T10:00:02Z", "Help", "help"},
		{"an event without a time is of now", "6", "", "UNSTOP", "in"},
		{"and is forgotten", "7", "", "hello", "nothing to do"},
		{"UNSUBSCRIBE", "8", "", "Unsubscribe", "out"},
	}
	for _, tt := range tests {
		if a := deliver(t, p, message(tt.id, tt.at, tt.words)); a.Outcome != delivery.OutcomeDone || string(a.ResponseBody) != tt.want {
			t.Errorf("%s: got %q, want %q: %+v", tt.name, a.ResponseBody, tt.want, a)
		}
	}
	broken := message("9", "", "")
	broken.Event.Body = []byte(`{"data":{"payload":{"to":[]}}}`)
	if a := deliver(t, p, broken); a.Outcome != delivery.OutcomeFailed || !strings.Contains(a.Error, "not a message with a sender") {
		t.Errorf("no message at all: got %+v", a)
	}

	// Its knowledge outlives it: it is in its database.
	if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if a := deliver(t, p, message("10", "", "hello")); a.Outcome == delivery.OutcomeDone && string(a.ResponseBody) != "from a number that has opted out" {
		t.Errorf("after a crash: got %+v", a)
	}
	s.Stop()
	query := exec.Command("python3", "-c", `import sqlite3; print(sqlite3.connect("optout.sqlite3").execute("SELECT text FROM outbox").fetchall())`)
	query.Dir = work
	out, err := query.CombinedOutput()
	if err != nil || strings.Count(string(out), "unsubscribed") != 2 || strings.Count(string(out), "Acme: ") != 1 || strings.Count(string(out), "again") != 1 {
		t.Errorf("the outbox: %s, %v", out, err)
	}
}

// Settings are refused field by field.
func TestPythonExampleRefusesSettings(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3:", err)
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "..", "examples", "python", "optout.py"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, func(c *Config) {
		c.WorkDir = t.TempDir()
		c.StartTimeout = 3 * soon
		writeManifest(t, c, "optout", `{"protocol":"jsonl","command":["python3","`+script+`"],"events":["*"],"settings":{"halp":"x","out":1}}`)
	})
	wantDown(t, s, "refuses its settings", "halp: is unknown: use out, in, help", "out: must be a text")
}
