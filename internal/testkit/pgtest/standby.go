package pgtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Standby makes and starts a streaming standby of s, called name, which is
// stopped when the test ends. It is asynchronous unless [Server.Set] says
// otherwise of s.
func (s *Server) Standby(tb testing.TB, name string) *Server {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(s.bin, "pg_basebackup")); err != nil {
		lack(tb, "no pg_basebackup beside the server: %v", err)
	}
	standby := newServer(tb, s.bin)
	conninfo := "host=" + s.dir + " user=" + superuser + " application_name=" + name
	backup := standby.command("pg_basebackup", "--pgdata", standby.data(), "--dbname", conninfo, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		tb.Fatalf("pgtest: pg_basebackup: %v\n%s", err, out)
	}
	standby.runForTest(tb)
	return standby
}

// Set changes a setting of a running server.
func (s *Server) Set(tb testing.TB, setting, value string) {
	tb.Helper()
	for _, text := range []string{"ALTER SYSTEM SET " + setting + " = '" + value + "'", "SELECT pg_reload_conf()"} {
		if err := s.exec("postgres", text); err != nil {
			tb.Fatalf("pgtest: %v", err)
		}
	}
}

// CutOff makes a standby hear no more of its primary.
func (s *Server) CutOff(tb testing.TB) {
	tb.Helper()
	s.Set(tb, "primary_conninfo", "")
	s.await(tb, "no WAL receiver", "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
}

// CaughtUp waits until a standby has replayed all that its primary has written.
func (s *Server) CaughtUp(tb testing.TB, primary *Server) {
	tb.Helper()
	at := primary.ask(tb, "SELECT pg_current_wal_lsn()::text")
	s.await(tb, "replay of "+at, "SELECT pg_last_wal_replay_lsn() >= '"+at+"'::pg_lsn")
}

// Promote makes a standby a primary, and waits until it is.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	s.await(tb, "promotion", "SELECT pg_promote()")
	s.await(tb, "the end of recovery", "SELECT NOT pg_is_in_recovery()")
}

// Either returns the URL of a database that leads to whichever of two servers is
// the primary.
func Either(tb testing.TB, database string, servers ...*Server) string {
	tb.Helper()
	var hosts []string
	for _, s := range servers {
		hosts = append(hosts, s.dir)
	}
	return with(database, "host", strings.Join(hosts, ","), "target_session_attrs", "read-write")
}

// await waits until a query says true.
func (s *Server) await(tb testing.TB, what, query string) {
	tb.Helper()
	deadline := time.Now().Add(time.Minute)
	for s.ask(tb, "SELECT ("+query+")::text") != "true" {
		if time.Now().After(deadline) {
			tb.Fatalf("pgtest: %s: not within a minute", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Dump returns a database as pg_dump writes it, for Restore.
func (s *Server) Dump(tb testing.TB, database string) (script []byte) {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(s.bin, "pg_dump")); err != nil {
		lack(tb, "no pg_dump beside the server: %v", err)
	}
	dump := s.command("pg_dump", "--clean", "--if-exists", "--dbname", database)
	script, err := dump.Output()
	if err != nil {
		tb.Fatalf("pgtest: pg_dump: %v", err)
	}
	return script
}

// Restore makes a database what it was when it was dumped, even while it is used.
func (s *Server) Restore(tb testing.TB, database string, script []byte) {
	tb.Helper()
	psql := s.command("psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--output", os.DevNull, "--dbname", database)
	psql.Stdin = bytes.NewReader(script)
	if out, err := psql.CombinedOutput(); err != nil {
		tb.Fatalf("pgtest: psql: %v\n%s", err, out)
	}
}
