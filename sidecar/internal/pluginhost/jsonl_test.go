//go:build unix

package pluginhost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// newLines makes a host with one program that reads lines: one of the test's own
// by its name, or a shell script.
func newLines(t testing.TB, edit func(*Config), program, more string) *setup {
	t.Helper()
	command, names := `["`+program+`"]`, []string{program}
	if strings.Contains(program, " ") {
		text, err := json.Marshal([]string{"/bin/sh", "-c", program})
		if err != nil {
			t.Fatal(err)
		}
		command, names = string(text), nil
	}
	return newSetup(t, func(c *Config) {
		writeManifest(t, c, "lines", `{"protocol":"jsonl","events":["*"],"command":`+command+more+`}`)
		if edit != nil {
			edit(c)
		}
	}, names...)
}

func startLines(t testing.TB, edit func(*Config), program, more string) (*setup, *Plugin) {
	t.Helper()
	s := newLines(t, edit, program, more)
	s.start(t)
	return s, s.plugin(t, "lines")
}

func TestLineHasTheFactsOfTheEvent(t *testing.T) {
	s, p := startLines(t, nil, "lines", "")
	seen := func(n int, work delivery.Task) (line map[string]any) {
		t.Helper()
		if a := deliver(t, p, work); a.Outcome != delivery.OutcomeDone || string(a.ResponseBody) != "seen" {
			t.Errorf("got %+v", a)
		}
		_, text, _ := strings.Cut(s.log.wait(t, n, "INFO facts "), "facts ")
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&line); err != nil {
			t.Fatal(err)
		}
		return line
	}
	work := task(7, "facts")
	work.Job.Attempts = 2
	work.Event.OccurredAt = "2026-11-25T00:00:00Z"
	work.Event.Body = []byte("{\"text\": \"<&>\u2028\\u0000 é\"}\n")
	line := seen(1, work)
	for key, want := range map[string]any{
		"event_id": "event-7", "event_type": "test.facts", "occurred_at": "2026-11-25T00:00:00Z", "attempt": 3.0,
		"timeout_ms": 30000.0, "delivery_id": work.Event.DeliveryID, "content_type": "application/json", "body": string(work.Event.Body),
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, line["received_at"].(string)); err != nil || !at.Equal(work.Event.ReceivedAt) {
		t.Errorf("received_at is %v", line["received_at"])
	}
	headers, _ := json.Marshal(line["headers"])
	if want := `[["Content-Type","application/json"],["X-Bytes","` + "\uFFFD" + `"]]`; string(headers) != want {
		t.Errorf("headers are %s", headers)
	}
	verification, _ := line["verification"].(map[string]any)
	if verification["scheme"] != "telnyx" || verification["key_label"] != "main" || verification["skew_ms"] != 1500.0 {
		t.Errorf("verification is %v", verification)
	}

	work = task(8, "facts")
	work.Event.Body = []byte("\xff\xfe")
	line = seen(2, work)
	if got, _ := line["body_base64"].(string); got != base64.StdEncoding.EncodeToString(work.Event.Body) || line["body"] != nil {
		t.Errorf("a body that is no UTF-8 came as %v", line)
	}
}

