package sqlite

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
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

// encodePairs writes header pairs as a JSON array of [name, value], which SQL
// can search. JSON has no way to say bytes that are not UTF-8; a pair with
// such bytes becomes [name, value, "base64"], both parts encoded.
func encodePairs(pairs [][2]string) (sql.NullString, error) {
	if pairs == nil {
		return sql.NullString{}, nil
	}
	out := make([][]string, len(pairs))
	for i, p := range pairs {
		if utf8.ValidString(p[0]) && utf8.ValidString(p[1]) {
			out[i] = pairs[i][:]
			continue
		}
		enc := base64.StdEncoding
		out[i] = []string{enc.EncodeToString([]byte(p[0])), enc.EncodeToString([]byte(p[1])), "base64"}
	}
	b, err := json.Marshal(out)
	return sql.NullString{String: string(b), Valid: true}, err
}

func decodePairs(s sql.NullString) ([][2]string, error) {
	if !s.Valid {
		return nil, nil
	}
	var in [][]string
	if err := json.Unmarshal([]byte(s.String), &in); err != nil {
		return nil, fmt.Errorf("stored header: %w", err)
	}
	pairs := make([][2]string, len(in))
	for i, p := range in {
		switch len(p) {
		case 2:
			pairs[i] = [2]string(p)
		case 3:
			for j := range pairs[i] {
				b, err := base64.StdEncoding.DecodeString(p[j])
				if err != nil {
					return nil, fmt.Errorf("stored header: %w", err)
				}
				pairs[i][j] = string(b)
			}
		default:
			return nil, fmt.Errorf("stored header: pair %d has %d parts", i, len(p))
		}
	}
	return pairs, nil
}

// encodeAttempt returns the arguments of insertAttempt.
func encodeAttempt(a delivery.Attempt) ([]any, error) {
	request, err := encodePairs(a.RequestHeader)
	if err != nil {
		return nil, err
	}
	response, err := encodePairs(a.ResponseHeader)
	if err != nil {
		return nil, err
	}
	var codes sql.NullString
	if len(a.ErrorCodes) > 0 {
		b, err := json.Marshal(a.ErrorCodes)
		if err != nil {
			return nil, err
		}
		codes = sql.NullString{String: string(b), Valid: true}
	}
	return []any{
		a.JobID, a.N, micros(a.StartedAt), micros(a.FinishedAt), string(a.Outcome),
		a.RetryAfter.Microseconds(), a.RequestURL, request, a.ResponseStatus, response,
		a.ResponseBody, codes, a.Error,
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
	if a.RequestHeader, err = decodePairs(request); err != nil {
		return a, err
	}
	if a.ResponseHeader, err = decodePairs(response); err != nil {
		return a, err
	}
	if codes.Valid {
		if err := json.Unmarshal([]byte(codes.String), &a.ErrorCodes); err != nil {
			return a, fmt.Errorf("stored error codes: %w", err)
		}
	}
	return a, nil
}

const eventColumns = `events.seq, events.key, events.delivery_id, events.id, events.type,
	events.occurred_at, events.received_at, events.method, events.path, events.remote_addr,
	events.key_label, events.signed_at, events.payload_off, events.payload_len,
	events.duplicates, events.header, events.body, events.entity, events.order_at, events.traceparent`

// summaryColumns are eventColumns without what is large or stands behind it.
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
	e.Header, err = decodePairs(header)
	return &e, err
}
