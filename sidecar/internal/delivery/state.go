package delivery

// State is the state of a job.
type State string

// The states of a job. This is the one place that defines how it moves:
//
//	from                   by                                    to
//	–                      Accept                                pending
//	pending                attempt: done                         done
//	pending                attempt: failed for good              dead
//	pending                attempt: retry, schedule used up      dead
//	pending                attempt: retry, older than MaxAge     dead
//	pending                attempt: retry                        pending, due later
//	pending                attempt: lost                         pending, due soon
//	done, dead, discarded  replay                                pending, a new round
//	dead                   Discard                               discarded
//
// [Next] decides the attempts, [From] the rest. A claim is not a state: it ends with
// its process, and then the job is as before.
const (
	Pending   State = "pending"
	Done      State = "done"      // the target said so
	Dead      State = "dead"      // a dead letter: kept until someone replays or discards it
	Discarded State = "discarded" // a dead letter that was given up
)

// End returns the state of a job after an outcome if it is not tried again, whatever
// a schedule says.
func (o Outcome) End() State {
	if o == OutcomeDone {
		return Done
	}
	return Dead
}

// Move is an operator's action on a job.
type Move string

// The moves of operators.
const (
	MoveReplay  Move = "replay"
	MoveDiscard Move = "discard"
)

// From returns the states from which the move is possible; jobs in other states are
// skipped.
func From(m Move) []State {
	switch m {
	case MoveReplay:
		return []State{Done, Dead, Discarded}
	case MoveDiscard:
		return []State{Dead}
	}
	return nil
}
