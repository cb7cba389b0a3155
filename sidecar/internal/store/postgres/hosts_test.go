package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// again is how soon webhooks must be accepted again when a host freezes.
const again = 10 * time.Second

// freezer stands before a server and can freeze: it still accepts connections,
// and says nothing.
type freezer struct {
	address string
	frozen  atomic.Bool

	mu   sync.Mutex
	open []net.Conn // guarded by mu
}

// cut ends all connections.
func (f *freezer) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.open {
		c.Close()
	}
}

func startFreezer(t *testing.T, server *pgtest.Server) *freezer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &freezer{address: l.Addr().String()}
	var serving sync.WaitGroup
	keep := func(c net.Conn) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open = append(f.open, c)
	}
	relay := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				break
			}
			if f.frozen.Load() {
				_, _ = io.Copy(io.Discard, from) // taken, and never passed on
				break
			}
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if !f.frozen.Load() {
			to.Close()
		}
	}
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			keep(client)
			if f.frozen.Load() {
				continue
			}
			up, err := net.Dial("unix", server.Socket())
			if err != nil {
				client.Close()
				continue
			}
			keep(up)
			serving.Go(func() { relay(up, client) })
			serving.Go(func() { relay(client, up) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.cut()
		serving.Wait()
	})
	return f
}

// hostsURL returns a URL with several hosts, each an address or a directory.
func hostsURL(t *testing.T, database string, hosts ...string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	var names, ports []string
	for _, h := range hosts {
		host, port, err := net.SplitHostPort(h)
		if err != nil {
			host, port = h, "5432"
		}
		names, ports = append(names, host), append(ports, port)
	}
	q := u.Query()
	q.Set("host", strings.Join(names, ","))
	q.Set("port", strings.Join(ports, ","))
	u.RawQuery = q.Encode()
	return u.String()
}

// acceptAgain accepts with the patience of Telnyx until that works.
func acceptAgain(t *testing.T, db *postgres.DB, key string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		_, err := db.Accept(ctx, newEvent(key), []string{target})
		cancel()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("not accepted for a minute: %v", err)
		}
	}
}

// The first host of the URL is frozen from the start.
func TestFrozenFirstHost(t *testing.T) {
	server := pgtest.Start(t)
	frozen := startFreezer(t, server)
	frozen.frozen.Store(true)
	url := hostsURL(t, server.Database(t), frozen.address, filepath.Dir(server.Socket())) + "&connect_timeout=30"
	began := time.Now()
	db := mustOpen(t, postgres.Config{URL: url})
	acceptAgain(t, db, "1")
	if took := time.Since(began); took > again {
		t.Errorf("accepted after %v", took)
	}
}

// The host freezes while the sidecar works with it, with connections that are
// idle and connections in use.
func TestHostFreezes(t *testing.T) {
	server := pgtest.Start(t)
	first := startFreezer(t, server)
	log, said := logged()
	db := mustOpen(t, postgres.Config{Log: log,
		URL: hostsURL(t, server.Database(t), first.address, filepath.Dir(server.Socket()))})
	var busy sync.WaitGroup
	for range 8 {
		busy.Go(func() { acceptAgain(t, db, "before") })
	}
	busy.Wait()
	first.frozen.Store(true)
	patient := make(chan error, 1)
	go func() { // tried again on the other host, as long as its caller waits
		_, err := db.Accept(t.Context(), newEvent("patient"), []string{target})
		patient <- err
	}()
	if took := acceptAgain(t, db, "after"); took > again {
		t.Errorf("accepted again after %v", took)
	} else {
		t.Logf("accepted again after %v", took)
	}
	if err := <-patient; err != nil {
		t.Errorf("under way when the host froze: %v", err)
	}
	if text := said.String(); !strings.Contains(text, "postgres-stalled") || !strings.Contains(text, first.address) {
		t.Errorf("the log does not name %s:\n%s", first.address, text)
	}
}

