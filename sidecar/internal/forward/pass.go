package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// maxAnswer is the largest answer passed on.
const maxAnswer = 1 << 20

// Pass sends the event at once, for a sender that waits for the application's
// own answer, and returns that and the attempt. The answer is nil if there was
// none, or only part of one, within Config.Timeout or while ctx lasts; otherwise
// the caller closes its Body, which is in memory. The attempt is not retried:
// whatever went wrong, its Outcome is done or dead.
//
// The answer's header is passed on, except for fields about this connection or a
// session with the application.
func (f *Forward) Pass(ctx context.Context, e *delivery.Event) (delivery.Attempt, *http.Response) {
	a := delivery.Attempt{StartedAt: time.Now(), RequestURL: f.shown, Outcome: delivery.OutcomeFailed}
	defer f.cfg.Attempts.Begin(f.name, e.ID, f.cfg.Timeout)()
	sending, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout, errTimeout)
	defer cancel()
	sending, progress := watch(sending)
	req, err := f.newRequest(sending, delivery.Task{Event: e}, a.StartedAt)
	if err != nil {
		a.ErrorCodes, a.Error = []int{codeGeneric}, fmt.Sprintf("the event cannot be sent by HTTP: %v", err)
		a.FinishedAt = time.Now()
		return a, nil
	}
	resp, body, err := f.exchange(req, progress)
	if progress.connected() {
		a.RequestHeader = f.recordRequest(req)
	}
	if err != nil {
		code, text := failure(err, context.Cause(sending), progress, f.cfg.Timeout)
		if errors.Is(context.Cause(sending), errTimeout) {
			a.Cause = delivery.CauseTimeout
		}
		a.ErrorCodes, a.Error = []int{code}, text
		a.FinishedAt = time.Now()
		return a, nil
	}
	a.Outcome, a.ResponseStatus, a.ResponseHeader = delivery.OutcomeDone, resp.StatusCode, delivery.ClipHeader(delivery.ListHeader(resp.Header))
	a.ResponseBody = body[:min(len(body), delivery.RecordLimit)]
	if resp.StatusCode >= 400 {
		a.Outcome, a.ErrorCodes = delivery.OutcomeFailed, []int{statusCode(resp.StatusCode)}
		a.Error = f.describe(resp, a.ResponseBody) + " (passed on)"
	}
	a.FinishedAt = time.Now()
	return a, &http.Response{
		StatusCode:    resp.StatusCode,
		Header:        passedBack(resp.Header),
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// exchange sends a request and reads the whole answer.
func (f *Forward) exchange(req *http.Request, p *progress) (*http.Response, []byte, error) {
	resp, err := f.roundTrip(req, p)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 {
		return nil, nil, errors.New(noAnswer(resp))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return resp, body, err
}

// passedBack returns the part of an answer's header that is for the sender.
func passedBack(h http.Header) http.Header {
	out := h.Clone()
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", // of this connection
		"Content-Length", "Date", "Server", // ours
		"Set-Cookie",
	} {
		out.Del(name)
	}
	return out
}

func canonical(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		out[http.CanonicalHeaderKey(name)] = values
	}
	return out
}
