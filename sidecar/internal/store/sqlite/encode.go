package sqlite

import (
	"database/sql"
	"time"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

func micros(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// null returns a text for a column: NULL if it is empty.
func null(text string) sql.NullString {
	return sql.NullString{String: text, Valid: text != ""}
}

// encodeAttempt returns the arguments of insertAttempt.
func encodeAttempt(a delivery.Attempt) ([]any, error) {
	texts, err := row.EncodeAttempt(&a, utf8.ValidString)
	if err != nil {
		return nil, err
	}
	return []any{
		a.JobID, a.N, micros(a.StartedAt), micros(a.FinishedAt), string(a.Outcome),
		a.RetryAfter.Microseconds(), a.RequestURL, null(texts.Request), a.ResponseStatus, null(texts.Response),
		a.ResponseBody, null(texts.Codes), a.Error,
	}, nil
}

const attemptColumns = `attempts.job_id, attempts.n, attempts.started_at, attempts.finished_at,
	attempts.outcome, attempts.retry_after, attempts.request_url, attempts.request_header,
	attempts.response_status, attempts.response_header, attempts.response_body,
	attempts.error_codes, attempts.error`

// scanAttempt reads attemptColumns and then more.
func scanAttempt(rows *sql.Rows, more ...any) (delivery.Attempt, error) {
	var (
		a                        delivery.Attempt
		started, finished        sql.NullInt64
		retryAfter               int64
		request, response, codes sql.NullString
	)
	err := rows.Scan(append([]any{
		&a.JobID, &a.N, &started, &finished,
		&a.Outcome, &retryAfter, &a.RequestURL, &request,
		&a.ResponseStatus, &response, &a.ResponseBody,
		&codes, &a.Error,
	}, more...)...)
	if err != nil {
		return a, err
	}
	a.StartedAt, a.FinishedAt = fromMicros(started), fromMicros(finished)
	a.RetryAfter = time.Duration(retryAfter) * time.Microsecond
	return a, row.Texts{Request: request.String, Response: response.String, Codes: codes.String}.Decode(&a)
}

const eventColumns = `events.seq, events.key, events.delivery_id, events.id, events.type,
	events.occurred_at, events.received_at, events.method, events.path, events.remote_addr,
	events.key_label, events.signed_at, events.payload_off, events.payload_len,
	events.duplicates, events.header, events.body, events.entity, events.order_at, events.traceparent`

// summaryColumns are eventColumns without the large columns and those after them.
const summaryColumns = `events.seq, events.key, events.delivery_id, events.id, events.type,
	events.occurred_at, events.received_at, events.method, events.path, events.remote_addr,
	events.key_label, events.signed_at, events.payload_off, events.payload_len,
	events.duplicates, NULL, NULL, '', NULL, ''`

// scanEvent reads eventColumns.
func scanEvent(rows *sql.Rows) (*delivery.Event, error) {
	var (
		e                       delivery.Event
		received, signed, order sql.NullInt64
		header                  sql.NullString
	)
	err := rows.Scan(&e.Seq, &e.Key, &e.DeliveryID, &e.ID, &e.Type,
		&e.OccurredAt, &received, &e.Method, &e.Path, &e.RemoteAddr,
		&e.KeyLabel, &signed, &e.PayloadOff, &e.PayloadLen,
		&e.Duplicates, &header, &e.Body, &e.Entity, &order, &e.Traceparent)
	if err != nil {
		return nil, err
	}
	e.ReceivedAt, e.SignedAt, e.OrderAt = fromMicros(received), fromMicros(signed), fromMicros(order)
	e.Header, err = row.DecodePairs(header.String)
	return &e, err
}
