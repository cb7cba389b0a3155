package sqlite

import (
	"context"
	"database/sql"
	"math"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/fresh"
)

// The jobs of each target that are due next are in memory, with their events: new
// ones from the commit that stored them, others in one read for many. So a claim
// rarely takes a query. Everything here is in the database as well, and may be
// forgotten at any time.

const (
	// Beyond so many jobs, or bytes of events, in memory new ones wait in the
	// database only.
	maxAhead      = 8192
	maxAheadBytes = 32 << 20

	// So many jobs, or bytes, are read ahead at once, if not more are asked for:
	// commits wait meanwhile to hand over what is new.
	readAheadJobs  = 64
	readAheadBytes = 1 << 20

	// doubtAfter is how long the database is trusted not to have got jobs from
	// elsewhere, such as from an operator's shell, while there is nothing to do.
	doubtAfter = 10 * time.Second
)

// Times of a horizon, in microseconds.
const (
	unknown = math.MinInt64
	never   = math.MaxInt64
)

// ahead is what is known about waiting jobs without asking the database.
// DB.claimMu guards it.
type ahead struct {
	jobs     *fresh.Queue
	horizons map[string]horizon // by target
	heads    map[lane]head      // of the jobs in memory

	// Jobs that are neither in memory nor claimed may be in the journal only, where
	// no query finds them: those hidden, by target, and any at all, up to a row.
	hidden             map[string]hidden
	hiddenAll          int64
	journaled, indexed *atomic.Int64
}

// hidden is said of jobs that the tables may not have.
type hidden struct {
	row int64 // of the journal, the last that may have one
	due int64 // the earliest time that one may be due
}

// horizon is how far ahead the jobs of a target are known.
type horizon struct {
	next  int64     // no waiting job that is neither in memory nor claimed is due before
	exact bool      // and, as far as can be known, one is due then
	at    time.Time // when it was read
}

// head is a job in memory that has a lane: the first of it that waits.
type head struct {
	job, order, seq int64
}

func newAhead(journaled, indexed *atomic.Int64) ahead {
	return ahead{
		jobs: fresh.New(maxAhead, maxAheadBytes), horizons: make(map[string]horizon), heads: make(map[lane]head),
		hidden: make(map[string]hidden), journaled: journaled, indexed: indexed,
	}
}

// forget drops everything.
func (a *ahead) forget() {
	*a = newAhead(a.journaled, a.indexed)
	a.hiddenAll = a.journaled.Load()
}

// hide says that a job of the target may be found by no query.
func (a *ahead) hide(target string, due int64) {
	row := a.journaled.Load()
	if due == never || row <= a.indexed.Load() {
		return
	}
	if h, ok := a.hidden[target]; ok {
		due = min(due, h.due)
	}
	a.hidden[target] = hidden{row, due}
}

// hides returns when a job of the target that no query finds may be due, or never.
func (a *ahead) hides(target string) int64 {
	indexed := a.indexed.Load()
	if a.hiddenAll > indexed {
		return unknown
	}
	h, ok := a.hidden[target]
	switch {
	case !ok:
		return never
	case h.row <= indexed:
		delete(a.hidden, target)
		return never
	}
	return h.due
}

// next returns the horizon of a target.
func (a *ahead) next(target string) int64 {
	if h, ok := a.horizons[target]; ok {
		return h.next
	}
	return unknown
}

// lose forgets the horizon of a target.
func (a *ahead) lose(target string) { delete(a.horizons, target) }

// lower says that a job of the target that is not in memory may be due at a time.
func (a *ahead) lower(target string, due int64) {
	a.hide(target, due)
	if h, ok := a.horizons[target]; ok && due < h.next {
		h.next, h.exact = due, false
		a.horizons[target] = h
	}
}

// blur says that what was due next may have to wait longer.
func (a *ahead) blur(target string) {
	if h, ok := a.horizons[target]; ok {
		h.exact = false
		a.horizons[target] = h
	}
}

// vague reports whether the horizon of a target has to be read before it is told.
func (a *ahead) vague(target string) bool {
	h := a.horizons[target]
	return !h.exact || time.Since(h.at) > doubtAfter
}

