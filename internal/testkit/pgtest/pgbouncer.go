package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Exec runs statements in the database of a URL.
func (s *Server) Exec(tb testing.TB, database, text string) {
	tb.Helper()
	u, err := url.Parse(database)
	if err == nil {
		err = s.exec(strings.TrimPrefix(u.Path, "/"), text)
	}
	if err != nil {
		tb.Fatalf("pgtest: %s: %v", text, err)
	}
}

// As returns the URL of a database for another user.
func (s *Server) As(database, user, password string) string {
	if password == "" {
		return with(database, "user", user)
	}
	return with(database, "user", user, "password", password)
}

// with returns the URL of a database, one of ours, with other parameters.
func with(database string, parameters ...string) string {
	u, _ := url.Parse(database)
	q := u.Query()
	for pair := range slices.Chunk(parameters, 2) {
		q.Set(pair[0], pair[1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// PgBouncer starts a pooler in front of the server, with settings such as
// "pool_mode=transaction", and returns the URL of a database through it. The
// test is skipped where there is none.
func (s *Server) PgBouncer(tb testing.TB, database string, settings ...string) string {
	tb.Helper()
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		if bin = "/usr/sbin/pgbouncer"; !exists(bin) {
			lack(tb, "no pgbouncer on this machine: install it, on Debian with \"apt-get install pgbouncer\"")
		}
	}
	dir, err := os.MkdirTemp(s.dir, "pgbouncer")
	if err != nil {
		tb.Fatal(err)
	}
	conf := fmt.Sprintf("[databases]\n* = host=%s port=5432\n[pgbouncer]\nlisten_addr=\nlisten_port=5432\nunix_socket_dir=%s\nauth_type=any\nauth_file=%s\n%s\n",
		s.dir, dir, filepath.Join(dir, "users"), strings.Join(settings, "\n"))
	// auth_type=any logs every client in as the user of the database's line.
	conf = strings.Replace(conf, "port=5432\n", "port=5432 user="+superuser+"\n", 1)
	for name, text := range map[string]string{"users": fmt.Sprintf("%q \"\"\n", superuser), "pgbouncer.ini": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	if s.cred != nil {
		if err := os.Chown(dir, int(s.cred.uid), int(s.cred.gid)); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := s.program(bin, filepath.Join(dir, "pgbouncer.ini"))
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := start(cmd); err != nil {
		tb.Fatalf("pgtest: pgbouncer: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tb.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); <-ended })
	deadline, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !exists(filepath.Join(dir, ".s.PGSQL.5432")) {
		select {
		case err := <-ended:
			ended <- err
			tb.Fatalf("pgtest: pgbouncer ended: %v\n%s", err, s.log)
		case <-deadline:
			tb.Fatalf("pgtest: pgbouncer does not listen\n%s", s.log)
		case <-tick.C:
		}
	}
	return with(database, "host", dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// HBA sets who may log in how: the lines of pg_hba.conf.
func (s *Server) HBA(tb testing.TB, lines ...string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := s.exec("postgres", "SELECT pg_reload_conf()"); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
}
