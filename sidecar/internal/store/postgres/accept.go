package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// rowBytes is roughly the size of an event without its body and header.
const rowBytes = 1000

// acceptEvents stores a group of events with their jobs in one statement. Those that
// are there already have no row in the result. A job that is claimed at once has a
// row of its own.
const acceptEvents = `
WITH input AS (
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
		$8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::int[], $13::int[], $14::text[], $15::bytea[],
		$16::text[], $17::timestamptz[], $18::int[], $19::bigint[], $20::timestamptz[], $21::text[])
	AS t (key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr, key_label, signed_at,
		payload_off, payload_len, header, body, entity, order_at, more, bytes, due, traceparent)
), wanted AS (
	SELECT * FROM unnest($22::text[], $23::text[], $24::text[]) AS t (key, target, owner)
), new AS (
	INSERT INTO hookswitch_events (key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr,
		key_label, signed_at, payload_off, payload_len, header, body, entity, order_at, duplicates, traceparent)
	SELECT key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr,
		key_label, signed_at, payload_off, payload_len, header, body, entity, order_at, more, traceparent FROM input
	ON CONFLICT (key) DO NOTHING RETURNING seq, key, delivery_id
), record AS (
	INSERT INTO hookswitch_records (seq, type, received_at, handled, bytes)
	SELECT new.seq, i.type, coalesce(i.received_at, 'epoch'), EXISTS (SELECT 1 FROM wanted AS w WHERE w.key = i.key), i.bytes
	FROM new JOIN input AS i USING (key)
), job AS (
	INSERT INTO hookswitch_jobs (event_seq, target, state, next_at, entity, order_at, round_at, owner)
	SELECT new.seq, w.target, 'pending', i.due, i.entity, coalesce(i.order_at, i.received_at, 'epoch'), i.due, w.owner
	FROM new JOIN input AS i USING (key) JOIN wanted AS w USING (key) ORDER BY new.seq
	ON CONFLICT (event_seq, target) DO NOTHING RETURNING id, event_seq, target, owner
)
SELECT key, seq, delivery_id, job.id, job.target FROM new LEFT JOIN job ON job.event_seq = new.seq AND job.owner IS NOT NULL`

// countDuplicates counts events that are there already. With again an earlier try may
// have been committed: then an event with our own delivery id is ours, and not a
// duplicate. One that was removed meanwhile has no row in the result, and is tried
// again.
const countDuplicates = `
UPDATE hookswitch_events AS e
SET duplicates = e.duplicates + CASE WHEN i.again AND e.delivery_id = i.delivery_id THEN 0 ELSE 1 + i.more END
FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[]) AS i (key, delivery_id, more, again) WHERE e.key = i.key
RETURNING e.key, e.seq, e.delivery_id, NOT (i.again AND e.delivery_id = i.delivery_id)`

// acceptOp is one Accept.
type acceptOp struct {
	batch.Op
	e       *delivery.Event
	row     eventRow
	targets []string
	claims  []*string // by target: who claims its job at once
	stored  bool      // an earlier try has committed it
	got     store.Accepted
}

// tame implements operation: no part of an event may be left out.
func (o *acceptOp) tame() bool {
	if o.row.ascii {
		return false
	}
	row, err := encodeEvent(o.e, true)
	row.deliveryID = o.row.deliveryID // a try may have been committed
	o.row = row
	return err == nil
}

// eventRow has the columns of an event that are not simply its fields.
type eventRow struct {
	key, deliveryID string
	header          string
	body            []byte
	due             time.Time
	bytes           int64
	ascii           bool // text with other letters is wrapped
}

func encodeEvent(e *delivery.Event, ascii bool) (r eventRow, err error) {
	text := wrapper(ascii)
	r.key, r.deliveryID, r.ascii = text(e.Key), text(e.DeliveryID), ascii
	if r.deliveryID == "" {
		if r.deliveryID, err = row.NewID(); err != nil {
			return r, err
		}
	}
	if r.header, err = row.EncodePairs(e.Header, plain(ascii)); err != nil {
		return r, err
	}
	if r.body = e.Body; r.body == nil {
		r.body = []byte{}
	}
	r.due = *at(row.DueAtOnce(e.ReceivedAt))
	r.bytes = int64(len(r.body) + rowBytes + len(r.header))
	return r, nil
}

