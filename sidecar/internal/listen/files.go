package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Files knows whether there are file descriptors left. The zero value is ready;
// it is safe for concurrent use.
type Files struct {
	mu    sync.Mutex
	pools []*Pool   // guarded by mu
	last  error     // guarded by mu: of the latest connection that could not be accepted
	at    time.Time // guarded by mu: of last
}

// remembered is how long a connection that could not be accepted keeps the
// sidecar from being ready.
const remembered = 2 * time.Second

// Check fails while there is no file descriptor left for a connection.
func (f *Files) Check(context.Context) error {
	f.mu.Lock()
	last, at := f.last, f.at
	f.mu.Unlock()
	if last != nil && time.Since(at) < remembered {
		return fmt.Errorf("a connection could not be accepted: %w", last)
	}
	file, err := os.Open(os.DevNull)
	if exhausted(err) {
		return fmt.Errorf("there is no file descriptor left: %w", err)
	}
	if err == nil {
		_ = file.Close()
	}
	return nil
}

func (f *Files) add(p *Pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pools = append(f.pools, p)
}

// exhausted reports whether an error means that the process or the machine has
// no room for another file.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// Listener returns a listener that, when there is no file descriptor left, logs
// that and closes connections of all pools to get one: idle ones that have never
// proven anything.
func (p *Pool) Listener(l net.Listener) net.Listener { return listener{l, p} }

type listener struct {
	net.Listener
	pool *Pool
}

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if exhausted(err) {
		l.pool.exhausted(err)
		err = passing{err}
	}
	return c, err
}

// passing is an error after which a server carries on: of those that exhausted
// knows, package net only says so of EMFILE and ENFILE, and package http takes
// any other for the end of the listener.
type passing struct{ error }

func (e passing) Unwrap() error { return e.error }

// Temporary and Timeout implement [net.Error].
func (e passing) Temporary() bool { return true }
func (e passing) Timeout() bool   { return false }

// relief is how many connections of each pool make room for others.
const relief = 8

func (p *Pool) exhausted(err error) {
	p.cfg.Log.Error("no connection can be accepted: there are too many open files", "code", telemetry.CodeFilesExhausted, "listener", p.cfg.Name, "error", err)
	pools := []*Pool{p}
	if f := p.cfg.Files; f != nil {
		f.mu.Lock()
		f.last, f.at = err, time.Now()
		pools = f.pools
		f.mu.Unlock()
	}
	for _, q := range pools {
		q.mu.Lock()
		for n := 0; n < relief && q.silent.Len() > 0; n++ {
			q.close(q.silent.Front().Value.(*conn))
		}
		q.mu.Unlock()
	}
}

// Shares returns how many connections each listener may have of those it wants,
// under a limit of open files of which others need a part. enough is the lowest
// limit at which every listener gets all it wants. A limit of 0 means none.
func Shares(limit uint64, others int, wanted ...int) (shares []int, enough int) {
	sum := 0
	for _, n := range wanted {
		sum += n
	}
	enough = sum + others
	if limit == 0 || limit >= uint64(enough) {
		return wanted, enough
	}
	left := max(int(limit)-others, int(limit)/2)
	for _, n := range wanted {
		shares = append(shares, max(4, n*left/sum))
	}
	return shares, enough
}
