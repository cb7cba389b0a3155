package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/faultvfs"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

// handed is a store whose events are all claimed from memory: somebody waits for work.
type handed struct{ *sqlite.DB }

func (h handed) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	for _, target := range targets {
		if _, _, err := h.NextDue(ctx, target); err != nil {
			return store.Accepted{}, err
		}
	}
	return h.DB.Accept(ctx, e, targets)
}

// TestContractBehind is TestContract with results of jobs that no table has.
func TestContractBehind(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return handed{mustOpen(t, dir)} })
}

// openBehind opens a store whose tables only follow when they have to.
func openBehind(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir}.WithIndexAfter(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// lives are what can become of an event before it is in the tables.
var lives = []struct {
	name    string
	targets []string
	again   int                // times that it is received again
	results []delivery.Outcome // of the first target
	state   delivery.State     // after the last of them
}{
	// After these, which are claimed again, the tables have to catch up.
	{name: "lost", targets: []string{"plugin:lost"}, results: []delivery.Outcome{delivery.OutcomeLost, delivery.OutcomeLost}, state: delivery.Pending},
	{name: "done at last, and again", targets: []string{"plugin:last"}, again: 1, results: []delivery.Outcome{delivery.OutcomeLost, delivery.OutcomeRetry, delivery.OutcomeDone}, state: delivery.Done},

	{name: "nobody wants it"},
	{name: "waits", targets: []string{"plugin:a1"}},
	{name: "twice", targets: []string{"plugin:a2"}, again: 2},
	{name: "one target twice", targets: []string{"plugin:a3", "plugin:b3", "plugin:a3"}},
	{name: "done", targets: []string{"plugin:a4"}, results: []delivery.Outcome{delivery.OutcomeDone}, state: delivery.Done},
	{name: "done for one", targets: []string{"plugin:a5", "plugin:b5"}, results: []delivery.Outcome{delivery.OutcomeDone}, state: delivery.Done},
	{name: "dead", targets: []string{"plugin:a6"}, results: []delivery.Outcome{delivery.OutcomeFailed}, state: delivery.Dead},
	{name: "dead for one", targets: []string{"plugin:a7", "plugin:b7"}, results: []delivery.Outcome{delivery.OutcomeFailed}, state: delivery.Dead},
	{name: "waits for a retry", targets: []string{"plugin:a8"}, results: []delivery.Outcome{delivery.OutcomeRetry}, state: delivery.Pending},
}

var lived = time.Now().Truncate(time.Second)

// live leads all lives in a store. Between any two steps it calls between.
func live(t *testing.T, db *sqlite.DB, between func()) {
	t.Helper()
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		between()
	}
	for i, l := range lives {
		for n := range 1 + l.again {
			e := newEvent(l.name)
			e.ReceivedAt, e.Header = lived.Add(time.Duration(i)*time.Millisecond), [][2]string{{"A", "b"}}
			got, err := handed{db}.Accept(t.Context(), e, l.targets)
			if err == nil && got.Duplicate != (n > 0) {
				t.Errorf("%s: reception %d is a duplicate: %v", l.name, n+1, got.Duplicate)
			}
			step(err)
		}
		for n, outcome := range l.results {
			now := lived.Add(time.Duration(n+1) * time.Hour)
			tasks, err := db.Claim(t.Context(), l.targets[0], now, 1)
			if len(tasks) != 1 || tasks[0].Event.ID != l.name || tasks[0].Event.Duplicates != l.again {
				t.Fatalf("%s: claimed %+v, %v", l.name, tasks, err)
			}
			step(err)
			a := delivery.Attempt{
				JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: l.targets[0], N: n + 1, Outcome: outcome,
				StartedAt: now, FinishedAt: now.Add(time.Second), ResponseBody: []byte(fmt.Sprint("answer ", n)), ErrorCodes: []int{n},
			}
			state, due := delivery.Pending, now.Add(time.Minute)
			if n == len(l.results)-1 {
				state = l.state
			}
			step(db.Finish(t.Context(), a, state, due))
			step(db.Finish(t.Context(), a, state, due)) // repeated, it changes nothing
		}
	}
}

