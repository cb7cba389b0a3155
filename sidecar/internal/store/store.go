// Package store keeps what the sidecar has promised to deliver: events, the
// jobs that each event makes for its targets, and every attempt at a job, all
// of them in the words of package delivery.
//
// [Store] is the contract; package storetest states it as tests, and packages
// sqlite and postgres implement it. Start with [Store.Accept]: after it returns,
// the event survives a crash. The effect of an attempt on its job is decided
// elsewhere, in [delivery.Next]; a store records it.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// ErrNotFound is returned when no record has the requested id.
var ErrNotFound = errors.New("store: not found")

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("store: closed")

// ErrStale is returned for the result of an attempt at a job that has moved on
// without it, which only happens in a store that has lost some of its latest
// changes: a restored one, or a promoted standby.
var ErrStale = errors.New("store: the job has moved on without this attempt")

// ErrElsewhere is returned by StepReplay while another process that shares the
// store is working on the replay.
var ErrElsewhere = errors.New("store: another process is working on it")

// Accepted is the result of Accept.
type Accepted struct {
	Seq        int64
	DeliveryID string
	Duplicate  bool // the event was there already; only the duplicate was counted
}

// Route lists the event types that a target wants, by patterns: exact, "message.*" or
// "*".
type Route struct {
	Target   string
	Patterns []string
}

// Store keeps events, jobs, attempts and replays. All methods are safe for
// concurrent use. Every method that changes something returns only after the
// change is committed and synced, and an error from it means that the change
// may or may not have happened, but never a part of it: callers repeat, and
// repeating is harmless.
//
// A store has one owner, a process, or is shared by several. The jobs that a
// process has claimed are free again when it dies: at the next Open of a store
// with one owner, within a bound that the implementation states of a shared
// one. A process wrongly taken for dead may still Finish its jobs; the first result of
// an attempt number counts.
type Store interface {
	Queue
	Records
	Operator

	// Watch calls wake with the names of targets for which other processes may
	// have made work due, until ctx ends; then it returns nil. Wakes may be
	// lost, such as while a database is restarted: a caller also looks by
	// itself now and then.
	Watch(ctx context.Context, wake func(targets []string)) error

	// Renewed receives after the store was restored, or failed over to a
	// server that may lack some changes: earlier writes may be lost. A caller
	// that relies on something it wrote earlier writes it again. There is one
	// receiver.
	Renewed() <-chan struct{}

	// Probe reports whether Accept would accept e now: it does all that Accept
	// does, and leaves nothing behind. An event that is already stored is not
	// changed.
	Probe(ctx context.Context, e *delivery.Event, targets []string) error

	// Ping is Probe with the event of [NewProbe].
	Ping(ctx context.Context) error

	// Close waits for writes under way and closes the store. The jobs claimed
	// by this process are free.
	Close() error
}

// Queue is the part of a [Store] through which events pass.
type Queue interface {
	// Accept stores e and one pending job, due at once, for each target.
	// When an event with the same Key is there already it only counts the
	// duplicate. Seq and, if it was empty, DeliveryID of e are filled in.
	//
	// When ctx ends it returns at once, even from within a commit that does
	// not return; then the event may still be stored, as a whole.
	Accept(ctx context.Context, e *delivery.Event, targets []string) (Accepted, error)

	// Record stores, after the fact, an event that was passed straight
	// through to a target, together with that one attempt: its job is done
	// if the Outcome is OutcomeDone, else dead. It never becomes due.
	// JobID, DeliveryID and N of the attempt are ignored. If the event is there already
	// the duplicate is counted and the attempt added as the job's next,
	// which decides its state unless it is pending; repeating one with the
	// same StartedAt changes nothing. An event that is new also becomes a job, due at
	// once, for each of the others, as by Accept.
	Record(ctx context.Context, e *delivery.Event, a delivery.Attempt, others []string) (Accepted, error)

	// Claim hands out up to limit pending jobs of the target that are due
	// at now, longest due first. A claimed job is not handed out again
	// until Finish or Release, or the death of the process.
	//
	// NextDue before it means that the caller waits for work. From then on a
	// shared store may keep for it what this process accepts, up to a second
	// behind what is due later, and Claim may find nothing of what other
	// processes add until Watch has told of it.
	//
	// Of the pending jobs of a target with the same Entity, not empty, only
	// the first by (OrderAt, Seq) is handed out, and none while another is
	// claimed. So a job that waits for a retry holds up those behind it, a
	// dead one does not. The others of the entity may be given a later
	// NextAt; the next becomes due when the first is no longer pending.
	Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error)

	// NextDue returns when the next unclaimed pending job of the target is
	// due, and false if there is none. Claim may find nothing at that time,
	// but the time is as late as the store can know.
	NextDue(ctx context.Context, target string) (time.Time, bool, error)

	// Reschedule brings forward the unclaimed pending jobs of the target
	// that wait longer than they should, because the clock has been set back
	// since they were put off: see [delivery.Due]. It returns how many it moved.
	// Repeating it changes nothing.
	Reschedule(ctx context.Context, target string, now time.Time, s delivery.Schedule) (int, error)

	// Finish records an attempt at a claimed job and moves the job to the
	// state and, if that is pending, to the time that [delivery.Next] chose, all in
	// one commit. Repeating it with the same job and N changes nothing.
	//
	// It returns [ErrNotFound] if there is no such job: its event has been
	// removed, or JobID is that of a job of another event by now. It returns
	// [ErrStale] if the job has ended, or has had attempt N, without this
	// result. Both are final, and nothing has changed. Attempts that the
	// store has forgotten do not matter: the result is that of attempt N.
	Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error

	// Release gives back a claimed job that was not attempted, and notifies the
	// other processes. It is as if it had not been claimed. A task that is not
	// claimed, such as one of an event that a restored store does not know,
	// changes nothing.
	Release(ctx context.Context, t delivery.Task) error

	// SaveRoute remembers the patterns of a target, so that events which
	// arrive while it cannot be asked still become its jobs.
	SaveRoute(ctx context.Context, r Route) error

	// Routes returns all remembered routes.
	Routes(ctx context.Context) ([]Route, error)

	// Backlog returns the number of pending jobs by target.
	Backlog(ctx context.Context) (map[string]int, error)
}

