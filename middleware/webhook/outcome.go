package webhook

import (
	"errors"
	"fmt"
	"time"
)

// Outcome is the verdict in a handler's returned error. It means the same
// in-process, in a plugin and behind the sidecar.
type Outcome int

const (
	Done  Outcome = iota // nil: handled, never again
	Retry                // any other error, a panic included: try again by policy
	Dead                 // Permanent: trying again cannot help
)

// String returns "done", "retry" or "dead".
func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Dead:
		return "dead"
	default:
		return "retry"
	}
}

// Permanent marks err as one that no retry can fix. The event becomes a dead
// letter behind the sidecar; in-process it is reported to [Mux.OnError] and
// answered 200, so that Telnyx does not repeat what can never work.
// Permanent(nil) is a permanent error with a text of its own, not success.
func Permanent(err error) error {
	if err == nil {
		err = errors.New("permanent failure")
	}
	return &outcomeError{err: err, outcome: Dead}
}

// RetryAfter asks for a retry, but not before d has passed. It overrides the
// retry policy for this attempt. A d of zero or less means that the policy
// decides, as for any other error. In-process it becomes a 503 with
// Retry-After, rounded up to seconds; Telnyx may not honour it.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		err = errors.New("not yet")
	}
	return &outcomeError{err: err, outcome: Retry, after: max(d, 0)}
}

// OutcomeOf classifies an error returned by a handler: what to do, and for
// [Retry] the least time to wait, where 0 means that the policy decides.
// The outermost mark wins when marks are nested.
func OutcomeOf(err error) (Outcome, time.Duration) {
	if err == nil {
		return Done, 0
	}
	if oe, ok := errors.AsType[*outcomeError](err); ok {
		return oe.outcome, oe.after
	}
	return Retry, 0
}

type outcomeError struct {
	err     error
	outcome Outcome
	after   time.Duration
}

func (e *outcomeError) Error() string { return e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// PanicError is the error that a handler's panic becomes. Its outcome is
// [Retry].
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack of the goroutine that panicked
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }
