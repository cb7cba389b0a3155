package store

import "github.com/hookswitch/hookswitch/sidecar/internal/delivery"

// The words of package delivery under their former names.
type (
	Event    = delivery.Event
	Job      = delivery.Job
	Task     = delivery.Task
	Outcome  = delivery.Outcome
	Attempt  = delivery.Attempt
	State    = delivery.State
	Move     = delivery.Move
	Schedule = delivery.Schedule
	Policy   = delivery.Policy
)

// The constants of package delivery under their former names.
const (
	OutcomeDone  = delivery.OutcomeDone
	OutcomeRetry = delivery.OutcomeRetry
	OutcomeDead  = delivery.OutcomeFailed
	OutcomeLost  = delivery.OutcomeLost

	CauseTimeout = delivery.CauseTimeout
	CausePanic   = delivery.CausePanic

	RecordLimit = delivery.RecordLimit

	Pending   = delivery.Pending
	Done      = delivery.Done
	Dead      = delivery.Dead
	Discarded = delivery.Discarded

	MoveReplay  = delivery.MoveReplay
	MoveDiscard = delivery.MoveDiscard
)

// The functions and errors of package delivery under their former names.
var (
	ErrNotReady   = delivery.ErrNotReady
	ErrSenderGone = delivery.ErrSenderGone

	ClipHeader = delivery.ClipHeader
	From       = delivery.From
	Next       = delivery.Next
	Due        = delivery.Due
	Jitter     = delivery.Jitter
)
