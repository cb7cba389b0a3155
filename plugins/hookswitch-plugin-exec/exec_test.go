//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

// soon bounds every wait. It is long because only a failure waits for it.
const soon = 20 * time.Second

// start starts the plugin with a shell script as its command. more is further
// settings.
func start(t *testing.T, script string, more map[string]any) (*sdktest.Host, string) {
	t.Helper()
	return startRunner(t, new(runner), script, more)
}

func startRunner(t *testing.T, r *runner, script string, more map[string]any) (*sdktest.Host, string) {
	t.Helper()
	dir := t.TempDir()
	all := map[string]any{"command": []string{"/bin/sh", "-c", script}, "dir": dir}
	for name, value := range more {
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return sdktest.Start(t, r.plugin(), string(text)), dir
}

func sample(t *testing.T) []byte {
	t.Helper()
	body, ok := event.Sample("message.received")
	if !ok {
		t.Fatal("no sample")
	}
	return body
}

func TestTheExitCodeIsTheOutcome(t *testing.T) {
	tests := []struct {
		name, script string
		codes        []int
		outcome      webhook.Outcome
		reason       string // how it begins
	}{
		{"0 is done", "exit 0", nil, webhook.Done, ""},
		{"75 is a retry", "echo busy >&2; exit 75", nil, webhook.Retry, "exec: the command exited with 75: busy\n\nbusy"},
		{"1 is a retry", "exit 1", nil, webhook.Retry, "exec: the command exited with 1"},
		{"65 is a dead letter", "echo 'no such user' >&2; exit 65", nil, webhook.Dead, "exec: the command exited with 65: no such user"},
		{"100 is a dead letter", "exit 100", nil, webhook.Dead, "exec: the command exited with 100"},
		{"other codes are, if the settings say so", "exit 3", []int{3}, webhook.Dead, "exec: the command exited with 3"},
		{"and 65 is not, then", "exit 65", []int{3}, webhook.Retry, "exec: the command exited with 65"},
		{"a signal is a retry", "kill -SEGV $$", nil, webhook.Retry, "exec: the command was ended: signal: segmentation fault"},
		{"what was printed last, of several lines", "echo a; echo b >&2; echo c >&2; exit 1", nil, webhook.Retry, "exec: the command exited with 1: c\n\nb\nc"},
		{"standard output, if there is nothing else", "echo a; exit 1", nil, webhook.Retry, "exec: the command exited with 1: a\n\na"},
		{"bytes that are no text", `printf '\377\000x\n' >&2; exit 1`, nil, webhook.Retry, "exec: the command exited with 1: x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			more := map[string]any{}
			if tt.codes != nil {
				more["fail_codes"] = tt.codes
			}
			host, _ := start(t, tt.script, more)
			got := host.Deliver(sample(t))
			if got.Outcome != tt.outcome || !strings.HasPrefix(got.Reason, tt.reason) {
				t.Errorf("got %v, want %v (%s)", got, tt.outcome, tt.reason)
			}
		})
	}
}

func TestTheCommandGetsTheEvent(t *testing.T) {
	host, dir := start(t, `cat > body; env > env; echo seen; echo careful >&2`, map[string]any{"env": map[string]string{"MY_VAR": "a b"}})
	body := bytes.ReplaceAll(sample(t), []byte("\n"), []byte("\r\n")) // exactly as it came
	res := host.DeliverEvent(sdktest.Event{Body: body, Attempt: 3, Delivery: sdk.Delivery{
		ID: "d1", Replay: true, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	if res.Outcome != webhook.Done {
		t.Fatalf("got %v", res)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "body")); err != nil || !bytes.Equal(got, body) {
		t.Errorf("standard input was %q, %v", got, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(text), "\n")
	e := webhook.Decode("application/json", body)
	for _, want := range []string{
		"HOOKSWITCH_EVENT_TYPE=message.received", "HOOKSWITCH_EVENT_ID=" + e.ID, "HOOKSWITCH_EVENT_KEY=" + e.Key(),
		"HOOKSWITCH_EVENT_OCCURRED_AT=" + e.OccurredAt.String(), "HOOKSWITCH_EVENT_CONTENT_TYPE=application/json",
		"HOOKSWITCH_EVENT_ATTEMPT=3", "HOOKSWITCH_EVENT_REPLAY=true", "HOOKSWITCH_EVENT_DELIVERY_ID=d1",
		"TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "MY_VAR=a b",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in the environment", want)
		}
	}
	if log := host.Log(); !strings.Contains(log, "level=INFO msg=seen") || !strings.Contains(log, "level=WARN msg=careful") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestAZeroByteInAFactIsReplaced(t *testing.T) {
	host, dir := start(t, `printf %s "$HOOKSWITCH_EVENT_ID" > id`, nil)
	if res := host.Deliver([]byte(`{"data":{"event_type":"message.received","id":"a\u0000b"}}`)); res.Outcome != webhook.Done {
		t.Errorf("got %v", res)
	}
	if id, _ := os.ReadFile(filepath.Join(dir, "id")); string(id) != "a\uFFFDb" {
		t.Errorf("the id is %q", id)
	}
}

func TestNoShellSeesTheArguments(t *testing.T) {
	dir := t.TempDir()
	const argument = `$(touch pwned); * "'`
	text, err := json.Marshal(map[string]any{"command": []string{"/bin/sh", "-c", `printf %s "$1" > argument`, "name", argument}, "dir": dir})
	if err != nil {
		t.Fatal(err)
	}
	if res := sdktest.Start(t, new(runner).plugin(), string(text)).Deliver(sample(t)); res.Outcome != webhook.Done {
		t.Fatalf("got %v", res)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "argument")); string(got) != argument {
		t.Errorf("the argument was %q", got)
	}
}

// alive makes a FIFO in the directory, and returns a function that waits until
// nobody has it open for writing.
func alive(t *testing.T, dir string) func() {
	t.Helper()
	path := filepath.Join(dir, "alive")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Read and write, so that opening does not wait for a writer.
	keep, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keep.Close(); reader.Close() })
	return func() {
		t.Helper()
		keep.Close()
		if err := reader.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			t.Errorf("a process of the command is still there: %v", err)
		}
	}
}

func TestTooLongIsARetryAndTheWholeGroupGoes(t *testing.T) {
	host, dir := start(t, `exec 3>alive; trap '' TERM; sleep 1000 & echo begun >&2; while :; do wait; done`,
		map[string]any{"timeout": "100ms", "grace": "50ms"})
	gone := alive(t, dir)
	res := host.Deliver(sample(t))
	if res.Outcome != webhook.Retry || !strings.HasPrefix(res.Reason, "exec: the command did not finish within ") {
		t.Errorf("got %v", res)
	}
	gone()
}

func TestACommandMayEndByItselfWhenItsTimeIsUp(t *testing.T) {
	host, dir := start(t, `trap 'echo tidied > tidy; exit 75' TERM; sleep 1000 & wait`, map[string]any{"timeout": "200ms", "grace": "1m"})
	if res := host.Deliver(sample(t)); res.Outcome != webhook.Retry {
		t.Errorf("got %v", res)
	}
	if _, err := os.Stat(filepath.Join(dir, "tidy")); err != nil {
		t.Error(err)
	}
}