// take removes and returns jobs that are due at a time.
func (a *ahead) take(target string, due int64, limit int) []delivery.Task {
	if due == unknown {
		return nil
	}
	tasks := a.jobs.Take(target, time.UnixMicro(due), limit)
	for _, t := range tasks {
		a.behead(t)
	}
	return tasks
}

// remove drops a job from memory, and so leaves it to the database.
func (a *ahead) remove(id int64) {
	if t, ok := a.jobs.Remove(id); ok {
		a.behead(t)
		a.lower(t.Job.Target, t.Job.NextAt.UnixMicro())
	}
}

func (a *ahead) behead(t delivery.Task) {
	if l := laneOf(t); l != (lane{}) && a.heads[l].job == t.Job.ID {
		delete(a.heads, l)
	}
}

// lead makes a job the head of its lane in memory, and reports whether it may be: of
// two, the one that goes first stays.
func (a *ahead) lead(t delivery.Task) bool {
	l := laneOf(t)
	if l == (lane{}) {
		return true
	}
	h := head{t.Job.ID, orderOf(t.Event), t.Job.EventSeq}
	if other, ok := a.heads[l]; ok && other.job != h.job {
		if other.order < h.order || other.order == h.order && other.seq < h.seq {
			return false
		}
		a.remove(other.job)
	}
	a.heads[l] = h
	return true
}

func laneOf(t delivery.Task) lane {
	if t.Event.Entity == "" {
		return lane{}
	}
	return lane{t.Job.Target, t.Event.Entity}
}

// orderOf returns the place of an event among those of its entity.
func orderOf(e *delivery.Event) int64 {
	if !e.OrderAt.IsZero() {
		return e.OrderAt.UnixMicro()
	}
	return micros(e.ReceivedAt).Int64
}

// newJob is a job of an event about to be committed.
type newJob struct {
	id     int64
	target string
	due    int64
	first  bool // of its lane; otherwise it was put off
}

// handOver puts the jobs of an event that was just committed into memory. Jobs that
// are due after others which are not there stay in the database too: they are read
// ahead in their turn.
func (db *DB) handOver(e *delivery.Event, jobs []newJob, size int) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	for _, j := range jobs {
		own := *e // targets do not share it
		at := time.UnixMicro(j.due).UTC()
		t := delivery.Task{Event: &own, Job: delivery.Job{
			ID: j.id, EventSeq: e.Seq, Target: j.target, State: delivery.Pending, NextAt: at, RoundAt: at,
		}}
		if db.claimed(j.id, jobName{e.DeliveryID, j.target}) || db.ahead.jobs.Has(j.id) {
			continue // it was read ahead since the commit
		}
		// Those behind it have to leave, whether it fits in or not.
		leads := j.first && db.ahead.lead(t)
		if leads && j.due <= db.ahead.next(j.target) && !db.busy(laneOf(t)) && db.ahead.jobs.Room(j.target, size) {
			db.ahead.jobs.Put(t, size)
			continue
		}
		db.ahead.behead(t)
		db.ahead.lower(j.target, j.due)
	}
}

// receivedAgain counts a duplicate of the event of some jobs.
func (db *DB) receivedAgain(jobs []int64, count int) {
	if len(jobs) == 0 {
		return
	}
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	for _, id := range jobs {
		if e := db.ahead.jobs.Event(id); e != nil {
			e.Duplicates = count
		}
	}
}

// leave drops a job that has changed in the database.
func (db *DB) leave(job int64) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	db.ahead.remove(job)
}

// requeued is for jobs that a replay has made due.
func (db *DB) requeued(targets []string, due int64) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	if len(db.ahead.heads) > 0 {
		db.ahead.forget() // they may go before others of their entities
		return
	}
	for _, target := range targets {
		db.ahead.lower(target, due)
	}
}

// forgetAhead is for changes of which it is not known, or not worth knowing, what
// they mean for the jobs in memory.
func (db *DB) forgetAhead() {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	db.ahead.forget()
}

