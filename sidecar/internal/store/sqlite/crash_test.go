package sqlite_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

var (
	upgradeDir = flag.String("upgrade-dir", "", "be the process that is killed while it upgrades the store in this directory")
	upgradeOps = flag.Int("upgrade-ops", 0, "before which operation on its files")
)

var crashDir = flag.String("crash-dir", "", "be the process that is killed: write to the store in this directory and report to standard output")

func TestMain(m *testing.M) {
	flag.Parse()
	if *crashDir != "" {
		fmt.Fprintln(os.Stderr, workload(*crashDir, os.Stdout))
		os.Exit(1)
	}
	if *upgradeDir != "" {
		if err := upgrade(*upgradeDir, *upgradeOps); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// workload accepts events and finishes their jobs from many goroutines until
// it is killed. It prints "accepted KEY" and "finished KEY" after the store has
// said so, and nothing else.
func workload(dir string, out io.Writer) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Dir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	var mu sync.Mutex
	say := func(what, key string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%s %s\n", what, key) // one write, so a line is whole or absent
	}
	run := fmt.Sprintf("%d-%d", time.Now().UnixNano(), os.Getpid())
	for p := range 32 {
		go func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%s-%d-%d", run, p, n)
				if _, err := db.Accept(ctx, newEvent(key), []string{"plugin:a"}); err != nil {
					failed <- err
				}
				say("accepted", key)
			}
		}()
	}
	go func() {
		for {
			tasks, err := db.Claim(ctx, "plugin:a", time.Now(), 32)
			if err != nil {
				failed <- err
			}
			var wg sync.WaitGroup
			for _, task := range tasks {
				wg.Go(func() {
					a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: 1, Outcome: delivery.OutcomeDone, StartedAt: time.Now(), FinishedAt: time.Now()}
					if err := db.Finish(ctx, a, delivery.Done, time.Time{}); err != nil {
						failed <- err
					}
					say("finished", task.Event.Key)
				})
			}
			wg.Wait()
		}
	}()
	return <-failed
}

type scanner = bufio.Scanner

func newScanner(r io.Reader) *scanner { return bufio.NewScanner(r) }

// TestKill kills the process in full flight, again and again on the same
// directory, and then judges: what was acknowledged is there, what was
// finished is done, everything else can be claimed, once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := make(map[string]bool) // key → finished
	note := func(line string) {
		switch what, key, _ := strings.Cut(line, " "); what {
		case "accepted":
			acked[key] = acked[key] || false
		case "finished":
			acked[key] = true
		default:
			t.Fatalf("the child said %q", line)
		}
	}
	for range 3 {
		child, acks := startChild(t, dir)
		for n := 0; n < 1000 && acks.Scan(); n++ {
			note(acks.Text())
		}
		for _, line := range kill(t, child, acks) {
			note(line)
		}
	}
	if len(acked) < 1000 {
		t.Fatalf("only %d events were acknowledged", len(acked))
	}

	db := mustOpen(t, dir)
	pending := make(map[string]bool)
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 1e6)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if pending[task.Event.Key] {
			t.Errorf("%s was claimed twice", task.Event.Key)
		}
		pending[task.Event.Key] = true
	}
	delivered := make(map[string]bool)
	final, _, err := db.Deliveries(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range final {
		if !d.Delivered() || len(d.Attempts) != 1 || pending[d.Event.Key] || delivered[d.Event.Key] {
			t.Errorf("%s: jobs %+v, %d attempts, pending %v", d.Event.Key, d.Jobs, len(d.Attempts), pending[d.Event.Key])
		}
		delivered[d.Event.Key] = true
	}
	var lost, undone, finished int
	for key, done := range acked {
		if !delivered[key] && !pending[key] {
			lost++
		}
		if done {
			finished++
			if !delivered[key] {
				undone++
			}
		}
	}
	if lost+undone > 0 || finished == 0 {
		t.Errorf("of %d acknowledged events %d are lost, of %d finished ones %d are not done", len(acked), lost, finished, undone)
	}
	t.Logf("%d acknowledged, %d of them finished, %d pending", len(acked), finished, len(pending))
}
