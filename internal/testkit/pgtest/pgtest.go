// Package pgtest runs a real PostgreSQL for tests: a cluster of its own in a
// temporary directory, reached by a unix socket only, with all the syncs of a
// server that means it.
//
// Start with [Start] and give each test a database by [Server.Database]. On a
// machine without PostgreSQL the test is skipped, unless HOOKSWITCH_POSTGRES
// is "require", as it is in CI.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
)

// Server is a running PostgreSQL. Its methods are safe for concurrent use, but
// for those that start and stop it.
type Server struct {
	bin  string // directory of the programs
	dir  string // holds the data and the socket
	log  *output.Buffer
	cred *account // another user, when this one is root

	cmd       *exec.Cmd
	exited    chan struct{}
	databases atomic.Int32
}

// account is a user and a group.
type account struct{ uid, gid uint32 }

// superuser owns the databases.
const superuser = "hookswitch"

// Start makes and starts a server, which is stopped when the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	bin, err := find()
	if err != nil {
		lack(tb, "no PostgreSQL on this machine (%v): install it, on Debian with \"apt-get install postgresql\"", err)
	}
	s := newServer(tb, bin)
	if err := s.initialize(); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	s.runForTest(tb)
	return s
}

// Programs returns the folder that the server's program is in, with its tools.
func (s *Server) Programs() string { return s.bin }

// lack skips a test for want of a program, or fails it where HOOKSWITCH_POSTGRES
// says that all of them are there, as in CI.
func lack(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("HOOKSWITCH_POSTGRES") == "require" {
		tb.Fatalf("pgtest: "+format, args...)
	}
	tb.Skipf(format, args...)
}

// template is the data directory of a new server as a tar archive. Unpacking it
// takes a fifth of the work of initdb, and in memory it leaves nothing behind.
var template struct {
	sync.Mutex
	tar []byte // guarded by Mutex; nil until a server was made
}

// initialize makes the data directory.
func (s *Server) initialize() error {
	template.Lock()
	defer template.Unlock()
	if template.tar != nil {
		unpack := s.program("tar", "-x", "-p", "-f", "-")
		unpack.Stdin = bytes.NewReader(template.tar)
		_, err := run(unpack)
		return err
	}
	_, err := run(s.command("initdb", "--pgdata", s.data(), "--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"))
	if err == nil {
		template.tar, err = run(s.program("tar", "-c", "-f", "-", filepath.Base(s.data())))
	}
	return err
}

// run runs a program and returns its standard output.
func run(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, &stderr)
	}
	return out, nil
}

// newServer returns a server without data.
func newServer(tb testing.TB, bin string) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pgtest") // not tb.TempDir: too long for a socket, and closed to other users
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{bin: bin, dir: dir, log: new(output.Buffer)}
	if os.Getuid() == 0 {
		if s.cred, err = another(); err == nil {
			err = os.Chown(dir, int(s.cred.uid), int(s.cred.gid))
		}
		if err != nil {
			tb.Fatalf("pgtest: PostgreSQL does not run as root: %v", err)
		}
	}
	return s
}

// runForTest runs the server until the test ends.
func (s *Server) runForTest(tb testing.TB) {
	tb.Helper()
	s.Run(tb)
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("the server's log:\n%s", s.log)
		}
	})
}

// find returns the directory with the programs of the newest server.
func find() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
				return filepath.Dir(path), nil
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("neither postgres in PATH nor /usr/lib/postgresql")
	}
	return filepath.Dir(slices.Max(found)), nil
}

// another returns a user who is not root.
func another() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &account{uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, errors.New("there is no user postgres or nobody")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command returns a command of PostgreSQL's.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	return s.program(filepath.Join(s.bin, name), args...)
}

// program returns a command that runs as the server does.
func (s *Server) program(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = process(s.cred)
	return cmd
}

// Run starts the server, again after Stop or Kill, and waits until it answers.
func (s *Server) Run(tb testing.TB) {
	tb.Helper()
	s.cmd = s.command("postgres", "-D", s.data(), "-k", s.dir,
		"-c", "listen_addresses=", "-c", "max_connections=400", "-c", "log_min_error_statement=panic", "-c", "log_min_messages=fatal")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := start(s.cmd); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait() // how it ends is what the test is about
	}(s.cmd, s.exited)

	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.exec("postgres", "SELECT 1")
		if err == nil {
			return
		}
		select {
		case <-s.exited:
			tb.Fatalf("pgtest: the server ended:\n%s", s.log)
		case <-deadline:
			tb.Fatalf("pgtest: the server does not answer: %v\n%s", err, s.log)
		case <-tick.C:
		}
	}
}

// Stop ends the server as an administrator does who is in a hurry: sessions
// are cut off, what was committed is there after Run.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

// Kill ends the server at once, without a last checkpoint.
func (s *Server) Kill() { s.end(syscall.SIGQUIT) }

func (s *Server) end(sig os.Signal) {
	_ = s.cmd.Process.Signal(sig) // an error means that it has ended
	<-s.exited
}

// Database makes an empty database, with the options of CREATE DATABASE, and
// returns its URL.
func (s *Server) Database(tb testing.TB, options ...string) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if err := s.exec("postgres", "CREATE DATABASE "+name+" "+strings.Join(options, " ")); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return s.url(name)
}

// Socket returns the path of the server's unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

func (s *Server) url(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {superuser}, "sslmode": {"disable"}}.Encode()
}

func (s *Server) exec(database, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}

// ask returns the one value of a query.
func (s *Server) ask(tb testing.TB, query string) (value string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, query).Scan(&value); err != nil {
		tb.Fatalf("pgtest: %s: %v", query, err)
	}
	return value
}