// Accept implements [store.Store].
func (db *DB) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	encoded, err := encodeEvent(e, db.ascii)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("postgres: accept: %w", err)
	}
	o := &acceptOp{Op: batch.NewOp(int(encoded.bytes)), e: e, row: encoded, targets: targets}
	if err := db.accepts.do(ctx, "accept", o); err != nil {
		return store.Accepted{}, err
	}
	row.FillIn(e, o.got)
	return o.got, nil
}

// offered tells the others of an event that has been stored with jobs for targets
// that nobody has claimed.
func (db *DB) offered(got store.Accepted, targets []string) {
	if !got.Duplicate && len(targets) > 0 {
		db.held.changed(targets...)
		db.notices.add(targets)
	}
}

// offer offers the jobs of an event to everybody, except those that were claimed at
// once.
func (o *acceptOp) offer(db *DB) {
	offered := o.targets
	if slices.ContainsFunc(o.claims, func(owner *string) bool { return owner != nil }) {
		offered = nil
		for i, owner := range o.claims {
			if owner == nil {
				offered = append(offered, o.targets[i])
			}
		}
	}
	db.offered(o.got, offered)
}

// task returns a job of the event as Claim would.
func (o *acceptOp) task(job int64, target string, more int) delivery.Task {
	e := *o.e
	e.Seq, e.DeliveryID, e.Duplicates = o.got.Seq, o.got.DeliveryID, more
	e.ReceivedAt, e.SignedAt, e.OrderAt = fromAt(at(e.ReceivedAt)), fromAt(at(e.SignedAt)), fromAt(at(e.OrderAt))
	return delivery.Task{Event: &e, Job: delivery.Job{
		ID: job, EventSeq: e.Seq, Target: target, State: delivery.Pending, NextAt: o.row.due, RoundAt: o.row.due,
	}}
}

// acceptAll commits a group of Accepts. Of several with the same key the first
// is stored and the others are its duplicates.
func (db *DB) acceptAll(ctx context.Context, ops []*acceptOp, _ []error, repeated bool) error {
	byKey := make(map[string][]*acceptOp, len(ops))
	first := make([]*acceptOp, 0, len(ops))
	for _, o := range ops {
		if len(byKey[o.row.key]) == 0 {
			first = append(first, o)
		}
		byKey[o.row.key] = append(byKey[o.row.key], o)
	}
	// In the same order everywhere, so that two groups do not wait for each other.
	slices.SortFunc(first, func(a, b *acceptOp) int { return cmp.Compare(a.row.key, b.row.key) })
	for range 5 {
		got, err := db.acceptEvents(ctx, first, byKey, repeated)
		if err != nil || repeated { // jobs that were claimed nevertheless are given back soon
			db.lease.poke()
		}
		if err != nil {
			return err
		}
		for key, a := range got {
			for i, o := range byKey[key] {
				o.got = a
				o.got.Duplicate = a.Duplicate || i > 0
			}
		}
		first = slices.DeleteFunc(first, func(o *acceptOp) bool { _, ok := got[o.row.key]; return ok })
		if len(first) == 0 {
			return nil
		}
	}
	return errors.New("an event is stored and removed again and again by others")
}

func (db *DB) acceptEvents(ctx context.Context, ops []*acceptOp, byKey map[string][]*acceptOp, repeated bool) (map[string]store.Accepted, error) {
	var c eventColumnsOf
	var wanted wantedJobs
	claims := db.held.gate.pass() // no event waits for a gate that is shut
	if claims {
		defer db.held.gate.leave()
	}
	for _, o := range ops {
		c.add(o.e, o.row, len(byKey[o.row.key])-1)
		o.claims = wanted.add(db, o, claims)
	}
	rows, err := query(ctx, db, scanAccepted, acceptEvents, append(c.args(), wanted.keys, wanted.targets, wanted.owners)...)
	if err != nil {
		return nil, err
	}
	got := make(map[string]store.Accepted, len(ops))
	for _, a := range rows {
		got[a.key] = a.got
		if a.job > 0 {
			o := byKey[a.key][0]
			o.got = a.got
			db.held.put(o.task(a.job, a.target, len(byKey[a.key])-1))
		}
	}
	for _, o := range ops {
		if a, ok := got[o.row.key]; ok {
			o.got, o.stored = a, true
			o.offer(db)
		}
	}
	return got, db.countDuplicates(ctx, ops, byKey, repeated, got)
}

