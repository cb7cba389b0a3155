package postgres

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// describe names a database without its secrets.
func describe(c *pgx.ConnConfig) string {
	host := c.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, fmt.Sprint(c.Port))
	}
	return fmt.Sprintf("%q on %s", c.Database, host)
}

// poolSized reports whether the URL says how many connections there may be.
func poolSized(text string) bool {
	u, err := url.Parse(text)
	return strings.Contains(text, "pool_max_conns") && (err != nil || u.Query().Has("pool_max_conns"))
}

// Codes of PostgreSQL (documentation, appendix A), and what to do about them.
var hints = map[string]string{
	"28P01": "the password is wrong: see HOOKSWITCH_STORE",
	"28000": "the server does not let this user in: see HOOKSWITCH_STORE and the server's pg_hba.conf",
	"3D000": "create the database, or name another one in HOOKSWITCH_STORE",
	"42501": "the user may not do that: GRANT CREATE, USAGE ON SCHEMA public TO the user, or let it own the database",
	"53100": "the server's disk is full: make room, the sidecar goes on by itself",
	"53300": "the server has too many connections: raise its max_connections, or lower pool_max_conns in HOOKSWITCH_STORE",
	"25006": "the server is read-only: name the primary, or several hosts and target_session_attrs=read-write, in HOOKSWITCH_STORE",
	"57P03": "the server is starting or stopping: the sidecar goes on by itself",
	"57P01": "the server is stopping: the sidecar goes on by itself",
}

// explain wraps an error of PostgreSQL or of the connection to it with what
// was being done, where, and the remedy. Neither the URL nor the password is
// in it.
func (db *DB) explain(operation string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		hint = hints[pe.Code]
	} else if disconnected(err) {
		hint = "the server cannot be reached: the sidecar goes on by itself when it can"
	}
	if ce, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		// Its text has the user's name and every address that was tried.
		err = fmt.Errorf("connect: %w", ce.Unwrap())
	}
	if hint != "" {
		return fmt.Errorf("postgres: %s: database %s: %w: %s", operation, db.name, err, hint)
	}
	return fmt.Errorf("postgres: %s: database %s: %w", operation, db.name, err)
}

// disconnected reports whether the connection failed: what was asked for may
// have happened or not.
func disconnected(err error) bool {
	if err == nil {
		return false
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pe.Code {
		case "57P01", "57P02", "57P03": // the server is being stopped, has crashed, is not up
			return true
		}
		return strings.HasPrefix(pe.Code, "08")
	}
	var ne net.Error
	var ce *pgconn.ConnectError
	return errors.As(err, &ce) || errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "conn closed")
}

// passing reports whether a transaction failed only because of another one.
func passing(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "40P01" || pe.Code == "40001" || pe.Code == "23503")
}
