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

// acceptEvents stores a group of events with their jobs, or counts duplicates,
// in one statement. Parts of a statement do not see each other's changes: an
// event that another transaction has just committed is neither inserted nor
// found, has no row in the result, and is tried again.
//
// $22 means that an earlier try may have been committed: then an event with our
// own delivery id is ours, not a duplicate.
const acceptEvents = `
WITH input AS (
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
		$8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::int[], $13::int[], $14::text[], $15::bytea[],
		$16::text[], $17::timestamptz[], $18::int[], $19::bigint[], $20::timestamptz[], $21::text[])
	AS t (key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr, key_label, signed_at,
		payload_off, payload_len, header, body, entity, order_at, more, bytes, due, traceparent)
), wanted AS (
	SELECT * FROM unnest($23::text[], $24::text[]) AS t (key, target)
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
	INSERT INTO hookswitch_jobs (event_seq, target, state, next_at, entity, order_at, round_at)
	SELECT new.seq, w.target, 'pending', i.due, i.entity, coalesce(i.order_at, i.received_at, 'epoch'), i.due
	FROM new JOIN input AS i USING (key) JOIN wanted AS w USING (key) ORDER BY new.seq
	ON CONFLICT (event_seq, target) DO NOTHING
), known AS (
	UPDATE hookswitch_events AS e
	SET duplicates = e.duplicates + CASE WHEN $22 AND e.delivery_id = i.delivery_id THEN 0 ELSE 1 + i.more END
	FROM input AS i WHERE e.key = i.key
	RETURNING e.seq, e.key, e.delivery_id, NOT ($22 AND e.delivery_id = i.delivery_id) AS duplicate
)
SELECT key, seq, delivery_id, false FROM new UNION ALL SELECT key, seq, delivery_id, duplicate FROM known`

// acceptOp is one Accept.
type acceptOp struct {
	batch.Op
	e       *delivery.Event
	row     eventRow
	targets []string
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
	row, err := encodeEvent(e, db.ascii)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("postgres: accept: %w", err)
	}
	o := &acceptOp{Op: batch.NewOp(int(row.bytes)), e: e, row: row, targets: targets}
	if err := db.accepts.do(ctx, "accept", o); err != nil {
		return store.Accepted{}, err
	}
	db.accepted(e, o.got, targets)
	return o.got, nil
}

func (db *DB) accepted(e *delivery.Event, got store.Accepted, targets []string) {
	row.FillIn(e, got)
	if !got.Duplicate {
		db.notices.add(targets)
	}
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
	var wantedKeys, wantedTargets []string
	for _, o := range ops {
		c.add(o.e, o.row, len(byKey[o.row.key])-1)
		for _, target := range o.targets {
			wantedKeys, wantedTargets = append(wantedKeys, o.row.key), append(wantedTargets, target)
		}
	}
	got := make(map[string]store.Accepted, len(ops))
	_, err := query(ctx, db, func(rows pgx.Rows) (struct{}, error) {
		var key string
		var a store.Accepted
		err := rows.Scan(&key, &a.Seq, &a.DeliveryID, &a.Duplicate)
		a.DeliveryID = unwrap(a.DeliveryID)
		got[key] = a
		return struct{}{}, err
	}, acceptEvents, append(c.args(), repeated, wantedKeys, wantedTargets)...)
	return got, err
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