// countDuplicates adds those of ops that are not in got yet.
func (db *DB) countDuplicates(ctx context.Context, ops []*acceptOp, byKey map[string][]*acceptOp, repeated bool, got map[string]store.Accepted) error {
	var keys, deliveries []string
	var more []int
	var again []bool
	for _, o := range ops {
		if _, ok := got[o.row.key]; !ok {
			keys, deliveries, more = append(keys, o.row.key), append(deliveries, o.row.deliveryID), append(more, len(byKey[o.row.key])-1)
			again = append(again, repeated || o.stored)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	known, err := query(ctx, db, func(rows pgx.Rows) (a acceptedRow, err error) {
		err = rows.Scan(&a.key, &a.got.Seq, &a.got.DeliveryID, &a.got.Duplicate)
		return a, err
	}, countDuplicates, keys, deliveries, more, again)
	for _, a := range known {
		a.got.DeliveryID = unwrap(a.got.DeliveryID)
		got[a.key] = a.got
	}
	return err
}

// acceptedRow is a row of the result of acceptEvents.
type acceptedRow struct {
	key, target string
	got         store.Accepted
	job         int64 // 0 unless it was claimed at once
}

func scanAccepted(rows pgx.Rows) (a acceptedRow, err error) {
	var job *int64
	var target *string
	if err = rows.Scan(&a.key, &a.got.Seq, &a.got.DeliveryID, &job, &target); job != nil {
		a.job, a.target = *job, *target
	}
	a.got.DeliveryID = unwrap(a.got.DeliveryID)
	return a, err
}

// wantedJobs are the jobs of new events as lists that unnest takes.
type wantedJobs struct {
	keys, targets []string
	owners        []*string // of those that are claimed at once
}

// add adds the jobs of an event, some of them claimed if they may be, and returns who
// claims each.
func (w *wantedJobs) add(db *DB, o *acceptOp, claims bool) []*string {
	from := len(w.owners)
	for _, target := range o.targets {
		var owner *string
		if claims && db.held.wants(target, o.e) {
			owner = &db.owner
		}
		w.keys, w.targets, w.owners = append(w.keys, o.row.key), append(w.targets, target), append(w.owners, owner)
	}
	return w.owners[from:]
}

// eventColumnsOf turns events into the lists that unnest takes.
type eventColumnsOf struct {
	key, delivery, id, kind, occurred, method, path, remote, label, entity, trace []string
	header                                                                        []*string
	received, signed, order                                                       []*time.Time
	due                                                                           []time.Time
	off, length, more                                                             []int
	body                                                                          [][]byte
	bytes                                                                         []int64
}

func (c *eventColumnsOf) add(e *delivery.Event, r eventRow, more int) {
	text := wrapper(r.ascii)
	c.key, c.delivery = append(c.key, r.key), append(c.delivery, r.deliveryID)
	c.id, c.kind, c.occurred = append(c.id, text(e.ID)), append(c.kind, text(e.Type)), append(c.occurred, text(e.OccurredAt))
	c.method, c.path = append(c.method, text(e.Method)), append(c.path, text(e.Path))
	c.remote, c.label = append(c.remote, text(e.RemoteAddr)), append(c.label, text(e.KeyLabel))
	c.entity, c.header = append(c.entity, text(e.Entity)), append(c.header, null(r.header))
	c.trace = append(c.trace, text(e.Traceparent))
	c.received, c.signed, c.order = append(c.received, at(e.ReceivedAt)), append(c.signed, at(e.SignedAt)), append(c.order, at(e.OrderAt))
	c.due = append(c.due, r.due)
	c.off, c.length, c.more = append(c.off, e.PayloadOff), append(c.length, e.PayloadLen), append(c.more, more)
	c.body, c.bytes = append(c.body, r.body), append(c.bytes, r.bytes)
}

func (c *eventColumnsOf) args() []any {
	return []any{c.key, c.delivery, c.id, c.kind, c.occurred, c.received, c.method, c.path, c.remote, c.label, c.signed,
		c.off, c.length, c.header, c.body, c.entity, c.order, c.more, c.bytes, c.due, c.trace}
}
