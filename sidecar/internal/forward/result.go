package forward

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Telnyx's delivery error codes (API error codes, webhook delivery). 75299, "a
// 2XX that is not 200", does not occur: see the package comment.
const (
	codeGeneric       = 75000
	codeResolve       = 75001
	codeConnect       = 75002
	codeCertificate   = 75003
	codeCertExpired   = 75004
	codeCertName      = 75005
	codeCertUntrusted = 75006
	codeRedirect      = 75300
	code400           = 75400
	code404           = 75404
	code4XX           = 75499
	code500           = 75500
	code5XX           = 75599
)

// errTimeout is the cause of a context that ended because an attempt took too
// long, rather than because the sidecar is stopping.
var errTimeout = errors.New("forward: attempt timed out")

const (
	// maxRetryAfter bounds the wait that an application may ask for: a date
	// far in the future is a mistake that would hide an event for ever.
	maxRetryAfter = 24 * time.Hour

	// The status decides; the body is only recorded. So an application that
	// never ends its body holds up an attempt for bodyTimeout at most. Up to
	// drainLimit bytes are read so that the connection can be reused.
	bodyTimeout = 5 * time.Second
	drainLimit  = 256 << 10
)

// fail fills in the result of an attempt that got no answer. cause is why its
// context ended, if it did.
func (f *Forward) fail(a *delivery.Attempt, err, cause error, p *progress) {
	code, text := failure(err, cause, p, f.cfg.Timeout)
	timedOut := errors.Is(cause, errTimeout)
	if timedOut {
		a.Cause = delivery.CauseTimeout
	}
	a.Outcome, a.ErrorCodes, a.Error = delivery.OutcomeRetry, []int{code}, text
	a.Unavailable = cause == nil || timedOut
	a.BrokeOff = p.brokeOff(err, cause)
	if a.Unavailable && !f.cfg.RetryOn.failure(code, timedOut) {
		a.Outcome = delivery.OutcomeFailed
	}
}

// failure returns the error code and a text for people. The order matters: a
// timeout hides behind whatever it interrupted, and a name that cannot be
// resolved is reported as a dial that failed.
func failure(err, cause error, p *progress, timeout time.Duration) (code int, text string) {
	switch {
	case errors.Is(cause, errTimeout):
		switch p.phase.Load() {
		case resolving:
			return codeResolve, fmt.Sprintf("the host's name was not resolved within %v: is the resolver reachable?", timeout)
		case connecting:
			return codeConnect, fmt.Sprintf("no connection within %v: is a firewall in between?", timeout)
		case handshaking:
			return codeGeneric, fmt.Sprintf("the TLS handshake took longer than %v", timeout)
		}
		return codeGeneric, fmt.Sprintf("no answer within %v: answer first and work afterwards, or raise the timeout", timeout)
	case errors.Is(cause, delivery.ErrSenderGone):
		return codeGeneric, "the sender hung up before the application answered, which may have handled it: answer sooner, since the sender waits no longer than this"
	case cause != nil:
		return codeGeneric, "cancelled while waiting for the answer because the sidecar is stopping: the application may have handled it"
	}
	if p.brokeOff(err, cause) {
		if p.answering.Load() {
			return codeGeneric, fmt.Sprintf("the application closed the connection in the middle of its answer: did it crash? (%v)", err)
		}
		return codeGeneric, fmt.Sprintf("the application closed the connection without an answer: did it crash? (%v)", err)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return codeResolve, fmt.Sprintf("could not resolve %q: %s", e.Name, e.Err)
	}
	if code := certificateCode(err); code != 0 {
		return code, fmt.Sprintf("TLS: %v", err)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return codeConnect, fmt.Sprintf("could not connect: %v: is the application running?", err)
	}
	return codeGeneric, fmt.Sprintf("no valid answer: %v", err)
}

// certificateCode returns 0 for an error that is not about TLS.
func certificateCode(err error) int {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return codeCertExpired
		}
		return codeCertificate
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return codeCertName
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return codeCertUntrusted
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return codeCertificate
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return codeCertificate
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return codeCertificate
	}
	return 0
}

// answered fills in the result of an attempt that got an answer. cancel cancels
// the request.
func (f *Forward) answered(a *delivery.Attempt, resp *http.Response, cancel func()) {
	a.ResponseStatus = resp.StatusCode
	a.ResponseHeader = delivery.ClipHeader(delivery.ListHeader(resp.Header))
	if resp.StatusCode < 200 {
		resp.Body.Close() // unread: it is a connection, which may never end
		a.Outcome, a.ErrorCodes, a.Error = delivery.OutcomeRetry, []int{codeGeneric}, noAnswer(resp)
		return
	}
	a.ResponseBody = readBody(resp.Body, cancel)

	switch {
	case resp.StatusCode >= 200 && resp.StatusCode <= 299:
		a.Outcome = delivery.OutcomeDone
		return
	case !f.cfg.RetryOn.status(resp.StatusCode):
		a.Outcome = delivery.OutcomeFailed
	default:
		a.Outcome = delivery.OutcomeRetry
		a.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	// A 500 may be about this event; these are about the application, or the
	// proxy in front of it.
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.Unavailable = true
	}
	a.ErrorCodes = []int{statusCode(resp.StatusCode)}
	a.Error = f.describe(resp, a.ResponseBody)
}

// readBody returns the part of the body that is recorded and arrives in time,
// and leaves the connection usable if it can.
func readBody(body io.ReadCloser, cancel func()) []byte {
	defer body.Close()
	defer time.AfterFunc(bodyTimeout, cancel).Stop()
	// After an error the part read before is kept, and the status is known.
	b, err := io.ReadAll(io.LimitReader(body, delivery.RecordLimit))
	if err == nil {
		io.CopyN(io.Discard, body, drainLimit)
	}
	return b
}

func statusCode(status int) int {
	switch {
	case status >= 300 && status <= 399:
		return codeRedirect
	case status == http.StatusBadRequest:
		return code400
	case status == http.StatusNotFound:
		return code404
	case status >= 400 && status <= 499:
		return code4XX
	case status == http.StatusInternalServerError:
		return code500
	case status >= 500 && status <= 599:
		return code5XX
	}
	return codeGeneric
}

// retryAfter reads a Retry-After header: seconds or a date. 0 means that it has
// no usable value.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		wait = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
