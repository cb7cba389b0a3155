package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// describe names a database without its secrets.
func describe(c *pgx.ConnConfig) string {
	return fmt.Sprintf("%q on %s", c.Database, strings.Join(allHosts(c), ", "))
}

// poolSized reports whether the URL limits the number of connections.
func poolSized(text string) bool {
	u, err := url.Parse(text)
	return strings.Contains(text, "pool_max_conns") && (err != nil || u.Query().Has("pool_max_conns"))
}

// Codes of PostgreSQL (documentation, appendix A), and what to do about them.
// USER and SCHEMA are filled in.
var hints = map[string]string{
	"08P01": "the server there does not behave like PostgreSQL: name the server itself, or a pool of PgBouncer in transaction or session mode without parameters that it does not know, in HOOKSWITCH_STORE",
	"22021": "the encoding of the database lacks a letter: create it with ENCODING 'UTF8'",
	"22P05": "the encoding of the database lacks a letter: create it with ENCODING 'UTF8'",
	"25006": readOnlyHint,
	"26000": pooledHint,
	"28000": "the server rejects this user: see HOOKSWITCH_STORE and the server's pg_hba.conf",
	"28P01": "the password is wrong: see HOOKSWITCH_STORE",
	"3D000": "create the database, or name another one in HOOKSWITCH_STORE",
	"3F000": "create the schema in the search_path, or let the user see it: GRANT USAGE ON SCHEMA ... TO USER",
	"42501": "the user may not do that: see the privileges of USER in the database",
	"42P01": "a table is missing: was it dropped, or does the search_path of USER name another schema?",
	"42P05": pooledHint,
	"53100": "the server's disk is full: make room, " + goesOn,
	"53300": "the server has too many connections: raise its max_connections, or lower pool_max_conns in HOOKSWITCH_STORE",
	"55P03": "a table or row is locked by another session for longer than the lock_timeout of USER: see pg_locks",
	"57014": "it took longer than the statement_timeout of USER, or was cancelled: ALTER ROLE USER SET statement_timeout = 0",
	"57P01": "the server is stopping: " + goesOn,
	"57P03": "the server is starting or stopping: " + goesOn,
}

const readOnlyHint = "the server is read-only: name the primary, or several hosts and target_session_attrs=read-write, in HOOKSWITCH_STORE"

const pooledHint = "there is a pooler in transaction mode before the server: the sidecar continues without prepared statements"

// Codes with several causes, each with the function of the server that reports
// one of them: its name is the same in all languages.
var routineHints = map[string]string{
	"0A000 call_bool_check_hook": readOnlyHint, // a standby does not begin a transaction that is to write
	"42501 ExecWithCheckOptions": rowSecurityHint,
	"42501 check_enable_rls":     rowSecurityHint,
	"42501 get_row_security":     rowSecurityHint,
}

const rowSecurityHint = "row-level security is on for this table and keeps USER from its rows: ALTER TABLE ... DISABLE ROW LEVEL SECURITY, or let USER own the tables"

// goesOn is the end of a hint for a store that has been opened. Nothing retries
// at the start, or when the store is being closed.
const (
	goesOn     = "the sidecar goes on by itself"
	notStarted = "then restart the sidecar, as a service manager does by itself"
)

// hint returns what to do about an error, if that is known.
func (db *DB) hint(err error) string {
	text := db.remedy(err)
	switch {
	case db.accepts == nil: // not opened yet
		text = strings.Replace(text, goesOn+" when it does", "restart it, or correct HOOKSWITCH_STORE, "+notStarted, 1)
		text = strings.Replace(text, goesOn+" when it can", "start it, or correct HOOKSWITCH_STORE, "+notStarted, 1)
		text = strings.Replace(text, goesOn, notStarted, 1)
	case db.closed():
		text, _, _ = strings.Cut(text, goesOn)
		text = strings.TrimRight(text, ":, ")
	}
	return text
}

