package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/internal/testkit/crash"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// crashConcurrency is how many attempts at a target are in flight at a kill. A
// slot is held until the result of its attempt is on disk.
const crashConcurrency = 16

// TestCrash kills a sidecar under load with SIGKILL, again and again, at random
// moments, and has a program that sees only the ledger judge the fate of the
// events. HOOKSWITCH_CRASH is the number of kills, and HOOKSWITCH_CRASH_STORE
// "postgres" to have the events kept there.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills programs for seconds: run without -short, or by make crash and make replicas")
	}
	random, kills := fate(t, "HOOKSWITCH_CRASH", 5)
	url := ""
	if os.Getenv("HOOKSWITCH_CRASH_STORE") == "postgres" {
		url = pgtest.Start(t).Database(t)
	}
	d := newCrashDriver(t, 1, url)
	only := d.members[0]
	stopLoad := d.load(t, 8)
	for range kills {
		d.start(t, only)
		<-time.After(time.Duration(20+random.IntN(280)) * time.Millisecond) // the moment is the test
		d.kill(t, only)
	}
	d.start(t, only)
	stopLoad()
	d.drain(t)
	d.judge(t)
}

// TestReplicas runs three sidecars on one PostgreSQL, with load through all of
// them, kills one at a time, and restarts the database once. HOOKSWITCH_REPLICAS
// is the number of kills. The last one that is killed stays dead: the others
// have to take over what it had claimed.
func TestReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("kills programs for seconds: run without -short, or by make crash and make replicas")
	}
	random, kills := fate(t, "HOOKSWITCH_REPLICAS", 3)
	server := pgtest.Start(t)
	d := newCrashDriver(t, 3, server.Database(t))
	for _, m := range d.members {
		d.start(t, m)
	}
	stopLoad := d.load(t, 8)
	var died time.Time
	for i := range kills {
		<-time.After(time.Duration(500+random.IntN(1500)) * time.Millisecond) // the moment is the test
		if i == kills/2 {
			server.Stop()
			server.Run(t)
		}
		m := d.members[random.IntN(len(d.members))]
		d.kill(t, m)
		if died = time.Now(); i < kills-1 {
			d.start(t, m)
		}
	}
	stopLoad()
	d.drain(t)
	t.Logf("everything was done %v after the last kill; the bound is 15s", time.Since(died).Round(100*time.Millisecond))
	d.judge(t)
}

// fate returns the source of the random moments, and the number of kills.
func fate(t *testing.T, variable string, kills int) (*rand.Rand, int) {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d kills, seed %d", kills, seed)
	return rand.New(rand.NewPCG(seed, 0)), kills
}

func buildProgram(t *testing.T, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	if text, err := exec.Command("go", "build", "-o", out, dir).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", dir, err, text)
	}
	return out
}

// crashDriver runs sidecars with two targets: one that takes everything, and
// one that fails a fifth of the time.
type crashDriver struct {
	program, dir, path string
	key                ed25519.PrivateKey
	env                []string // of all members
	ledger             *crash.Ledger
	members            []*member
	turn               atomic.Int64
}

// member is one sidecar, running or dead.
type member struct {
	env []string
	dir string                 // data directory
	url atomic.Pointer[string] // where webhooks go; nil while it is dead
	cmd *exec.Cmd
	log bytes.Buffer
}

// newCrashDriver prepares n sidecars that keep their events at a database URL,
// or each in its directory if that is empty.
func newCrashDriver(t *testing.T, n int, database string) *crashDriver {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &crashDriver{program: buildProgram(t, "."), dir: t.TempDir(), key: private}
	d.path = filepath.Join(d.dir, "ledger.jsonl")
	if d.ledger, err = crash.Create(d.path, "steady", "flaky"); err != nil {
		t.Fatal(err)
	}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir,
		"TELNYX_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(public),
		"HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
		"HOOKSWITCH_PLUGIN_DIR=" + filepath.Join(d.dir, "none"),
		"HOOKSWITCH_RETRY_SCHEDULE=5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms,5ms",
		"HOOKSWITCH_CONCURRENCY=" + strconv.Itoa(crashConcurrency), "HOOKSWITCH_LOG_LEVEL=error",
		"HOOKSWITCH_FORWARD_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, ed25519.SeedSize)),
	}
	for i, name := range []string{"steady", "flaky"} {
		n := strconv.Itoa(i)
		d.env = append(d.env, "HOOKSWITCH_ROUTE_"+n+"_MATCH=*", "HOOKSWITCH_ROUTE_"+n+"_NAME="+name, "HOOKSWITCH_ROUTE_"+n+"_TO="+d.target(t, name))
	}
	for i := range n {
		m := &member{dir: filepath.Join(d.dir, "data"+strconv.Itoa(i))}
		kept := database
		if kept == "" {
			kept = "file:" + m.dir
		}
		m.env = append(slices.Clone(d.env), "HOOKSWITCH_STORE="+kept, "HOOKSWITCH_DATA_DIR="+m.dir)
		d.members = append(d.members, m)
	}
	return d
}