// Records is the part of a [Store] that Telnyx's delivery record API reads.
type Records interface {
	// Delivery returns the record of one event, final or not, by the id of
	// the delivery or of the event, without regard to the case of UUIDs.
	Delivery(ctx context.Context, id string) (*Delivery, error)

	// Deliveries returns the final deliveries that f selects, most recently
	// received first, and how many there are without Offset and Limit.
	Deliveries(ctx context.Context, f Filter) ([]Delivery, int, error)
}

// Operator is the part of a [Store] for operators.
type Operator interface {
	// Events returns up to limit of the events that q selects, newest
	// first, of those with a Seq less than before; before 0 begins with the
	// newest. Each event that stays in the store is on exactly one page.
	Events(ctx context.Context, q Query, before int64, limit int) (Page, error)

	// DeadGroups returns the dead letters that q selects, grouped, the
	// largest group first. q.Status is ignored.
	DeadGroups(ctx context.Context, q Query) ([]DeadGroup, error)

	// Discard moves all dead letters that q selects to Discarded, in
	// several commits, and returns how many it moved, even when an error or
	// the end of ctx stopped it. q.Status is ignored.
	Discard(ctx context.Context, q Query) (int, error)

	// Hurry makes the waiting jobs that q selects due at now, which the caller
	// read before, in several commits, and returns how many it moved and the
	// targets that have work, even when an error or the end of ctx stopped it.
	// It leaves alone what is due, what is claimed, and what waits for another
	// job of its entity. q.Status is StatusRetrying, or is taken as
	// StatusPending. With a limit it stops after the jobs of so many events; 0
	// means all.
	Hurry(ctx context.Context, q Query, now time.Time, limit int) (moved int, targets []string, err error)

	// PreviewReplay counts what q selects.
	PreviewReplay(ctx context.Context, q Query) (Preview, error)

	// CreateReplay stores r as running. It fills in ID, if it is empty,
	// CreatedAt, State, Total and Last. Repeating it with the same ID
	// changes nothing.
	CreateReplay(ctx context.Context, r *Replay) error

	// StepReplay takes the replay through its next up to limit events: in
	// one commit their jobs become due and the replay moves on. It returns
	// the replay after that and the targets that have new work. After the
	// last event the replay is done. If it is not running nothing changes.
	// After an error a repetition continues from where the replay is, so that
	// no event is taken twice.
	StepReplay(ctx context.Context, id string, limit int) (Replay, []string, error)

	// CancelReplay ends a running replay. Jobs already due stay due.
	CancelReplay(ctx context.Context, id string) (Replay, error)

	// Replay returns one replay.
	Replay(ctx context.Context, id string) (Replay, error)

	// Replays returns the latest replays, newest first, and with running set
	// only the running ones.
	Replays(ctx context.Context, running bool) ([]Replay, error)

	// Prune removes up to limit of the events that r allows, oldest first,
	// with everything that belongs to them, and gives back some of the space.
	// It is a short piece of work, so that accepts do not wait for it; it is
	// repeated while More is set.
	Prune(ctx context.Context, r Retention, limit int) (Pruned, error)

	// Excess returns by how many bytes the store exceeds r, or 0.
	Excess(ctx context.Context, r Retention) (int64, error)

	// Stats counts waiting and dead jobs. It looks at each of them, so it is
	// not for frequent use.
	Stats(ctx context.Context) (Stats, error)
}