func TestLineAnswers(t *testing.T) {
	s, p := startLines(t, func(c *Config) { c.Timeout = 2 * time.Second }, "lines", "")
	tests := []struct {
		name, say string
		want      delivery.Outcome
		after     time.Duration
		text      string // part of the error
	}{
		{"spaces do no harm", "  {\"ok\" : true, \"seq\" : SEQ }\r", delivery.OutcomeDone, 0, ""},
		{"unknown keys are ignored", `{"seq":SEQ,"ok":true,"took":5}`, delivery.OutcomeDone, 0, ""},
		{"other output is passed over", "working...\n{\"level\":\"info\",\"msg\":\"JSON of a logger\"}\n{\"seq\":SEQ,\"ok\":true}", delivery.OutcomeDone, 0, ""},
		{"no outcome is a retry", `{"seq":SEQ}`, delivery.OutcomeRetry, 0, "plugin asks for a retry"},
		{"not ok is a retry", `{"seq":SEQ,"ok":false,"error":"no"}`, delivery.OutcomeRetry, 0, "plugin asks for a retry: no"},
		{"a fraction of a millisecond", `{"seq":SEQ,"retry_after_ms":1500.5}`, delivery.OutcomeRetry, 1500500 * time.Microsecond, ""},
		{"a wait beyond all measure", `{"seq":SEQ,"retry_after_ms":1e300}`, delivery.OutcomeRetry, retryMax, ""},
		{"a negative wait", `{"seq":SEQ,"retry_after_ms":-5}`, delivery.OutcomeRetry, 0, ""},
		{"an empty reason", `{"seq":SEQ,"fail":""}`, delivery.OutcomeFailed, 0, "the plugin gave no reason"},
		{"two things at once", `{"seq":SEQ,"ok":true,"fail":"x"}`, delivery.OutcomeRetry, 0, "contradicts itself"},
		{"wrong types", `{"seq":SEQ,"ok":"yes"}`, delivery.OutcomeRetry, 0, "is not understood: json: cannot unmarshal string"},
		{"twice is once", "{\"seq\":SEQ,\"ok\":true}\n{\"seq\":SEQ,\"fail\":\"again\"}", delivery.OutcomeDone, 0, ""},
		{"an answer to nothing", "{\"seq\":99999,\"ok\":true}\n{\"seq\":SEQ,\"ok\":true}", delivery.OutcomeDone, 0, ""},
		{"a line too long is no answer", `{"seq":SEQ,"ok":true,"text":"` + strings.Repeat("x", resultMax) + `"}`, delivery.OutcomeRetry, 0, "was not done after 2s"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			work := task(int64(i), "verbatim")
			work.Event.Body = []byte(tt.say)
			a := deliver(t, p, work)
			if a.Outcome != tt.want || a.RetryAfter != tt.after || !strings.Contains(a.Error, tt.text) {
				t.Errorf("got %+v", a)
			}
		})
	}
	if st := p.Status(); st.StrayResults < 2 || st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	s.log.wait(t, 1, "INFO working...", "stream=stdout")
	s.log.wait(t, 1, "WARN line on stdout is not understood")
}

