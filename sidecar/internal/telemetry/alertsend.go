package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// alertTimeout bounds one try.
const alertTimeout = 10 * time.Second

// send posts an alert, with a few tries if needed.
func (a *Alerts) send(ctx context.Context, what alert) {
	what.FiredAt = time.Now().UTC()
	body := what.body(a.cfg.Form, a.cfg.Template)
	for n, wait := 1, a.cfg.Wait; ; n, wait = n+1, 4*wait {
		_, err := a.post(ctx, body)
		if err == nil {
			a.cfg.Log.Info("alert sent", "alert", what.Alert, "state", what.State, "summary", what.Summary)
			return
		}
		if n == alertTries || ctx.Err() != nil {
			a.cfg.Log.Error("an alert could not be sent", "code", CodeAlertLost, "alert", what.Alert, "state", what.State,
				"summary", what.Summary, "tries", n, "error", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// post makes one try. It is signed like forwarded requests, so that one receiver
// can verify both. Errors do not name the URL, which is a secret.
func (a *Alerts) post(ctx context.Context, body []byte) (answered AlertAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return answered, errors.New("HOOKSWITCH_ALERT_URL is not a URL")
	}
	timestamp, signature := webhook.Sign(*a.key.Load(), time.Now(), body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", a.cfg.UserAgent)
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	if u := req.URL.User; u != nil {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	start := time.Now()
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return answered, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, alertAnswer)) // only shown
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	answered = AlertAnswer{Status: resp.StatusCode, Body: strings.TrimSpace(strings.ToValidUTF8(string(text), "�")), Took: time.Since(start)}
	if resp.StatusCode/100 != 2 {
		err = fmt.Errorf("the receiver answered %s", resp.Status)
		if answered.Body != "" {
			err = fmt.Errorf("%w: %s", err, answered.Body)
		}
	}
	return answered, err
}

// alertAnswer is how much of an answer is shown: Slack says what is wrong in a word.
const alertAnswer = 300

// AlertAnswer is what the receiver of an alert answered: nothing if Status is 0.
type AlertAnswer struct {
	Status int
	Body   string // the beginning
	Took   time.Duration
}

// Test sends an alert that means nothing, once, and returns the answer. It returns
// false if no alerts are sent.
func (a *Alerts) Test(ctx context.Context) (AlertAnswer, bool, error) {
	if a == nil {
		return AlertAnswer{}, false, nil
	}
	what := alert{Alert: AlertTest, State: "firing", FiredAt: time.Now().UTC(), Summary: "this is a test: alerts of hookswitch arrive here"}
	answered, err := a.post(ctx, what.body(a.cfg.Form, a.cfg.Template))
	return answered, true, err
}

// cutSubject returns the subject of a key of Alerts.lasting, if it is of that
// alert.
func cutSubject(key, alert string) (string, bool) { return strings.CutPrefix(key, alert+" ") }
