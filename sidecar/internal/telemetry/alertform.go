package telemetry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// The forms of an alert's body.
const (
	AlertJSON     = "json"     // the fields of alert
	AlertSlack    = "slack"    // what an incoming webhook of Slack takes
	AlertTemplate = "template" // JSON of the operator's, with words in braces
)

// AlertForms are the values of HOOKSWITCH_ALERT_FORMAT.
var AlertForms = []string{AlertJSON, AlertSlack, AlertTemplate}

// alert is the body of a POST in the form json. Fields are only ever added.
type alert struct {
	Alert      string          `json:"alert"`
	State      string          `json:"state"` // firing or resolved
	FiredAt    time.Time       `json:"fired_at"`
	Summary    string          `json:"summary"`
	Target     string          `json:"target,omitempty"`
	Count      int             `json:"count,omitempty"`       // of dead letters
	Reason     string          `json:"reason,omitempty"`      // of the latest
	EventID    string          `json:"event_id,omitempty"`    // of the latest
	EventType  string          `json:"event_type,omitempty"`  // of the latest
	DeliveryID string          `json:"delivery_id,omitempty"` // of the latest
	URL        string          `json:"url,omitempty"`         // of its record, on the admin listener
	Delivery   json.RawMessage `json:"delivery,omitempty"`    // webhook_delivery record of the latest, see AlertConfig.Record
}

// body returns an alert in a form.
func (a alert) body(form, template string) []byte {
	switch form {
	case AlertSlack:
		return a.slack()
	case AlertTemplate:
		return a.fill(template)
	}
	body, err := json.Marshal(a)
	if err != nil {
		a.Delivery = nil
		body, _ = json.Marshal(a) // only texts, numbers and a time
	}
	return body
}

// Slack's limits: of a block of text, and of the notification, which is shorter.
const (
	slackBlock = 3000
	slackText  = 300
)

type (
	slackMessage struct {
		Text   string  `json:"text"` // in notifications
		Blocks []block `json:"blocks"`
	}
	block struct {
		Type     string      `json:"type"`
		Text     *slackPart  `json:"text,omitempty"`
		Elements []slackPart `json:"elements,omitempty"`
	}
	slackPart struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
)

// slack has the summary, and what identifies the latest event; never its payload.
func (a alert) slack() []byte {
	mark := ":rotating_light:"
	if a.State != "firing" {
		mark = ":white_check_mark:"
	}
	facts := []string{"*" + a.Alert + "*", a.State}
	for _, fact := range []string{a.Target, a.EventType} {
		if fact != "" {
			facts = append(facts, slackEscape(fact, slackText))
		}
	}
	facts = append(facts, fmt.Sprintf("<!date^%d^{date_short_pretty} {time_secs}|%s>", a.FiredAt.Unix(), a.FiredAt.Format(time.RFC3339)))
	m := slackMessage{
		Text: slackEscape("hookswitch: "+a.Summary, slackText),
		Blocks: []block{
			{Type: "section", Text: &slackPart{"mrkdwn", mark + " " + slackEscape(a.Summary, slackBlock-100)}},
			{Type: "context", Elements: []slackPart{{"mrkdwn", strings.Join(facts, " · ")}}},
		},
	}
	if id := cmp.Or(a.EventID, a.DeliveryID); id != "" {
		m.Blocks = append(m.Blocks, block{Type: "section", Text: &slackPart{"mrkdwn", "`hookswitch events get " + slackEscape(id, slackText) + "`"}})
	}
	body, _ := json.Marshal(m) // only texts
	return body
}

// slackSigns are what Slack reads as markup that notifies people or hides text: it
// asks for these three to be escaped, and no others. A backtick would end code.
var slackSigns = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'")

// slackEscape escapes a text and cuts it at a number of characters, between two
// characters of the text.
func slackEscape(text string, most int) string {
	var out strings.Builder
	n := 0
	for _, r := range text {
		part := slackSigns.Replace(string(r))
		if n += utf8.RuneCountInString(part); n > most-1 {
			return out.String() + "…"
		}
		out.WriteString(part)
	}
	return out.String()
}

// templateWord is a word in braces; other braces are those of JSON.
var templateWord = regexp.MustCompile(`\{([A-Za-z0-9_]+)\}`)

// words returns what the words of a template stand for.
func (a alert) words() map[string]string {
	return map[string]string{
		"alert": a.Alert, "state": a.State, "fired_at": a.FiredAt.Format(time.RFC3339), "summary": a.Summary, "target": a.Target,
		"count": strconv.Itoa(a.Count), "reason": a.Reason, "event_id": a.EventID, "event_type": a.EventType, "delivery_id": a.DeliveryID, "url": a.URL,
	}
}

// fill puts the alert's words into a template. Each stands within a text of valid
// JSON, see CheckAlertTemplate, and is escaped for it: it cannot end it.
func (a alert) fill(template string) []byte {
	words := a.words()
	return templateWord.ReplaceAllFunc([]byte(template), func(found []byte) []byte {
		text, _ := json.Marshal(words[string(found[1:len(found)-1])]) // a text
		return text[1 : len(text)-1]
	})
}

// CheckAlertTemplate returns what is wrong with a template, without repeating it.
func CheckAlertTemplate(template string) error {
	if !json.Valid([]byte(template)) {
		return errors.New(`is not JSON: write it like {"content": "{state}: {summary}"}`)
	}
	var known []string
	for word := range (alert{}).words() {
		known = append(known, word)
	}
	slices.Sort(known)
	for _, found := range templateWord.FindAllStringSubmatch(template, -1) {
		if slices.Contains(known, found[1]) {
			continue
		}
		hint := "use " + strings.Join(known, ", ")
		if guess := spelling.Closest(found[1], known); guess != "" {
			hint = fmt.Sprintf("did you mean {%s}?", guess)
		}
		return fmt.Errorf("has an unknown word in braces: %s", hint)
	}
	return nil
}
