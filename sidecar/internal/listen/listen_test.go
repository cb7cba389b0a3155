package listen_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

const limit = 8

// patience bounds every wait. It is only spent on failure.
const patience = 30 * time.Second

// server is an HTTP server with at most limit connections. It reads a body
// whole, proves a request with a header Proof before that, and answers "ok".
type server struct {
	addr   string
	pool   *listen.Pool
	log    *output.Buffer
	proofs atomic.Int32 // requests that were proven
}

func newServer(t *testing.T, files *listen.Files, wrap func(net.Listener) net.Listener) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), log: new(output.Buffer)}
	s.pool = listen.New(listen.Config{Name: "webhooks", Max: limit, Files: files, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proof") != "" {
			listen.Prove(r.Context())
			s.proofs.Add(1)
		}
		_, _ = io.Copy(io.Discard, r.Body) // it may be shed
		_, _ = io.WriteString(w, "ok")
	})}
	s.pool.Bind(h)
	served := make(chan error, 1)
	go func() { served <- h.Serve(s.pool.Listener(wrap(l))) }()
	t.Cleanup(func() { h.Close(); <-served })
	return s
}

func same(l net.Listener) net.Listener { return l }

// dial opens a connection, and sends the beginning of a request if there is one.
func (s *server) dial(t *testing.T, begin string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, begin); err != nil {
		t.Fatal(err)
	}
	return c
}

// get fails unless the server answers a newcomer.
func (s *server) get(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + s.addr)
	if err != nil {
		t.Fatalf("a newcomer was kept out: %v", err)
	}
	res.Body.Close()
}

// answered reports whether a connection gets an answer to the rest of its
// request, and not its end.
func answered(c net.Conn, rest string) bool {
	_, _ = io.WriteString(c, rest) // the answer says it all
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.HasPrefix(line, "HTTP/1.1 200")
}

// proven waits until so many requests are.
func (s *server) proven(t *testing.T, n int32) {
	t.Helper()
	for end := time.Now().Add(patience); s.proofs.Load() < n; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests are proven, want %d", s.proofs.Load(), n)
		}
	}
}

func (s *server) open(t *testing.T, most int) {
	t.Helper()
	for end := time.Now().Add(patience); s.pool.Open() > most; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open, want at most %d", s.pool.Open(), most)
		}
	}
}

const slowBody = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"

// TestNewcomersAreLetIn: a client that holds all connections without having proven
// anything loses one to each newcomer; one that has proven something does not.
func TestNewcomersAreLetIn(t *testing.T) {
	for name, begin := range map[string]string{
		"silent":         "",
		"half a header":  "POST / HTTP/1.1\r\nHo",
		"half a body":    slowBody + "\r\n1",
		"idle after one": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil, same)
			proven := s.dial(t, slowBody+"Proof: yes\r\n\r\n1")
			s.proven(t, 1)
			for range 5 * limit {
				s.dial(t, begin)
			}
			for range 3 {
				s.get(t)
			}
			s.open(t, limit)
			if !answered(proven, "2") {
				t.Error("a request that had proven something was closed")
			}
			if s.pool.Closed() < 4*limit || !strings.Contains(s.log.String(), "code=connections-full") {
				t.Errorf("%d were closed, and the log says:\n%s", s.pool.Closed(), s.log)
			}
		})
	}
}

// TestProvenConnectionsStay: if all have proven something, the newcomer goes.
func TestProvenConnectionsStay(t *testing.T) {
	s := newServer(t, nil, same)
	var conns []net.Conn
	for range limit {
		c := s.dial(t, slowBody+"Proof: yes\r\nExpect: 100-continue\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
			t.Fatalf("%q, %v", line, err) // it has been proven by then
		}
		conns = append(conns, c)
	}
	if answered(s.dial(t, ""), "GET / HTTP/1.1\r\nHost: a\r\n\r\n") {
		t.Error("there were more connections than the limit")
	}
	for _, c := range conns {
		if !answered(c, "12") {
			t.Fatal("a proven connection was closed")
		}
	}
}

// failing is a listener that has no file descriptor left, so many times.
type failing struct {
	net.Listener
	left chan syscall.Errno
}

func (f failing) Accept() (net.Conn, error) {
	select {
	case errno := <-f.left:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept", errno)}
	default:
		return f.Listener.Accept()
	}
}

// TestNoFilesLeft: it is said with a code and by the check, and idle connections
// make room. The server keeps running, whichever resource is exhausted.
func TestNoFilesLeft(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) { testNoFilesLeft(t, errno) })
	}
}

func testNoFilesLeft(t *testing.T, errno syscall.Errno) {
	files := new(listen.Files)
	if err := files.Check(t.Context()); err != nil {
		t.Fatalf("before: %v", err)
	}
	f := failing{left: make(chan syscall.Errno, 1)}
	s := newServer(t, files, func(l net.Listener) net.Listener { f.Listener = l; return f })
	for range 3 {
		s.dial(t, "")
	}
	f.left <- errno
	for end := time.Now().Add(patience); files.Check(t.Context()) == nil; { // the Accept of before ends with a connection
		if s.dial(t, ""); time.Now().After(end) {
			t.Fatal("the check says nothing")
		}
	}
	if err := files.Check(t.Context()); !errors.Is(err, errno) {
		t.Errorf("the check: %v", err)
	}
	if !strings.Contains(s.log.String(), "level=ERROR") || !strings.Contains(s.log.String(), "code=files-exhausted") {
		t.Errorf("the log:\n%s", s.log)
	}
	if s.pool.Closed() == 0 {
		t.Error("no idle connection was closed")
	}
	s.get(t)
}

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		limit  uint64
		want   string
		enough int
	}{
		{0, "[4096 512]", 4864},
		{1 << 20, "[4096 512]", 4864},
		{4864, "[4096 512]", 4864},
		{1024, "[682 85]", 4864},
		{256, "[113 14]", 4864},
		{16, "[7 4]", 4864},
	} {
		got, enough := listen.Shares(tt.limit, 256, 4096, 512)
		if fmt.Sprint(got) != tt.want || enough != tt.enough {
			t.Errorf("%d: %v, enough %d, want %s, %d", tt.limit, got, enough, tt.want, tt.enough)
		}
	}
	if n := listen.Limit(); n == 0 {
		t.Skip("the limit is not known on this system")
	}
}
