package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// alert is the body of a POST.
type alert struct {
	Alert    string          `json:"alert"`
	State    string          `json:"state"` // firing or resolved
	FiredAt  time.Time       `json:"fired_at"`
	Summary  string          `json:"summary"`
	Target   string          `json:"target,omitempty"`
	Count    int             `json:"count,omitempty"`    // of dead letters
	Delivery json.RawMessage `json:"delivery,omitempty"` // webhook_delivery record of the latest, see AlertConfig.Record
}

// alertTimeout bounds one try.
const alertTimeout = 10 * time.Second

// send posts an alert, with a few tries if needed.
func (a *Alerts) send(ctx context.Context, what alert) {
	what.FiredAt = time.Now().UTC()
	body, err := json.Marshal(what)
	if err != nil {
		what.Delivery = nil
		body, _ = json.Marshal(what) // only texts, numbers and a time
	}
	for n, wait := 1, a.cfg.Wait; ; n, wait = n+1, 4*wait {
		err := a.post(ctx, body)
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
func (a *Alerts) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("HOOKSWITCH_ALERT_URL is not a URL")
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
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return nil
}

// cutSubject returns the subject of a key of Alerts.lasting, if it is of that
// alert.
func cutSubject(key, alert string) (string, bool) { return strings.CutPrefix(key, alert+" ") }