// waitingJobs are the jobs of a target that wait, from a time on. Those that are
// claimed, or in memory, are passed over.
//
// head is the first pending job of the same entity, by its event; a job that
// is not the head is blocked.
const waitingJobs = `
SELECT ` + jobColumns + `, (SELECT delivery_id FROM events WHERE seq = event_seq), (SELECT length(body) FROM events WHERE seq = event_seq),
	entity, iif(entity = '', event_seq, (
	SELECT b.event_seq FROM jobs AS b
	WHERE b.target = jobs.target AND b.entity = jobs.entity AND b.entity <> '' AND b.state = 'pending'
	ORDER BY b.order_at, b.event_seq LIMIT 1)) AS head
FROM jobs
WHERE target = ? AND state = 'pending' AND next_at >= ?
ORDER BY next_at, id`

// readAhead moves the horizon of a target: it reads at least want jobs that are due
// at now into memory, or all, and finds when the one after them is due. It returns
// the blocked jobs that it met.
//
// It holds claimMu across the query. Finish gives up its claim after its commit; so
// a job that looks pending because the query began before that commit still has
// its claim and is skipped. The caller holds claimMu.
func (db *DB) readAhead(ctx context.Context, target string, now time.Time, want int) (blocked []int64, err error) {
	rows, err := db.queries.waitingJobs.QueryContext(ctx, target, db.ahead.next(target))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []waitingJob
	h := horizon{next: never, exact: true, at: time.Now()}
	bytes := 0
	for looked := 0; rows.Next(); looked++ {
		var j waitingJob
		var size sql.NullInt64
		var of sql.NullString
		var entity string
		var first int64
		if j.Job, err = scanJob(rows, &of, &size, &entity, &first); err != nil {
			return nil, err
		}
		j.delivery, j.size = of.String, int(size.Int64)+rowBytes
		if db.claimed(j.ID, jobName{j.delivery, target}) || db.ahead.jobs.Has(j.ID) || entity != "" && db.busy(lane{target, entity}) {
			continue
		}
		h.next = j.NextAt.UnixMicro()
		enough := len(jobs) >= want && (len(jobs) >= readAheadJobs || bytes >= readAheadBytes || want == 0)
		if enough || j.NextAt.After(now) || looked >= maxLook && len(blocked) > 0 {
			break
		}
		h.next = never
		if first != j.EventSeq {
			blocked = append(blocked, j.ID)
			continue
		}
		bytes += j.size
		jobs = append(jobs, j)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if hidden := db.ahead.hides(target); hidden < h.next {
		h.next, h.exact = hidden, false
	}
	db.ahead.horizons[target] = h
	if err := db.loadAhead(ctx, jobs); err != nil {
		db.ahead.lose(target)
		return nil, err
	}
	return blocked, nil
}

// waitingJob is a job whose event has not been read.
type waitingJob struct {
	delivery.Job
	delivery string
	size     int
}

// loadAhead puts jobs into memory with their events, which it reads in a later state
// of the database than that in which the jobs were found: a job whose event has
// changed or gone, because the database was restored in between, is left out.
func (db *DB) loadAhead(ctx context.Context, jobs []waitingJob) error {
	if len(jobs) == 0 {
		return nil
	}
	seqs := make([]int64, len(jobs))
	for i, j := range jobs {
		seqs[i] = j.EventSeq
	}
	rows, err := db.queries.eventsBySeq.QueryContext(ctx, jsonList(seqs))
	if err != nil {
		return err
	}
	events, err := collect(rows, scanEvent)
	if err != nil {
		return err
	}
	bySeq := make(map[int64]*delivery.Event, len(events))
	for _, e := range events {
		bySeq[e.Seq] = e
	}
	for _, j := range jobs {
		if e := bySeq[j.EventSeq]; e != nil && e.DeliveryID == j.delivery {
			if t := (delivery.Task{Job: j.Job, Event: e}); db.ahead.lead(t) {
				db.ahead.jobs.Put(t, j.size)
			}
		}
	}
	return nil
}
