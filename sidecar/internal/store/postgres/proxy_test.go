package postgres_test

import (
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
)

// fault is what a proxy does at the moment a transaction is to be committed.
type fault int

const (
	none   fault = iota
	lost         // the connection is cut before the server is told to commit
	landed       // the connection is cut after the server has committed, before it says so
)

// proxy stands between a store and its server and can cut connections at the
// moment of a commit.
type proxy struct {
	listener net.Listener
	socket   string
	url      string

	mu    sync.Mutex
	fault fault // guarded by mu
	left  int   // guarded by mu: how many times; negative means always
	cuts  int   // guarded by mu
}

func startProxy(t *testing.T, server *pgtest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("host")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	p := &proxy{listener: l, socket: server.Socket(), url: u.String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return p
}

// Arm implements storetest.Faults.
func (p *proxy) Arm(happens bool, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.left, p.cuts = lost, n, 0
	if happens {
		p.fault = landed
	}
}

// Disarm implements storetest.Faults.
func (p *proxy) Disarm() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = none
	return p.cuts
}

// struck reports whether everything that Arm asked for has happened.
func (p *proxy) struck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left == 0
}

func (p *proxy) strike() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == none || p.left == 0 {
		return none
	}
	p.left--
	p.cuts++
	return p.fault
}

// session is one connection.
type session struct {
	p              *proxy
	client, server net.Conn

	mu     sync.Mutex
	status byte // guarded by mu: of the transaction, as the server said last
	cut    bool // guarded by mu: at the end of the command under way
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer server.Close()
	s := &session{p: p, client: client, server: server}
	from := pgproto3.NewBackend(client, client)
	to := pgproto3.NewFrontend(server, server)
	start, err := from.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, err := server.Write(encode(start)); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer client.Close()
		defer server.Close()
		s.requests(from)
	})
	s.answers(to)
	client.Close()
	server.Close()
	both.Wait()
}

func encode(m pgproto3.Message) []byte {
	b, err := m.(interface {
		Encode([]byte) ([]byte, error)
	}).Encode(nil)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	return b
}

// requests passes on what the client says, until a commit is to fail.
func (s *session) requests(from *pgproto3.Backend) {
	execute := false
	for {
		m, err := from.Receive()
		if err != nil {
			return
		}
		commits := false
		s.mu.Lock()
		switch m := m.(type) {
		case *pgproto3.Execute:
			execute = true
		case *pgproto3.Sync:
			commits = execute && s.status == 'I' // statements without BEGIN
			execute = false
		case *pgproto3.Query:
			commits = strings.EqualFold(m.String, "commit")
		}
		s.mu.Unlock()
		if commits {
			switch s.p.strike() {
			case lost:
				return
			case landed:
				s.mu.Lock()
				s.cut = true
				s.mu.Unlock()
			}
		}
		if _, err := s.server.Write(encode(m)); err != nil {
			return
		}
	}
}

// answers passes on what the server says.
func (s *session) answers(to *pgproto3.Frontend) {
	for {
		m, err := to.Receive()
		if err != nil {
			return
		}
		ready, isReady := m.(*pgproto3.ReadyForQuery)
		s.mu.Lock()
		cut := s.cut
		if isReady {
			s.status = ready.TxStatus
		}
		s.mu.Unlock()
		switch {
		case cut && isReady:
			return
		case cut:
			continue // the client does not learn how it went
		}
		if _, err := s.client.Write(encode(m)); err != nil {
			return
		}
	}
}
