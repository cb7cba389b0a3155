package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"
)

// progress is how far a request has come. The HTTP transport reports it from
// goroutines of its own.
type progress struct {
	phase     atomic.Int32
	reused    atomic.Bool // the connection was kept from an earlier request
	sentAt    atomic.Int64
	answering atomic.Bool // the first byte of an answer is there
}

const (
	resolving int32 = iota + 1
	connecting
	handshaking
	sent // there is a connection; from here on the event may be received
)

// watch returns a context that reports to the progress.
func watch(ctx context.Context) (context.Context, *progress) {
	p := new(progress)
	began := time.Now()
	reach := func(phase int32) {
		// Dialing goes on in the background when another connection
		// becomes free first: never backwards from sent.
		if old := p.phase.Load(); old != sent {
			p.phase.CompareAndSwap(old, phase)
		}
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { reach(resolving) },
		ConnectStart:      func(string, string) { reach(connecting) },
		TLSHandshakeStart: func() { reach(handshaking) },
		GotConn: func(info httptrace.GotConnInfo) {
			p.reused.Store(info.Reused)
			p.sentAt.Store(int64(time.Since(began)))
			p.phase.Store(sent)
		},
		GotFirstResponseByte: func() { p.answering.Store(true) },
	}), p
}

func (p *progress) connected() bool { return p.phase.Load() == sent }

// brokeOff reports whether the application ended the connection before it
// answered. cause is why the context of the request ended, if it did.
func (p *progress) brokeOff(err, cause error) bool {
	return err != nil && cause == nil && p.connected() && (!p.answering.Load() || isClosed(err))
}

// isClosed reports whether an error means that the other side ended the
// connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// idleRace is the longest that the end of a kept connection takes to show: a
// round trip. An application that closes later has been at work on the event.
const idleRace = time.Second

// roundTrip sends a request and returns the answer.
//
// An application closes a kept connection when it has been idle for long
// enough, and may do so at the moment when the next request is sent on it. Then
// there is no answer, and nobody can know whether the request was read: usually
// not. So it is repeated at once, a single time and on a new connection; delivery
// is at least once in any case. The standard library's transport would only do
// that for requests that it knows to be idempotent, and on other kept connections
// first, which are as stale as this one.
func (f *Forward) roundTrip(req *http.Request, p *progress) (*http.Response, error) {
	began := time.Now()
	resp, err := f.transport.RoundTrip(req)
	if err == nil {
		return resp, nil
	}
	ctx := req.Context()
	if ctx.Err() != nil || !p.connected() || !p.reused.Load() || p.answering.Load() ||
		time.Since(began)-time.Duration(p.sentAt.Load()) > idleRace {
		return nil, err
	}
	again := req.Clone(ctx)
	if again.Body, err = req.GetBody(); err != nil {
		return nil, err
	}
	p.phase.Store(0)
	resp, failed := f.fresh.RoundTrip(again)
	if failed != nil && !p.connected() {
		p.phase.Store(sent) // by the first request
		return nil, fmt.Errorf("%w, and on a new connection: %w", io.EOF, failed)
	}
	return resp, failed
}