// look returns all that the store says about the lives, without what differs from one
// store to another.
func look(t *testing.T, db *sqlite.DB) (all []string) {
	t.Helper()
	for _, l := range lives {
		d, err := db.Delivery(t.Context(), l.name)
		if err != nil {
			t.Errorf("%s: %v", l.name, err)
			continue
		}
		all = append(all, fmt.Sprintf("%s: received %d times, final %v, delivered %v, %s", l.name, d.Event.Duplicates+1, d.Final(), d.Delivered(), d.Event.Header))
		for _, j := range d.Jobs {
			all = append(all, fmt.Sprintf("  %s %s attempts %d base %d next %v round %v", j.Target, j.State, j.Attempts, j.Base, j.NextAt.Sub(lived), j.RoundAt.Sub(lived)))
		}
		for _, a := range d.Attempts {
			all = append(all, fmt.Sprintf("  %s attempt %d %s %v %s %v", a.Target, a.N, a.Outcome, a.StartedAt.Sub(lived), a.ResponseBody, a.ErrorCodes))
		}
	}
	for _, f := range []store.Filter{{}, {Status: "delivered"}, {Status: "failed"}, {WebhookContains: "payload"}, {AttemptsContains: "answer 2"}, {StartedFrom: lived.Add(2 * time.Hour)}} {
		list, n, err := db.Deliveries(t.Context(), f)
		if err != nil {
			t.Error(err)
		}
		var names []string
		for _, d := range list {
			names = append(names, d.Event.ID)
		}
		all = append(all, fmt.Sprintf("%+v: %d %q", f, n, names))
	}
	for _, q := range []store.Query{{}, {Status: store.StatusUnhandled}, {Status: store.StatusPending}, {Status: store.StatusRetrying}, {Status: store.StatusDead}, {Status: store.StatusDone}} {
		page, err := db.Events(t.Context(), q, 0, 100)
		if err != nil {
			t.Error(err)
		}
		var names []string
		for _, d := range page.Deliveries {
			names = append(names, d.Event.ID)
		}
		all = append(all, fmt.Sprintf("%s: %q", q.Status, names))
	}
	backlog, err := db.Backlog(t.Context())
	return append(all, fmt.Sprint(backlog, err))
}