func (db *DB) remedy(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		text := routineHints[pe.Code+" "+pe.Routine]
		switch {
		case text != "":
		case pe.Code == "42501":
			text = db.deniedHint(pe)
		default:
			text = hints[pe.Code]
		}
		return strings.NewReplacer("USER", pgx.Identifier{db.conf.User}.Sanitize(), "SCHEMA_NAME", pgx.Identifier{db.schema}.Sanitize()).Replace(text)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "read only connection"):
		return "no host of the URL is a primary that takes writes: name it in HOOKSWITCH_STORE"
	case strings.Contains(text, "require_auth"):
		return authHint
	case strings.Contains(text, "tls error: timeout"): // it was not asked for a certificate yet
		return "the server takes connections and does not answer: " + goesOn + " when it does"
	case strings.Contains(text, "tls error"):
		return "the server is there, but a TLS connection to it fails: see sslmode and sslrootcert in HOOKSWITCH_STORE"
	case strings.Contains(text, "hostname resolving error"):
		return "no such host: correct HOOKSWITCH_STORE, or fix the name service"
	case isConnectError(err), disconnected(err):
		return "the server cannot be reached: " + goesOn + " when it can"
	case timedOut(err):
		if why := db.stalls.why(); why != "" {
			return why
		}
		return "the server did not answer in time: look at its load, and at locks on the tables"
	}
	return ""
}

const authHint = "the server asks for a password in a way that is not allowed here: make it ask for scram-sha-256 (password_encryption and pg_hba.conf), and set the password again"

// deniedHint tells apart the reasons of error 42501 that routineHints does not.
func (db *DB) deniedHint(pe *pgconn.PgError) string {
	switch {
	case db.schema == "":
		return hints["42501"]
	case strings.Contains(pe.Message, "must be owner"):
		return "only the owner of the tables can change them: let USER own them, or start this version once with the role that does"
	}
	return "the user may not do that: GRANT USAGE ON SCHEMA SCHEMA_NAME TO USER; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA SCHEMA_NAME TO USER"
}

// explain wraps an error of PostgreSQL or of the connection with the operation,
// the server, and the fix. It contains neither the URL nor the password.
func (db *DB) explain(operation string, err error) error {
	if err == nil {
		return nil
	}
	plain := db.plainly(err)
	if hint := db.hint(err); hint != "" && !strings.Contains(plain.Error(), hint) {
		return fmt.Errorf("postgres: %s: database %s: %w: %s", operation, db.name, plain, hint)
	}
	return fmt.Errorf("postgres: %s: database %s: %w", operation, db.name, plain)
}

// plainError is an error in one line and without the user's name.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// plainly returns err in readable form. A connection error has a line for each
// address, twice if TLS was tried and may fail.
func (db *DB) plainly(err error) error {
	text := err.Error()
	if ce, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		var lines []string
		for line := range strings.SplitSeq(ce.Unwrap().Error(), "\n") {
			if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		text = strings.Replace(text, ce.Error(), "connect: "+strings.Join(lines, "; "), 1)
	}
	return &plainError{strings.ReplaceAll(text, "\n", " "), err}
}

func isConnectError(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// timedOut reports whether a time limit expired, which says nothing about the
// connection.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !isConnectError(err)
}

// disconnected reports whether the connection failed: the operation may have
// happened or not.
func disconnected(err error) bool {
	if err == nil {
		return false
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pe.Code {
		case "57P01", "57P02", "57P03", // the server is being stopped, has crashed, is not up
			"57P05", "25P03", "25P04": // the session was idle, or in a transaction, for too long
			return true
		}
		return strings.HasPrefix(pe.Code, "08") && pe.Code != "08P01"
	}
	if isConnectError(err) || errors.Is(err, errGone) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "conn closed")
}

// passing reports whether a transaction failed only because of another one, or
// because of a pooler that was noticed by that.
func passing(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "40P01" || pe.Code == "40001" || pe.Code == "23503") || pooledStatements(err)
}