// A server that works on what it was asked, for no longer than a look at a large
// store takes, is not said to be in trouble.
func TestSlowWorkIsNoTrouble(t *testing.T) {
	server := pgtest.Start(t)
	log, said := logged()
	url := server.Database(t)
	db := mustOpen(t, postgres.Config{Log: log, URL: url})
	server.Exec(t, url, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
		CREATE TRIGGER slow AFTER INSERT ON hookswitch_events FOR EACH STATEMENT EXECUTE FUNCTION slow()`)
	if _, err := db.Accept(t.Context(), newEvent("slow"), nil); err != nil {
		t.Fatal(err)
	}
	if text := said.String(); strings.Contains(text, "postgres-stalled") || strings.Contains(text, "answers again") {
		t.Errorf("the log:\n%s", text)
	}
}

// Errors name the host that did not answer, and not the user.
func TestFrozenHostIsNamed(t *testing.T) {
	server := pgtest.Start(t)
	frozen := startFreezer(t, server)
	frozen.frozen.Store(true)
	_, err := postgres.Open(t.Context(), postgres.Config{URL: hostsURL(t, server.Database(t), frozen.address)})
	if err == nil || !strings.Contains(err.Error(), frozen.address) || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "user=") {
		t.Errorf("open: %v", err)
	}
}

// So does the error of a caller that waits for a connection of the pool: as the
// URL has it, not by its address.
func TestFrozenHostIsNamedToWhoWaits(t *testing.T) {
	server := pgtest.Start(t)
	first := startFreezer(t, server)
	name := strings.Replace(first.address, "127.0.0.1", "localhost", 1)
	url := hostsURL(t, server.Database(t), name, filepath.Dir(server.Socket()))
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	first.frozen.Store(true)
	first.cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // less than one attempt to connect takes
	defer cancel()
	if err := db.Ping(ctx); err == nil || !strings.Contains(err.Error(), "no answer from "+name+" for") {
		t.Errorf("ping: %v", err)
	}
	first.frozen.Store(false) // so that Close does not wait for it
	first.cut()
}

// A request to cancel a statement is not an attempt to connect, though pgx makes
// both with the same function.
func TestCancelIsNotAnAttempt(t *testing.T) {
	for _, attempt := range []bool{true, false} {
		cc, err := pgx.ParseConfig("postgres://u@127.0.0.1:1/db")
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if attempt {
			want = "127.0.0.1:1"
		}
		if got := postgres.TriedBy(cc, attempt); got != want {
			t.Errorf("an attempt: %v; noted %q, want %q", attempt, got, want)
		}
	}
}

// A table that is locked is not a server that cannot be reached.
func TestLockedTableIsNamed(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: url, Log: log, LeaseTTL: time.Hour})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE hookswitch_events`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := db.Accept(ctx, newEvent("1"), nil)
		failed <- err
	}()
	for !strings.Contains(said.String(), "locked by PID") {
		if ctx.Err() != nil {
			t.Fatalf("the lock is not named:\n%s", said)
		}
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	if err := <-failed; err == nil || strings.Contains(err.Error(), "cannot be reached") || !strings.Contains(err.Error(), "locked by PID") {
		t.Errorf("accept: %v", err)
	}
}

// While a synchronous standby is away it is the standby that is named.
func TestAbsentStandbyIsNamed(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: url, Log: log, LeaseTTL: time.Hour})
	server.Exec(t, url, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	server.Exec(t, url, `SELECT pg_reload_conf()`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		for n := 0; ; n++ { // until the server has read the setting
			if _, err := db.Accept(ctx, newEvent(fmt.Sprint(n)), nil); err != nil {
				failed <- err
				return
			}
		}
	}()
	for !strings.Contains(said.String(), "synchronous_standby_names (nobody)") {
		if ctx.Err() != nil {
			t.Fatalf("the standby is not named:\n%s", said)
		}
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	if err := <-failed; err == nil || strings.Contains(err.Error(), "cannot be reached") || !strings.Contains(err.Error(), "synchronous standby") {
		t.Errorf("accept: %v", err)
	}
	server.Exec(t, url, `ALTER SYSTEM RESET synchronous_standby_names`)
	server.Exec(t, url, `SELECT pg_reload_conf()`)
	if took := acceptAgain(t, db, "after"); took > again {
		t.Errorf("accepted again after %v", took)
	}
}