func TestLineSettings(t *testing.T) {
	t.Run("are read before the first event", func(t *testing.T) {
		s, p := startLines(t, nil, "lines", `,"settings":{"dsn":"x"},"max_in_flight":4`)
		if st := p.Status(); st.State != StateReady || st.Version != "1.2.3" {
			t.Errorf("status %+v", st)
		}
		s.log.wait(t, 1, `settings {"name":"lines","settings":{"dsn":"x"}}`)
		deliver(t, p, task(1, "ack"))
		if st := p.Status(); st.Credit != 4 { // the smaller of 4 and the program's 8
			t.Errorf("credit %d", st.Credit)
		}
	})
	t.Run("may be in a file", func(t *testing.T) {
		s, _ := startLines(t, func(c *Config) {
			if err := os.WriteFile(filepath.Join(c.Dir, "lines.json"), []byte("{\n\"a\":1}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "lines", "")
		s.log.wait(t, 1, `settings {"name":"lines","settings":{"a":1}}`)
	})
	refused := []struct{ name, program, more, file, want string }{
		{"are refused field by field", "lines", `,"settings":{"dsn":"bad"}`, "", "refuses its settings: dsn: is bad"},
		{"are not in two places", "lines", `,"settings":{}`, "{}", "remove one"},
		{"must be answered", "cat >/dev/null", `,"settings":{}`, "", `did not answer {"configured":{}}`},
		{"find nobody there", "exit 4", `,"settings":{}`, "", "exit status 4"},
		{"in a file that is no JSON", "lines", "", "dsn: x", "configure: the settings are not JSON"},
		{"in a file that is no object", "lines", "", " null", "configure: the settings are not a JSON object"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newLines(t, func(c *Config) {
				c.StartTimeout = 5 * time.Second
				if tt.program == "cat >/dev/null" {
					c.StartTimeout = 500 * time.Millisecond
				}
				if tt.file != "" {
					if err := os.WriteFile(filepath.Join(c.Dir, "lines.json"), []byte(tt.file), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}, tt.program, tt.more)
			wantDown(t, s, tt.want)
		})
	}
}

// wantDown starts a host whose only plugin does not start, and expects the error
// to say why.
func wantDown(t *testing.T, s *setup, parts ...string) {
	t.Helper()
	s.timings.backoffBase, s.timings.backoffMax = time.Hour, time.Hour // one start
	s.start(t)
	s.log.wait(t, 1, "plugin is down")
	st := s.Plugins()[0].Status()
	for _, part := range parts {
		if !strings.Contains(st.LastError, part) {
			t.Errorf("error %q lacks %q", st.LastError, part)
		}
	}
}

func TestLineProgramThatDoesNotStart(t *testing.T) {
	tests := []struct {
		name, command string
		parts         []string
	}{
		{"is explained by its last words", `["/bin/sh", "-c", "echo no module named crm >&2; exit 1"]`,
			[]string{"the program ended at once", "exit status 1", "no module named crm"}},
		{"is not in PATH", `["no-such-program"]`, []string{`find the program "no-such-program"`, "nor in PATH (/"}},
		{"is not in the directory", `["./no-such-program"]`, []string{`find the program "./no-such-program"`, "no such file in the plugin directory"}},
		{"cannot be executed", `["lines.plugin.json"]`, []string{"lines.plugin.json", "permission denied"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, func(c *Config) {
				writeManifest(t, c, "lines", `{"protocol":"jsonl","events":["*"],"command":`+tt.command+`}`)
			})
			wantDown(t, s, tt.parts...)
		})
	}
}

func TestPlainLineProgram(t *testing.T) {
	s := newLines(t, func(c *Config) { c.Timeout = 200 * time.Millisecond; c.DrainTimeout = time.Millisecond }, "plain", `,"max_in_flight":16`)
	s.launch.Timings.Settle = 10 * time.Millisecond
	s.timings.pingEvery = 10 * time.Millisecond // it would panic on a ping
	s.launch.Timings.Grace = 10 * time.Millisecond
	s.timings.stuck = 100 * time.Millisecond
	s.launch.Timings.Term = 100 * time.Millisecond
	s.timings.backoffBase = time.Millisecond
	s.start(t)
	p := s.plugin(t, "lines")
	if st := p.Status(); st.Credit != 1 {
		t.Errorf("before it has said anything the program has a credit of %d", st.Credit)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if a := deliver(t, p, task(int64(i), "ack")); a.Outcome != delivery.OutcomeDone {
				t.Errorf("got %+v", a)
			}
		})
	}
	wg.Wait()
	if st := p.Status(); st.Credit != 16 || st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	// It knows no cancel either; what it does not answer holds a place until
	// all places are held.
	for i := range 16 {
		wg.Go(func() {
			if a := deliver(t, p, task(int64(i), "hang")); !slices.Equal(a.ErrorCodes, []int{codeTimeout}) {
				t.Errorf("got %+v", a)
			}
		})
	}
	wg.Wait()
	if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("the next process: got %+v", a)
	}
	if got := p.Status().LastError; !strings.Contains(got, "credit is spent") {
		t.Errorf("last error %q", got)
	}
}

func TestHungLineProgramIsReplaced(t *testing.T) {
	impatient := func(s *setup) {
		s.timings.pingEvery = 20 * time.Millisecond
		s.timings.pingWait = 50 * time.Millisecond
		s.timings.dump = 10 * time.Millisecond
		s.timings.backoffBase = time.Millisecond
		s.launch.Timings.Idle, s.launch.Timings.Term = 50*time.Millisecond, 50*time.Millisecond
	}
	t.Run("that does not answer pings", func(t *testing.T) {
		s := newLines(t, nil, "lines", "")
		impatient(s)
		s.launch.Timings.Settle = soon // it says hello, and that it answers pings
		s.start(t)
		p := s.plugin(t, "lines")
		pause(t, p.Status().PID)
		s.log.wait(t, 2, "plugin is ready")
		if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("that does not read", func(t *testing.T) {
		s := newLines(t, nil, `exec sleep 1000 <&0`, "")
		impatient(s)
		s.start(t)
		work := task(1, "ack")
		work.Event.Body = bytes.Repeat([]byte("x"), 1<<20) // more than a pipe holds
		a := deliver(t, s.plugin(t, "lines"), work)
		if a.Outcome != delivery.OutcomeLost || !slices.Equal(a.ErrorCodes, []int{codeLost}) {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("that has closed its stdout", func(t *testing.T) {
		s := newLines(t, nil, `exec sleep 1000 >&-`, "")
		impatient(s)
		s.start(t)
		s.log.wait(t, 1, "plugin is down", "the program has closed its stdout")
	})
}

func TestStopOfLineProgram(t *testing.T) {
	t.Run("that does not run is bounded", func(t *testing.T) {
		alive, waitGone := lifetime(t)
		t.Setenv("HS_TEST_ALIVE", alive)
		s := newLines(t, func(c *Config) { c.Env = append(c.Env, "HS_TEST_ALIVE") }, "lines", "")
		s.launch.Timings.Idle, s.launch.Timings.Term = 100*time.Millisecond, 100*time.Millisecond
		s.start(t)
		pause(t, s.plugin(t, "lines").Status().PID)
		begun := time.Now()
		s.Stop()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		waitGone()
	})
	t.Run("waits for what it does at the end of its input", func(t *testing.T) {
		s, p := startLines(t, nil, `while read -r line; do echo begun >&2; done; sleep 0.2; echo '{"seq":1,"ok":true}'`, "")
		done := make(chan delivery.Attempt, 1)
		go func() { done <- deliver(t, p, task(1, "ack")) }()
		s.log.wait(t, 1, "begun")
		s.Stop()
		if a := <-done; a.Outcome != delivery.OutcomeDone {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("ends it when the host is gone", func(t *testing.T) {
		alive, waitGone := lifetime(t)
		t.Setenv("HS_TEST_ALIVE", alive)
		s, p := startLines(t, func(c *Config) { c.Env = append(c.Env, "HS_TEST_ALIVE") }, "lines", "")
		p.mu.Lock()
		p.ready.Cut()
		p.mu.Unlock()
		s.log.wait(t, 1, "plugin is down", "exit status 0")
		s.Stop()
		waitGone()
	})
}

func TestLineProgramGetsAnEnvironmentOfItsOwn(t *testing.T) {
	t.Setenv("TELNYX_API_KEY", "secret")
	s, p := startLines(t, func(c *Config) { c.Env = nil },
		`env | cut -d= -f1 | sort | tr '\n' ' ' >&2; echo >&2; while read -r line; do echo '{"seq":1,"ok":true}'; done`, "")
	deliver(t, p, task(1, "ack"))
	names := strings.Fields(s.log.wait(t, 1, "HOOKSWITCH_PLUGIN "))
	for _, want := range []string{"PYTHONUNBUFFERED", "PATH"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %q", want, names)
		}
	}
	if slices.Contains(names, "TELNYX_API_KEY") {
		t.Errorf("the sidecar's key is in %q", names)
	}
}

// A program that fails before its first answer takes one event with it, not as
// many as it could have had.
func TestBrokenLineProgramGetsOneEvent(t *testing.T) {
	s := newLines(t, func(c *Config) { c.Timeout = soon }, `read -r line; sleep 0.1; exit 1`, `,"max_in_flight":64`)
	s.launch.Timings.Settle = 10 * time.Millisecond
	s.timings.backoffBase, s.timings.backoffMax = time.Hour, time.Hour
	s.start(t)
	p := s.plugin(t, "lines")
	lost := make(chan delivery.Attempt, 64)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if a, err := p.Deliver(t.Context(), task(int64(i), "ack")); err == nil {
				lost <- a
			}
		})
	}
	s.log.wait(t, 1, "plugin is down")
	s.Stop()
	wg.Wait()
	if a := <-lost; !slices.Equal(a.ErrorCodes, []int{codeLost}) {
		t.Errorf("got %+v", a)
	}
	if len(lost) != 0 {
		t.Errorf("%d more events were lost", len(lost))
	}
}