// target starts an app that writes what it takes into the ledger.
func (d *crashDriver) target(t *testing.T, name string) string {
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sidecar was killed while it sent
		}
		if name == "flaky" && calls.Add(1)%5 == 0 {
			http.Error(w, "not now", http.StatusInternalServerError)
			return
		}
		if err := d.ledger.Write(crash.Entry{Kind: "took", Target: name, ID: webhook.Decode("application/json", body).ID}); err != nil {
			t.Errorf("ledger: %v", err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// start starts a sidecar and waits until it is ready.
func (d *crashDriver) start(t *testing.T, m *member) {
	t.Helper()
	m.cmd = exec.Command(d.program, "run")
	m.cmd.Env, m.cmd.Dir, m.cmd.Stderr = m.env, d.dir, &m.log
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for ; ; <-time.After(2 * time.Millisecond) {
		here, err := instance.Find(m.dir)
		if err == nil && here.PID == m.cmd.Process.Pid {
			res, err := http.Get(here.Admin + "/readyz")
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					m.url.Store(&here.Webhooks)
					return
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the sidecar is not ready after %v: %s", patience, m.log.String())
		}
	}
}

func (d *crashDriver) kill(t *testing.T, m *member) {
	t.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.cmd.Wait() // killed
	m.url.Store(nil)
	if err := d.ledger.Write(crash.Entry{Kind: "kill", InFlight: crashConcurrency}); err != nil {
		t.Fatal(err)
	}
}

// judge has the ledger judged.
func (d *crashDriver) judge(t *testing.T) {
	t.Helper()
	if err := d.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	check := buildProgram(t, "../../../internal/testkit/crash/check")
	verdict, err := exec.Command(check, d.path).CombinedOutput()
	t.Logf("%s", verdict)
	if err != nil {
		t.Errorf("the checker does not agree: %v", err)
	}
}

// load sends events from n clients, each until it is acknowledged or a few
// tries have failed, and a tenth of the acknowledged ones once more. stop waits
// for them to end.
func (d *crashDriver) load(t *testing.T, n int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	sample, _ := event.Sample("message.received")
	id := []byte(webhook.Decode("application/json", sample).ID)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				own := uuid.NewString()
				body := bytes.ReplaceAll(sample, id, []byte(own))
				for range 20 {
					if !d.send(client, body) {
						<-time.After(10 * time.Millisecond) // as a sender waits before it tries again
						continue
					}
					if err := d.ledger.Write(crash.Entry{Kind: "acked", ID: own}); err != nil {
						t.Errorf("ledger: %v", err)
					}
					if own[0] < '2' {
						d.send(client, body)
					}
					break
				}
			}
		})
	}
	return func() { cancel(); wg.Wait(); client.CloseIdleConnections() }
}

// send reports whether the event was acknowledged.
func (d *crashDriver) send(client *http.Client, body []byte) bool {
	// As a load balancer does: one after the other.
	url := d.members[int(d.turn.Add(1))%len(d.members)].url.Load()
	if url == nil {
		return false
	}
	res, err := client.Do(signedRequest(*url, d.key, time.Now(), body))
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode == http.StatusOK
}

// drain waits until nothing is pending, and ends the sidecars that live.
func (d *crashDriver) drain(t *testing.T) {
	t.Helper()
	alive := slices.DeleteFunc(slices.Clone(d.members), func(m *member) bool { return m.url.Load() == nil })
	deadline := time.Now().Add(2 * patience)
	for ; ; <-time.After(20 * time.Millisecond) {
		cmd := exec.Command(d.program, "events", "list", "--status", "pending", "--limit", "1")
		cmd.Env, cmd.Dir = alive[0].env, d.dir
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() == exitNothing {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is still work: %s, %v", out, err)
		}
	}
	for _, m := range alive {
		if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := m.cmd.Wait(); err != nil {
			t.Errorf("the last sidecar: %v\n%s", err, m.log.String())
		}
	}
}
