package sidecar_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/internal/testkit/faultvfs"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// How the benchmarks keep events.
var benchStores = []struct {
	name string
	open func(b *testing.B) store.Store
}{
	{"sqlite", func(b *testing.B) store.Store { return openSQLite(b, 0) }},
	// A cloud volume: each sync takes 2.5 ms longer.
	{"sqlite-slow-sync", func(b *testing.B) store.Store { return openSQLite(b, 2500*time.Microsecond) }},
	{"postgres", func(b *testing.B) store.Store {
		db, err := postgres.Open(b.Context(), postgres.Config{URL: pgtest.Start(b).Database(b)})
		if err != nil {
			b.Fatal(err)
		}
		return db
	}},
}

func openSQLite(b *testing.B, slow time.Duration) store.Store {
	cfg := sqlite.Config{Dir: b.TempDir()}
	if slow > 0 {
		vfs := faultvfs.New()
		vfs.Slow(slow)
		cfg.VFS = vfs.Name()
	}
	db, err := sqlite.Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// forgetful stores nothing: what is left is to verify.
type forgetful struct{ store.Store }

func (forgetful) Accept(context.Context, *delivery.Event, []string) (store.Accepted, error) {
	return store.Accepted{}, nil
}

// single has a commit for each event.
type single struct {
	store.Store
	mu *sync.Mutex
}

func (s single) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Accept(ctx, e, targets)
}

// BenchmarkAccept sends signed events over loopback to the real way in, and
// reports how many were verified, stored and acknowledged in a second, and
// after how long. Half of the maximum is the rate at which "half" sends.
func BenchmarkAccept(b *testing.B) {
	most := make(map[string]float64) // events a second at 64 connections, by store
	for _, s := range benchStores {
		for _, mode := range []string{"verify-only", "durable", "group-commit-off"} {
			for _, conns := range []int{1, 16, 64, 256} {
				b.Run(fmt.Sprintf("%s/%s/conns=%d", s.name, mode, conns), func(b *testing.B) {
					in := startAccept(b, s.open(b), mode, nil)
					rate := in.send(b, conns, 0)
					if mode == "durable" && conns == 64 {
						most[s.name] = rate
					}
				})
			}
		}
		b.Run(s.name+"/half/conns=64", func(b *testing.B) {
			if most[s.name] == 0 {
				b.Skip("needs the result of durable/conns=64 in the same run")
			}
			startAccept(b, s.open(b), "durable", nil).send(b, 64, most[s.name]/2)
		})
	}
}

// BenchmarkCycle measures the whole way: accepted, dispatched to a target that
// does nothing, and recorded.
func BenchmarkCycle(b *testing.B) {
	for _, s := range benchStores {
		b.Run(s.name+"/conns=64", func(b *testing.B) {
			db := s.open(b)
			target := &noop{done: make(chan struct{}, 1)}
			d, err := dispatch.New(dispatch.Config{Store: db, Targets: []dispatch.Target{target}, Concurrency: 256})
			if err != nil {
				b.Fatal(err)
			}
			in := startAccept(b, db, "durable", d)
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); _ = d.Run(ctx) }()
			began := time.Now()
			in.send(b, 64, 0)
			for target.calls.Load() < int64(b.N) {
				<-target.done
			}
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "cycles/s")
			cancel()
			<-ended
		})
	}
}

// noop is a target that has done everything at once.
type noop struct {
	calls atomic.Int64
	done  chan struct{}
}

func (*noop) Name() string       { return "plugin:noop" }
func (*noop) Patterns() []string { return []string{"*"} }
func (*noop) Drain()             {}

func (n *noop) Deliver(context.Context, delivery.Task) (delivery.Attempt, error) {
	n.calls.Add(1)
	select {
	case n.done <- struct{}{}:
	default:
	}
	now := time.Now()
	return delivery.Attempt{StartedAt: now, FinishedAt: now, Outcome: delivery.OutcomeDone}, nil
}

// way is a running way in.
type way struct {
	addr   string
	key    ed25519.PrivateKey
	sample []byte
	id     []byte
}

func startAccept(b *testing.B, db store.Store, mode string, d *dispatch.Dispatcher) *way {
	b.Helper()
	b.Cleanup(func() { db.Close() })
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	ring, err := webhook.NewKeyRing(webhook.Key{Label: "bench", Public: public})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	used := db
	switch mode {
	case "verify-only":
		used = forgetful{db}
	case "group-commit-off":
		used = single{db, new(sync.Mutex)}
	}
	cfg := accept.Config{
		Listener: l, Paths: []string{"/webhooks"}, Verifier: &webhook.Verifier{Keys: ring}, Store: used,
		Route: func(string) []string { return []string{"plugin:noop"} }, Wake: func([]string) {},
		Health: telemetry.NewHealth(nil), Log: slog.New(slog.DiscardHandler),
	}
	cfg.Health.SetReady(true) // else each answer would close its connection
	if d != nil {
		cfg.Wake = d.Wake
	}
	// As the sidecar counts.
	metrics := telemetry.NewMetrics("bench")
	cfg.OnAnswer = metrics.Answered
	cfg.OnAccept = func(e *delivery.Event, a store.Accepted, _ []string) {
		metrics.Event(e.Type, e.KeyLabel, e.ReceivedAt.Sub(e.SignedAt), a.Duplicate)
	}
	server, err := accept.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
	sample, _ := event.Sample("message.received")
	return &way{addr: l.Addr().String(), key: key, sample: sample, id: []byte(webhook.Decode("application/json", sample).ID)}
}

// send sends b.N events over some connections and returns the rate. With a
// rate it sends no faster, and counts from when an event was to be sent.
func (in *way) send(b *testing.B, conns int, rate float64) float64 {
	requests := in.requests(b)
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var clients sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for range conns {
		clients.Go(func() {
			conn, err := net.Dial("tcp", in.addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				at := time.Now()
				if rate > 0 {
					at = began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
					if wait := time.Until(at); wait > 0 {
						<-time.After(wait)
					}
				}
				if err := exchange(conn, answers, requests[i]); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(at)
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	got := float64(b.N) / b.Elapsed().Seconds()
	slices.Sort(took)
	b.ReportMetric(got, "events/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
	return got
}

// requests are signed before the clock runs, and written as they are, so that
// the client costs little.
func (in *way) requests(b *testing.B) [][]byte {
	list := make([][]byte, b.N)
	now := time.Now()
	for i := range list {
		body := bytes.ReplaceAll(in.sample, in.id, []byte(uuid.NewString()))
		timestamp, signature := webhook.Sign(in.key, now, body)
		list[i] = fmt.Appendf(nil, "POST /webhooks HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
			webhook.HeaderTimestamp, timestamp, webhook.HeaderSignature, signature, len(body), body)
	}
	return list
}

func exchange(conn net.Conn, answers *bufio.Reader, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}
