package accept_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// answerer answers calls itself, or fails to if it has no text.
type answerer struct {
	text string
	got  []byte
}

func (*answerer) Name() string { return "forward:ivr" }

func (a *answerer) Pass(_ context.Context, e *delivery.Event) (delivery.Attempt, *http.Response) {
	a.got = e.Body
	attempt := delivery.Attempt{StartedAt: time.Now(), FinishedAt: time.Now(), RequestURL: "http://ivr.test/"}
	if a.text == "" {
		attempt.Outcome, attempt.ErrorCodes, attempt.Error = delivery.OutcomeRetry, []int{75002}, "could not connect"
		return attempt, nil
	}
	attempt.Outcome, attempt.ResponseStatus = delivery.OutcomeDone, 201
	return attempt, &http.Response{
		StatusCode: 201,
		Header:     http.Header{"Content-Type": {"application/xml"}},
		Body:       io.NopCloser(strings.NewReader(a.text)),
	}
}

// startPassing runs a Server that has calls answered by p and everything
// stored for an archive.
func startPassing(t *testing.T, p accept.Passer) *fixture {
	return startWith(t, func(cfg *accept.Config) {
		cfg.Route = func(string) []string { return []string{"forward:ivr", "plugin:archive"} }
		cfg.Sync = func(eventType string) accept.Passer {
			if strings.HasPrefix(eventType, "call.") {
				return p
			}
			return nil
		}
	})
}

func TestPassedEventIsAnsweredByItsTargetAndRecorded(t *testing.T) {
	p := &answerer{text: "<Response/>"}
	f := startPassing(t, p)
	body := webhooktest.Sample("call.initiated")
	res, answer := f.send(t, "/webhooks", body)
	if res.StatusCode != 201 || answer != "<Response/>" || res.Header.Get("Content-Type") != "application/xml" {
		t.Errorf("answered %d %q %v, want the target's answer", res.StatusCode, answer, res.Header)
	}
	if string(p.got) != string(body) {
		t.Errorf("the target got %q", p.got)
	}
	f.stop() // the record is written after the answer
	d, err := f.store.Delivery(t.Context(), webhook.Decode("", body).ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Attempts) != 1 || d.Attempts[0].ResponseStatus != 201 || d.Attempts[0].Target != "forward:ivr" {
		t.Errorf("recorded attempts %+v", d.Attempts)
	}
	states := map[string]delivery.State{}
	for _, j := range d.Jobs {
		states[j.Target] = j.State
	}
	if states["forward:ivr"] != delivery.Done || states["plugin:archive"] != delivery.Pending || len(states) != 2 {
		t.Errorf("jobs are %v, want the passed one done and the other's pending", states)
	}
	if len(f.woken) != 1 || f.woken[0] != "plugin:archive" {
		t.Errorf("woke %v, want the archive only", f.woken)
	}
}

func TestPassedEventWithoutAnswer(t *testing.T) {
	f := startPassing(t, new(answerer))
	body := webhooktest.Sample("call.initiated")
	if res, _ := f.send(t, "/webhooks", body); res.StatusCode != http.StatusBadGateway {
		t.Errorf("answered %d, want 502", res.StatusCode)
	}
	f.stop()
	d, err := f.store.Delivery(t.Context(), webhook.Decode("", body).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range d.Jobs {
		if j.Target == "forward:ivr" && j.State != delivery.Dead {
			t.Errorf("the passed job is %s, want dead: nobody waits for a retry", j.State)
		}
	}
}

// TestPassedAgain: an event that comes again wants its answer again.
func TestPassedAgain(t *testing.T) {
	f := startPassing(t, &answerer{text: "<Response/>"})
	body := webhooktest.Sample("call.initiated")
	for range 2 {
		if res, answer := f.send(t, "/webhooks", body); res.StatusCode != 201 || answer == "" {
			t.Errorf("answered %d %q", res.StatusCode, answer)
		}
	}
	f.stop()
	d, err := f.store.Delivery(t.Context(), webhook.Decode("", body).ID)
	if err != nil {
		t.Fatal(err)
	}
	if d.Event.Duplicates != 1 || len(d.Attempts) != 2 {
		t.Errorf("%d duplicates and %d attempts, want 1 and 2", d.Event.Duplicates, len(d.Attempts))
	}
}

func TestOtherEventsAreNotPassed(t *testing.T) {
	p := &answerer{text: "<Response/>"}
	f := startPassing(t, p)
	if res, answer := f.send(t, "/webhooks", webhooktest.Sample("message.received")); res.StatusCode != 200 || answer != "" {
		t.Errorf("answered %d %q", res.StatusCode, answer)
	}
	if p.got != nil {
		t.Error("the target was called")
	}
}

// waiter answers nothing until its context ends.
type waiter struct{ began chan struct{} }

func (waiter) Name() string { return "forward:ivr" }

func (w waiter) Pass(ctx context.Context, _ *delivery.Event) (delivery.Attempt, *http.Response) {
	started := time.Now()
	close(w.began)
	<-ctx.Done()
	return delivery.Attempt{StartedAt: started, FinishedAt: time.Now(), RequestURL: "http://ivr.test/", Outcome: delivery.OutcomeFailed,
		ErrorCodes: []int{75000}, Error: context.Cause(ctx).Error()}, nil
}

// TestSenderHangsUp: the target and the record learn of it, and it is not counted
// as a failure of ours.
func TestSenderHangsUp(t *testing.T) {
	p := waiter{began: make(chan struct{})}
	results := make(chan string, 1)
	f := startWith(t, func(cfg *accept.Config) {
		cfg.Route = func(string) []string { return []string{"forward:ivr"} }
		cfg.Sync = func(string) accept.Passer { return p }
		cfg.OnAnswer = func(result string, _ time.Duration) { results <- result }
	})
	ctx, hangUp := context.WithCancel(t.Context())
	body := webhooktest.Sample("call.initiated")
	go func() {
		<-p.began
		hangUp()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+"/webhooks", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	f.signer.Sign(req.Header, time.Now(), body)
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("there was an answer")
	}
	if got := <-results; got != telemetry.HungUp {
		t.Errorf("counted as %q, want %q", got, telemetry.HungUp)
	}
	f.stop()
	d, err := f.store.Delivery(t.Context(), webhook.Decode("", body).ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Attempts) != 1 || d.Attempts[0].Error != delivery.ErrSenderGone.Error() {
		t.Errorf("recorded attempts %+v", d.Attempts)
	}
}
