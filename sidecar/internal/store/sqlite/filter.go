package sqlite

import (
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// filterSQL returns f as a condition on records, and its arguments.
// Only the two searches for text look at other tables, each by key. Text is
// compared as bytes: a bound string where the column is text, bound bytes
// where it is a blob, because SQLite would otherwise count in characters.
func filterSQL(f store.Filter) (where string, args []any) {
	conds := []string{`status IS NOT NULL`}
	add := func(cond string, values ...any) {
		conds = append(conds, cond)
		args = append(args, values...)
	}
	if f.Status != "" {
		add(`status = ?`, f.Status)
	}
	if len(f.EventTypes) > 0 {
		add(`type IN (SELECT value FROM json_each(?))`, jsonList(f.EventTypes))
	}
	if !f.StartedFrom.IsZero() {
		add(`started_at >= ?`, f.StartedFrom.UnixMicro())
	}
	if !f.StartedTo.IsZero() {
		add(`started_at <= ?`, f.StartedTo.UnixMicro())
	}
	if !f.FinishedFrom.IsZero() {
		add(`finished_at >= ?`, f.FinishedFrom.UnixMicro())
	}
	if !f.FinishedTo.IsZero() {
		add(`finished_at <= ?`, f.FinishedTo.UnixMicro())
	}
	if t := f.WebhookContains; t != "" {
		add(webhookContains, t, t, t, []byte(t))
	}
	if t := f.AttemptsContains; t != "" {
		add(attemptsContains, t, t, t, t, t, []byte(t))
	}
	return strings.Join(conds, ` AND `), args
}

const webhookContains = `EXISTS (
	SELECT 1 FROM events AS e WHERE e.seq = records.seq AND (
		instr(e.id, ?) OR instr(e.type, ?) OR instr(e.occurred_at, ?)
		OR instr(iif(e.payload_len < 0, e.body, substr(e.body, e.payload_off + 1, e.payload_len)), ?)))`

// A header is searched as "Name: value", not as the JSON it is kept in.
const attemptsContains = `EXISTS (
	SELECT 1 FROM jobs JOIN attempts AS a ON a.job_id = jobs.id
	WHERE jobs.event_seq = records.seq AND (
		instr(a.request_url, ?) OR instr(a.error, ?)
		OR EXISTS (SELECT 1 FROM json_each(a.error_codes) AS c WHERE instr(c.value, ?))
		OR EXISTS (SELECT 1 FROM json_each(a.request_header) AS h WHERE instr((h.value ->> 0) || ': ' || (h.value ->> 1), ?))
		OR EXISTS (SELECT 1 FROM json_each(a.response_header) AS h WHERE instr((h.value ->> 0) || ': ' || (h.value ->> 1), ?))
		OR instr(a.response_body, ?)))`
