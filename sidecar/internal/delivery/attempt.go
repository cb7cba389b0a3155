package delivery

import (
	"errors"
	"time"
)

// Outcome is the result of one attempt. It is about the attempt alone: its effect
// on the job is for [Next] to decide, which may end a job as [Dead] even after a
// retry.
type Outcome string

// The outcomes of an attempt. Their values are in databases and JSON, where a
// permanent failure has the word of the state that it leads to.
const (
	OutcomeDone   Outcome = "done"  // delivered
	OutcomeRetry  Outcome = "retry" // failed; try again by policy, or after RetryAfter
	OutcomeFailed Outcome = "dead"  // failed; trying again cannot help

	// OutcomeLost means that the target ended with the event, without an
	// answer. It is on record, but not a verdict on the event, so it does not
	// use up the schedule: Base grows with it, and the job is due again after
	// RetryAfter.
	OutcomeLost Outcome = "lost"
)

// Attempt is one try of a job, as it will appear in the delivery record.
//
// A job is named by DeliveryID and Target; JobID locates it. A number alone is not
// a lasting name: a restored store, or a promoted standby, reuses those that it does
// not remember.
type Attempt struct {
	JobID      int64
	DeliveryID string // of the job's event
	Target     string
	N          int // counts the attempts of the job, from 1
	StartedAt  time.Time
	FinishedAt time.Time
	Outcome    Outcome

	// RetryAfter asks for the next attempt not before this long after
	// FinishedAt. 0 means that the schedule decides. Only with OutcomeRetry and OutcomeLost.
	RetryAfter time.Duration

	RequestURL     string      // "http://127.0.0.1:5000/webhooks" or "plugin://archive"
	RequestHeader  [][2]string // as sent to the target; nil if nothing was sent
	ResponseStatus int         // 0 when there was no response
	ResponseHeader [][2]string
	ResponseBody   []byte // capped by the target at RecordLimit

	// Unavailable means that a failure is about the target and not about this
	// event: it is down, or overloaded. It is not stored.
	Unavailable bool

	// BrokeOff means that the target had the event and ended the connection
	// without an answer: it may have died of this event, or of another that
	// it had at the same time. It is not stored.
	BrokeOff bool

	// Cause is set for failures that are counted separately: [CauseTimeout]
	// or [CausePanic]. It is not stored.
	Cause string

	ErrorCodes []int  // Telnyx delivery error codes 75xxx; empty when delivered
	Error      string // for people; empty when delivered
}

// The causes of failures that are told apart.
const (
	CauseTimeout = "timeout"
	CausePanic   = "panic"
)

// ErrNotReady is the error of a target that is down, and so has not tried the task.
var ErrNotReady = errors.New("the target is not ready: nothing was sent")

// ErrSenderGone is the cause of a context that ended because the sender of an event,
// which was waiting for the target's own answer, hung up.
var ErrSenderGone = errors.New("the sender hung up")
