package official

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// request is a request for verify.mjs, and the expected verdict.
type request struct {
	name      string
	key       ed25519.PrivateKey
	at        time.Time
	body      string
	tamper    string // sent instead of body, when not empty
	status    int
	eventType string
	err       string
}

// TestClientVerifiesOurSignatures is the promise to an application behind the
// sidecar, which signs anew what it forwards: the official client accepts it.
func TestClientVerifiesOurSignatures(t *testing.T) {
	Scripts(t) // skips all of it
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const body = "{\n  \"data\": {\n    \"event_type\": \"message.sent\",\n    \"id\": \"7b6c\",\n    \"text\": \"zażółć 🐢\"\n  }\n}"
	const flat = `{"event_type":"call_answered","id":"7b6c"}`
	now := time.Now()
	genuine := []request{
		{name: "a failing application", key: private, at: now, body: body, status: 503, eventType: "message.sent"},
		{name: "the same when it works again", key: private, at: now, body: body, status: 200, eventType: "message.sent"},
		{name: "an event without an envelope", key: private, at: now, body: flat, status: 200, eventType: "call_answered"},
	}
	forged := []request{
		{name: "another key", key: other, at: now, body: body, status: 401, err: "does not match"},
		{name: "a body that was changed", key: private, at: now, body: body, tamper: flat, status: 401, err: "does not match"},
		{name: "a signature from an hour ago", key: private, at: now.Add(-time.Hour), body: body, status: 401, err: "too old"},
		{name: "a genuine one after all", key: private, at: now, body: body, status: 200, eventType: "message.sent"},
	}

	t.Run("genuine", func(t *testing.T) { runVerify(t, public, genuine, "") })
	t.Run("forged", func(t *testing.T) { runVerify(t, public, forged, "3 of 4 requests were not verified") })
}

// runVerify starts verify.mjs, sends the requests, and waits for its end: it
// fails with the message if there is one.
func runVerify(t *testing.T, public ed25519.PublicKey, requests []request, message string) {
	results := filepath.Join(t.TempDir(), "results.jsonl")
	urlFile := filepath.Join(t.TempDir(), "url")
	answers := "200"
	if requests[0].status == 503 {
		answers = "503,200"
	}
	count, _ := json.Marshal(len(requests))
	cmd := Command(t, []string{
		"TELNYX_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(public), "ANSWERS=" + answers, "COUNT=" + string(count),
	}, "verify.mjs", results, urlFile)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("verify.mjs did not start: %v\n%s", err, stderr.String())
	}
	url = strings.TrimSpace(url)
	if written, err := os.ReadFile(urlFile); err != nil || string(written) != url {
		t.Errorf("URL file has %q, %v; printed was %q", written, err, url)
	}

	type result struct {
		OK        bool   `json:"ok"`
		Status    int    `json:"status"`
		EventType string `json:"event_type"`
	}
	var want []result
	for _, r := range requests {
		status, answer := send(t, url, r)
		if status != r.status || !strings.Contains(answer, r.err) {
			t.Errorf("%s: answered %d %q, want %d %q", r.name, status, answer, r.status, r.err)
		}
		want = append(want, result{OK: r.err == "", Status: r.status, EventType: r.eventType})
	}
	err = cmd.Wait()
	if message == "" && err != nil || message != "" && (err == nil || !strings.Contains(stderr.String(), message)) {
		t.Errorf("verify.mjs ended with %v: %s", err, stderr.String())
	}

	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	var got []result
	for line := range bytes.Lines(text) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		got = append(got, r)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func send(t *testing.T, url string, r request) (status int, answer string) {
	t.Helper()
	timestamp, signature := webhook.Sign(r.key, r.at, []byte(r.body))
	body := r.body
	if r.tamper != "" {
		body = r.tamper
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestScriptsRefuseBadUse makes sure that a mistake in a test that uses the
// scripts shows as one.
func TestScriptsRefuseBadUse(t *testing.T) {
	Scripts(t) // skips all of it
	for _, tt := range []struct {
		name string
		env  []string
		args []string // script first
		code int
		want string
	}{
		{"no key to verify with", nil, []string{"verify.mjs", "results"}, 2, "TELNYX_PUBLIC_KEY is not set"},
		{"nowhere to write", []string{"TELNYX_PUBLIC_KEY=x"}, []string{"verify.mjs"}, 2, "no file for the results"},
		{"no command", nil, []string{"deliveries.mjs"}, 2, "usage:"},
		{"a query that is not JSON", []string{"TELNYX_API_KEY=x"}, []string{"deliveries.mjs", "list", "{"}, 2, "is not JSON"},
		{"nobody listens", []string{"TELNYX_API_KEY=x", "TELNYX_BASE_URL=http://127.0.0.1:1/v2"}, []string{"deliveries.mjs", "retrieve", "a"}, 1, "Connection error"},
		{"nobody listens where an error was expected", []string{"TELNYX_API_KEY=x", "TELNYX_BASE_URL=http://127.0.0.1:1/v2"},
			[]string{"deliveries.mjs", "error", "retrieve", "a"}, 1, "Connection error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := Command(t, tt.env, tt.args[0], tt.args[1:]...)
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.want) {
				t.Errorf("exit code %d (%v), want %d with %q:\n%s", code, err, tt.code, tt.want, out)
			}
		})
	}
}
