package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// sentAs returns the body of the alert about a dead letter in a form.
func sentAs(t *testing.T, form, template, failure string) []byte {
	t.Helper()
	var got []byte
	a, posts, _ := alerts(t, func(c *telemetry.AlertConfig) {
		c.Form, c.Template, c.Answers = form, template, true
		c.Record = func(context.Context, string) (json.RawMessage, error) {
			return json.RawMessage(`{"webhook":{"id":"<!here>-id","event_type":"call.hangup","payload":{"text":"private"}}}`), nil
		}
		c.Link = func(id string) string { return "http://127.0.0.1:9080/v2/webhook_deliveries/" + id }
	}, func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) })
	a.Dead("forward:default", "d-1", failure)
	next(t, posts)
	return got
}

// slackMarkup is what Slack reads as markup: links and mentions.
var slackMarkup = regexp.MustCompile(`<[^>]*>|&(?:amp|lt|gt);`)

// TestAlertOnSlack holds the form to what Slack documents of incoming webhooks and
// of blocks: a text, at most 50 blocks, 1 to 3,000 characters in a section, 1 to 10
// elements in a context, and &, < and > only as entities or in our own date.
func TestAlertOnSlack(t *testing.T) {
	nasty := `the app said <!channel> & <@U123> "` + strings.Repeat("é&<", 5000)
	body := sentAs(t, telemetry.AlertSlack, "", nasty)
	var m struct {
		Text   string
		Blocks []struct {
			Type     string
			Text     *struct{ Type, Text string }
			Elements []struct{ Type, Text string }
		}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	texts := []string{m.Text}
	if len(m.Blocks) < 1 || len(m.Blocks) > 50 || len(body) > 40_000 {
		t.Errorf("%d blocks, %d bytes", len(m.Blocks), len(body))
	}
	for _, b := range m.Blocks {
		switch {
		case b.Type == "section" && b.Text != nil && b.Text.Type == "mrkdwn" && b.Elements == nil:
			texts = append(texts, b.Text.Text)
		case b.Type == "context" && b.Text == nil && len(b.Elements) >= 1 && len(b.Elements) <= 10 && b.Elements[0].Type == "mrkdwn":
			texts = append(texts, b.Elements[0].Text)
		default:
			t.Errorf("not a block of Slack: %+v", b)
		}
	}
	for _, text := range texts {
		if n := utf8.RuneCountInString(text); n < 1 || n > 3000 {
			t.Errorf("a text of %d characters", n)
		}
		for _, markup := range slackMarkup.FindAllString(text, -1) {
			if strings.HasPrefix(markup, "<") && !strings.HasPrefix(markup, "<!date^") {
				t.Errorf("a text of the app is markup: %s", markup)
			}
		}
		if rest := slackMarkup.ReplaceAllString(text, ""); strings.ContainsAny(rest, "<>&") {
			t.Errorf("not escaped, or an entity is cut: %.200s", rest)
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"1 dead letter at forward:default", "&lt;!channel&gt; &amp;", "call.hangup", "`hookswitch events get &lt;!here&gt;-id`", "*dead_letters*"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not there", want)
		}
	}
	if strings.Contains(string(body), "private") {
		t.Error("the payload is on Slack")
	}
}

// TestAlertByTemplate: what an app says cannot end the text that it is put into.
func TestAlertByTemplate(t *testing.T) {
	const template = `{"content": "{state} {alert}: {summary}", "n": "{count}", "id": ["{event_id}", {"u": "{url} {delivery_id} {event_type} {target}"}], "braces": "{} { x }"}`
	if err := telemetry.CheckAlertTemplate(template); err != nil {
		t.Fatal(err)
	}
	body := sentAs(t, telemetry.AlertTemplate, template, "he said \"no\"}, \\ {target}\n")
	var m struct {
		Content, N, Braces string
		ID                 []any
	}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if want := "firing dead_letters: 1 dead letter at forward:default; the latest: he said \"no\"}, \\ {target}\n"; m.Content != want || m.N != "1" || m.Braces != "{} { x }" || m.ID[0] != "<!here>-id" {
		t.Errorf("got %+v, want %q", m, want)
	}
	for template, want := range map[string]string{
		"": "not JSON", "{summary}": "not JSON", `{"a":{summary}}`: "not JSON",
		`{"a":"{sumary}"}`: "did you mean {summary}?", `{"a":"{payload}"}`: "use alert, count,",
	} {
		if err := telemetry.CheckAlertTemplate(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", template, err, want)
		}
	}
}

// TestAlertTest: one try, and the words of the receiver.
func TestAlertTest(t *testing.T) {
	status, answer := 200, "ok"
	a, posts, _ := alerts(t, nil, nil)
	if got, sent, err := a.Test(t.Context()); !sent || err != nil || got.Status != 200 {
		t.Errorf("%+v %v %v", got, sent, err)
	}
	if p := next(t, posts); p.Alert != "test" || p.State != "firing" {
		t.Errorf("%+v", p)
	}
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer to.Close()
	b := telemetry.NewAlerts(telemetry.AlertConfig{URL: to.URL, Key: make([]byte, 64), Form: telemetry.AlertSlack, Log: slog.New(slog.DiscardHandler)})
	status, answer = 400, "invalid_payload"
	if got, _, err := b.Test(t.Context()); err == nil || !strings.Contains(err.Error(), "400 Bad Request: invalid_payload") || got.Status != 400 || got.Body != answer {
		t.Errorf("%+v %v", got, err)
	}
	to.Close()
	if got, _, err := b.Test(t.Context()); err == nil || got.Status != 0 {
		t.Errorf("%+v %v", got, err)
	}
	if _, sent, _ := (*telemetry.Alerts)(nil).Test(t.Context()); sent {
		t.Error("nothing was sent")
	}
}