// TestTablesFollow: whether the tables follow each step, or the journal has all of it
// when the process is killed, or a part, the store says the same.
func TestTablesFollow(t *testing.T) {
	each := openBehind(t, t.TempDir())
	live(t, each, func() { // a probe has the tables catch up
		if err := each.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	want := look(t, each)

	dir := t.TempDir()
	never := openBehind(t, dir)
	steps := 0
	live(t, never, func() {
		steps++
	})
	killed := t.TempDir() // as a kill leaves it
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if n := never.Behind(); n != len(lives)-2 {
		t.Fatalf("%d events are behind, want all %d but two", n, len(lives))
	}
	for name, db := range map[string]*sqlite.DB{"read at once": never, "opened after a kill": mustOpen(t, killed)} {
		if got := look(t, db); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for cut := range steps {
		dir := t.TempDir()
		db, at := openBehind(t, dir), 0
		live(t, db, func() {
			if at++; at == cut {
				if err := db.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
		killed := t.TempDir()
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if got := look(t, mustOpen(t, killed)); !reflect.DeepEqual(got, want) {
			t.Fatalf("the tables followed after step %d:\n%s\nwant:\n%s", cut, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestNumbersGoOn: no number is given twice, whoever gives it, and whether a group is
// rolled back.
func TestNumbersGoOn(t *testing.T) {
	g := new(gate)
	dir := t.TempDir()
	db := openGate(t, dir, g)
	seqs, jobs := make(map[int64]bool), make(map[int64]bool)
	add := func(i int) {
		e := newEvent(fmt.Sprint(i))
		if i%3 == 1 {
			e.Entity = "call" // goes straight into the tables
		}
		for g.next([]fault{lost, landed}[i%2]); ; {
			if _, err := db.Accept(t.Context(), e, []string{"plugin:a", "plugin:b"}); err == nil {
				break
			}
		}
		d, err := db.Delivery(t.Context(), e.ID)
		if err != nil || len(d.Jobs) != 2 {
			t.Fatalf("event %d: %+v, %v", i, d, err)
		}
		for _, j := range d.Jobs {
			if jobs[j.ID] {
				t.Errorf("a job of event %d has a number for the second time", i)
			}
			jobs[j.ID] = true
		}
		if seqs[d.Event.Seq] {
			t.Errorf("event %d has a number for the second time", i)
		}
		seqs[d.Event.Seq] = true
	}
	for i := range 12 {
		add(i)
		if i == 7 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openGate(t, dir, g)
		}
	}
	if len(seqs) != 12 || len(jobs) != 24 {
		t.Errorf("%d events with %d jobs, want 12 and 24", len(seqs), len(jobs))
	}
}

// TestResultThatNoTableTakes is refused before it is in the journal, where it would
// keep the tables from following.
func TestResultThatNoTableTakes(t *testing.T) {
	db := openBehind(t, t.TempDir())
	if _, err := (handed{db}).Accept(t.Context(), newEvent("a"), []string{"plugin:a"}); err != nil {
		t.Fatal(err)
	}
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 1)
	if err != nil || len(tasks) != 1 || db.Behind() != 1 {
		t.Fatalf("claimed %v, %v; %d behind", tasks, err, db.Behind())
	}
	a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: "plugin:a", N: 1, Outcome: delivery.OutcomeDone}
	if err := db.Finish(t.Context(), a, "no state", time.Time{}); err == nil {
		t.Error("a state that does not exist was accepted")
	}
	if err := db.Finish(t.Context(), a, delivery.Done, time.Time{}); err != nil {
		t.Error(err)
	}
	if d, err := db.Delivery(t.Context(), "a"); err != nil || !d.Delivered() {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestNotMoreIsBehind: events that nobody reads about do not fill the memory, and the
// file does not grow by what has left the journal.
func TestNotMoreIsBehind(t *testing.T) {
	dir := t.TempDir()
	db := openBehind(t, dir)
	most := 0
	for i := range 60 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 1<<20)
		if _, err := db.Accept(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
		most = max(most, db.Behind())
	}
	if most < 1 || most > 4 {
		t.Errorf("up to %d events of a megabyte were behind, want between 1 and 4", most)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dir, sqlite.FileName)); err != nil || fi.Size() > 100<<20 {
		t.Errorf("the file has %d bytes, %v", fi.Size(), err)
	}
}

// TestDamagedJournal: a store with a damaged row does not open, and says what to do.
func TestDamagedJournal(t *testing.T) {
	dir, left := t.TempDir(), t.TempDir()
	db := openBehind(t, dir)
	accept(t, db, "a", "plugin:a")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	execSQL(t, filepath.Join(left, sqlite.FileName), `UPDATE journal SET data = CAST(substr(data, 2) AS BLOB)`)
	_, err := sqlite.Open(t.Context(), sqlite.Config{Dir: left})
	if err == nil {
		t.Fatal("it was opened")
	}
	wantMessage(t, err, "events.db is damaged", "journal", "backup")
}

// TestReadersDoNotWaitForever: while the disk hangs, an operator reads what the tables
// have.
func TestReadersDoNotWaitForever(t *testing.T) {
	vfs := faultvfs.New()
	hang := make(chan struct{})
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, VFS: vfs.Name()}.WithIndexAfter(time.Hour).WithPatience(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept(t, db, "before")
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	accept(t, db, "behind")
	vfs.Decide = func(int64, faultvfs.Kind, string) faultvfs.Fault {
		<-hang
		return faultvfs.None
	}
	defer close(hang)
	page, err := db.Events(t.Context(), store.Query{}, 0, 10)
	var names []string
	for _, d := range page.Deliveries {
		names = append(names, d.Event.ID)
	}
	if err != nil || !slices.Equal(names, []string{"before"}) {
		t.Errorf("listed %q, %v; want what the tables have", names, err)
	}
}

// TestTablesCannotFollow: while they cannot, what was accepted is delivered and its
// results are kept, no further event is accepted, and nothing is lost when they can
// again.
func TestTablesCannotFollow(t *testing.T) {
	dir := t.TempDir()
	db := openBehind(t, dir)
	file := "file:" + filepath.Join(dir, sqlite.FileName) + "?_busy_timeout=10000"
	execSQL(t, file, `CREATE TRIGGER bad BEFORE INSERT ON events WHEN NEW.id = 'b' BEGIN SELECT RAISE(FAIL, 'no insert'); END`)
	accept(t, db, "first") // and the change by another is noticed
	for _, key := range []string{"a", "b"} {
		if _, err := (handed{db}).Accept(t.Context(), newEvent(key), []string{"plugin:a"}); err != nil {
			t.Fatal(err)
		}
	}
	db.KeepUp() // it fails
	if err := db.Ping(t.Context()); err == nil {
		t.Error("the store says that it accepts events")
	}
	if _, err := db.Accept(t.Context(), newEvent("c"), nil); err == nil || !strings.Contains(err.Error(), "no insert") {
		t.Errorf("an event was accepted: %v", err)
	}
	if page, err := db.Events(t.Context(), store.Query{}, 0, 10); err != nil || len(page.Deliveries) != 0 {
		t.Errorf("listed %v, %v; want what the tables have", page, err)
	}
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 2)
	if err != nil || len(tasks) != 2 {
		t.Fatalf("claimed %v, %v", tasks, err)
	}
	for _, task := range tasks {
		a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: "plugin:a", N: 1, Outcome: delivery.OutcomeDone}
		if err := db.Finish(t.Context(), a, delivery.Done, time.Time{}); err != nil {
			t.Error(err)
		}
	}
	execSQL(t, file, `DROP TRIGGER bad`)
	accept(t, db, "d")
	done, err := db.Events(t.Context(), store.Query{Status: store.StatusDone}, 0, 10)
	if err != nil || len(done.Deliveries) != 2 {
		t.Errorf("%d events are done, %v; want 2", len(done.Deliveries), err)
	}
	if all, err := db.Events(t.Context(), store.Query{}, 0, 10); err != nil || len(all.Deliveries) != 4 {
		t.Errorf("%d events, %v; want 4", len(all.Deliveries), err)
	}
}
