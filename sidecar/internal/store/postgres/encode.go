package postgres

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// at returns a time as a parameter: the zero time is NULL, and PostgreSQL keeps
// microseconds, so nothing finer is sent.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

func fromAt(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// wrapped begins a text that PostgreSQL cannot hold unchanged: it refuses NUL and
// bytes that are not UTF-8, both of which strangers can send.
const wrapped = "\x1abase64:"

// wrap returns s in a form that PostgreSQL can hold. Nearly always that is s.
func wrap(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) && !strings.HasPrefix(s, wrapped) {
		return s
	}
	return wrapped + base64.StdEncoding.EncodeToString([]byte(s))
}

// asciiArgs returns the arguments of a statement for a server that cannot hold
// every letter: text beyond ASCII is wrapped.
func asciiArgs(args []any) []any {
	args = slices.Clone(args)
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			args[i] = onlyASCII(v)
		case []string:
			list := make([]string, len(v))
			for j := range v {
				list[j] = onlyASCII(v[j])
			}
			args[i] = list
		}
	}
	return args
}

// wrapper returns wrap, or wrapASCII.
func wrapper(ascii bool) func(string) string {
	if ascii {
		return wrapASCII
	}
	return wrap
}

func wrapASCII(s string) string {
	return onlyASCII(wrap(s))
}

// onlyASCII leaves wrapped text alone.
func onlyASCII(s string) string {
	if isASCII(s) {
		return s
	}
	return wrapped + base64.StdEncoding.EncodeToString([]byte(s))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// asciiTx is a transaction with a server that cannot hold every letter.
type asciiTx struct{ pgx.Tx }

func (t asciiTx) Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error) {
	return t.Tx.Exec(ctx, text, asciiArgs(args)...)
}

func (t asciiTx) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	return t.Tx.Query(ctx, text, asciiArgs(args)...)
}

func (t asciiTx) QueryRow(ctx context.Context, text string, args ...any) pgx.Row {
	return t.Tx.QueryRow(ctx, text, asciiArgs(args)...)
}

func unwrap(s string) string {
	code, ok := strings.CutPrefix(s, wrapped)
	if !ok {
		return s
	}
	b, err := base64.StdEncoding.DecodeString(code)
	if err != nil {
		return s // not ours
	}
	return string(b)
}

// plain returns the condition on a header pair for being written unchanged.
func plain(ascii bool) func(string) bool {
	if ascii {
		return plainASCII
	}
	return plainText
}

func plainText(s string) bool  { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
func plainASCII(s string) bool { return plainText(s) && isASCII(s) }

// null returns a text for a column: NULL if it is empty.
func null(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func fromNull(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// encodedAttempt is an attempt about to be stored.
type encodedAttempt struct {
	delivery.Attempt
	row.Texts
	ascii bool // text with other letters is wrapped
}

func encodeAttempt(a delivery.Attempt, ascii bool) (e encodedAttempt, err error) {
	e.Attempt, e.ascii = a, ascii
	e.Texts, err = row.EncodeAttempt(&a, plain(ascii))
	return e, err
}

// bytes returns how much the attempt adds to the size of its event.
func (e *encodedAttempt) bytes() int64 {
	return int64(len(e.ResponseBody) + rowBytes/4 + len(e.Request) + len(e.Response))
}

const attemptColumns = `a.job_id, a.n, a.started_at, a.finished_at, a.outcome, a.retry_after, a.request_url,
	a.request_header, a.response_status, a.response_header, a.response_body, a.error_codes, a.error`

// scanAttempt reads attemptColumns and then more.
func scanAttempt(rows pgx.Rows, more ...any) (delivery.Attempt, error) {
	var (
		a                        delivery.Attempt
		started, finished        *time.Time
		retryAfter               int64
		request, response, codes *string
	)
	err := rows.Scan(append([]any{
		&a.JobID, &a.N, &started, &finished, &a.Outcome, &retryAfter, &a.RequestURL,
		&request, &a.ResponseStatus, &response, &a.ResponseBody, &codes, &a.Error,
	}, more...)...)
	if err != nil {
		return a, err
	}
	a.StartedAt, a.FinishedAt = fromAt(started), fromAt(finished)
	a.RetryAfter = time.Duration(retryAfter) * time.Microsecond
	a.RequestURL, a.Error = unwrap(a.RequestURL), unwrap(a.Error)
	return a, row.Texts{Request: fromNull(request), Response: fromNull(response), Codes: fromNull(codes)}.Decode(&a)
}

const eventColumns = `e.seq, e.key, e.delivery_id, e.id, e.type, e.occurred_at, e.received_at, e.method, e.path,
	e.remote_addr, e.key_label, e.signed_at, e.payload_off, e.payload_len, e.duplicates, e.header, e.body, e.entity, e.order_at, e.traceparent`

// summaryColumns are eventColumns without the large columns and those after them.
const summaryColumns = `e.seq, e.key, e.delivery_id, e.id, e.type, e.occurred_at, e.received_at, e.method, e.path,
	e.remote_addr, e.key_label, e.signed_at, e.payload_off, e.payload_len, e.duplicates, NULL::text, NULL::bytea, '', NULL::timestamptz, ''`

// scanEvent reads eventColumns after more.
func scanEvent(rows pgx.Rows, more ...any) (*delivery.Event, error) {
	var (
		e                       delivery.Event
		received, signed, order *time.Time
		header                  *string
	)
	err := rows.Scan(append(more, &e.Seq, &e.Key, &e.DeliveryID, &e.ID, &e.Type, &e.OccurredAt, &received,
		&e.Method, &e.Path, &e.RemoteAddr, &e.KeyLabel, &signed, &e.PayloadOff, &e.PayloadLen,
		&e.Duplicates, &header, &e.Body, &e.Entity, &order, &e.Traceparent)...)
	if err != nil {
		return nil, err
	}
	for _, s := range []*string{&e.Key, &e.DeliveryID, &e.ID, &e.Type, &e.OccurredAt, &e.Method, &e.Path, &e.RemoteAddr, &e.KeyLabel, &e.Entity, &e.Traceparent} {
		*s = unwrap(*s)
	}
	e.ReceivedAt, e.SignedAt, e.OrderAt = fromAt(received), fromAt(signed), fromAt(order)
	e.Header, err = row.DecodePairs(fromNull(header))
	return &e, err
}

const jobColumns = `j.id, j.event_seq, j.target, j.state, j.attempts, j.next_at, j.round, j.base, j.round_at, j.was`

// scanJob reads jobColumns.
func scanJob(rows pgx.Rows) (j delivery.Job, err error) {
	var due, round *time.Time
	err = rows.Scan(jobFields(&j, &due, &round)...)
	return jobTimes(j, due, round), err
}

func jobFields(j *delivery.Job, due, round **time.Time) []any {
	return []any{&j.ID, &j.EventSeq, &j.Target, &j.State, &j.Attempts, due, &j.Round, &j.Base, round, &j.Was}
}

func jobTimes(j delivery.Job, due, round *time.Time) delivery.Job {
	if j.State == delivery.Pending {
		j.NextAt = fromAt(due)
	}
	j.RoundAt = fromAt(round)
	return j
}

func collect[T any](rows pgx.Rows, scan func(pgx.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	return row.Collect(rows, scan)
}

func scanOne[T any](rows pgx.Rows) (v T, err error) {
	err = rows.Scan(&v)
	return v, err
}