func TestAnEventThatIsGivenUpEndsItsCommand(t *testing.T) {
	host, dir := start(t, `exec 3>alive; echo begun; sleep 1000`, nil)
	gone := alive(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	go func() {
		for ctx.Err() == nil && !strings.Contains(host.Log(), "msg=begun") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	res := host.DeliverContext(ctx, sdktest.Event{Body: sample(t)})
	if res.Outcome != webhook.Retry || !strings.HasPrefix(res.Reason, "exec: the command was stopped because the event was given up") {
		t.Errorf("got %v", res)
	}
	gone()
}

func TestWhatIsLeftInTheBackgroundIsKilled(t *testing.T) {
	host, dir := start(t, `sleep 1000 3>alive & exit 0`, nil)
	gone := alive(t, dir)
	if res := host.Deliver(sample(t)); res.Outcome != webhook.Done {
		t.Errorf("got %v", res)
	}
	gone()
}

func TestNothingRunsOnWhenThePluginEnds(t *testing.T) {
	var r runner
	host, dir := startRunner(t, &r, `exec 3>alive; trap '' TERM; sleep 1000 & echo begun; while :; do wait; done`, nil)
	gone := alive(t, dir)
	result := make(chan sdktest.Result)
	go func() { result <- host.Deliver(sample(t)) }()
	for deadline := time.Now().Add(soon); !strings.Contains(host.Log(), "msg=begun"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the command has not begun after %v", soon)
		}
	}
	r.end()
	gone()
	if res := <-result; res.Outcome != webhook.Retry {
		t.Errorf("the command under way: %v", res)
	}
	if res := host.Deliver(sample(t)); res.Outcome != webhook.Retry || res.Reason != "exec: start the command: the plugin ends" {
		t.Errorf("one that comes after that: %v", res)
	}
}

func TestABodyThatIsNotRead(t *testing.T) {
	host, _ := start(t, `exit 0`, nil)
	if res := host.Deliver(bytes.Repeat([]byte("x"), 4<<20)); res.Outcome != webhook.Done {
		t.Errorf("got %v", res)
	}
}

func TestAFloodOfOutput(t *testing.T) {
	host, _ := start(t, `yes 'a line of output' | head -c 5000000 >&2; echo >&2; head -c 1000000 /dev/zero; echo the end >&2; exit 1`, nil)
	res := host.Deliver(sample(t))
	if !strings.HasPrefix(res.Reason, "exec: the command exited with 1: the end\n\n") || len(res.Reason) > 4<<10 {
		t.Errorf("got %d bytes of reason: %.100s", len(res.Reason), res.Reason)
	}
	log := host.Log()
	if n := strings.Count(log, "a line of output"); n > linesMax {
		t.Errorf("%d lines were logged", n)
	}
	if !strings.Contains(log, "lines more") {
		t.Error("the log does not say that lines were left out")
	}
}

func TestConcurrencyIsLimited(t *testing.T) {
	host, dir := start(t, `mkdir "run.$$" && ls -d run.* | wc -l >> counts && sleep 0.05; rmdir "run.$$"`, map[string]any{"concurrency": 2})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if res := host.Deliver(sample(t)); res.Outcome != webhook.Done {
				t.Errorf("got %v", res)
			}
		})
	}
	wg.Wait()
	counts, err := os.ReadFile(filepath.Join(dir, "counts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range strings.Fields(string(counts)) {
		if n != "1" && n != "2" {
			t.Errorf("%s commands ran at the same time", n)
		}
	}
	if n := len(strings.Fields(string(counts))); n != 8 {
		t.Errorf("%d commands ran", n)
	}
}

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"none":          {``, []string{`command: is required`}},
		"not found":     {`{"command":["no-such-program"]}`, []string{`command[0]: exec: "no-such-program": executable file not found in $PATH`}},
		"a text":        {`{"command":"ls -l"}`, []string{`command: must be a list, found text`}},
		"empty":         {`{"command":[]}`, []string{`command: must name a program`}},
		"all of it":     {`{"command":["true"],"concurrency":0,"timeout":"0s","grace":"-1s","fail_codes":[0]}`, []string{`concurrency: `, `timeout: `, `grace: `, `fail_codes: `}},
		"a bad pattern": {`{"command":["true"],"events":["call.*.x"]}`, []string{`event: pattern`}},
		"another name":  {`{"command":["true"],"concurency":1}`, []string{`concurency: unknown setting, did you mean "concurrency"?`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := sdk.FieldErrors(sdktest.Refusal(t, new(runner).plugin(), tt.text))
			var texts []string
			for _, e := range got {
				texts = append(texts, e.Error())
			}
			if !slices.EqualFunc(texts, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", texts, tt.want)
			}
		})
	}
	if err := sdktest.Refusal(t, new(runner).plugin(), fmt.Sprintf(`{"command":["true"],"events":["call.*"],"timeout":%q}`, "1m")); err != nil {
		t.Errorf("good settings: %v", err)
	}
}
