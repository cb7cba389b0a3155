package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "modernc.org/sqlite"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// restore does what .restore of the sqlite3 shell does.
func restore(t *testing.T, path, backup string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		b, err := c.(interface {
			NewRestore(string) (*driver.Backup, error)
		}).NewRestore((&url.URL{Scheme: "file", Path: backup}).String())
		if err != nil {
			return err
		}
		_, stepErr := b.Step(-1)
		return errors.Join(stepErr, b.Finish())
	})
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
}

// A backup is restored while events are under way that are newer than it, and
// their numbers go to others.
func TestRestoredWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer // of the writer, which has ended its work when it is read
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept := func(word string, n int) {
		t.Helper()
		for i := range n {
			e := &delivery.Event{Key: fmt.Sprint(word, i), ID: fmt.Sprint(word, i), ReceivedAt: time.Now(), PayloadLen: -1, Entity: fmt.Sprint("call:", i)}
			if _, err := db.Accept(t.Context(), e, []string{"plugin:x"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	claim := func(n int) []delivery.Task {
		t.Helper()
		tasks, err := db.Claim(t.Context(), "plugin:x", time.Now().Add(time.Hour), 100)
		if err != nil || len(tasks) != n {
			t.Fatalf("claimed %d of %d, %v", len(tasks), n, err)
		}
		return tasks
	}
	result := func(task delivery.Task) error {
		return db.Finish(t.Context(), delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target,
			N: 1, Outcome: delivery.OutcomeDone}, delivery.Done, time.Time{})
	}
	accept("kept", 2)
	kept := claim(2)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := sqlite.Backup(t.Context(), dir, backup); err != nil {
		t.Fatal(err)
	}
	accept("lost", 7)
	lost := claim(5) // the entities of two are busy with the others
	restore(t, filepath.Join(dir, "events.db"), backup)
	if strings.Contains(log.String(), "store-renewed") {
		t.Error("it was noticed before anything was written")
	}
	accept("new", 7)

	select {
	case <-db.Renewed():
	default:
		t.Error("nobody is told to write the routes again")
	}
	tasks := claim(5)
	for _, task := range tasks {
		if !strings.HasPrefix(task.Event.ID, "new") {
			t.Errorf("%s was claimed", task.Event.ID)
		}
	}
	again := false
	for _, task := range lost {
		again = again || task.Job.ID == tasks[0].Job.ID
		if err := result(task); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the result of %s: %v, want ErrNotFound", task.Event.ID, err)
		}
		if err := db.Release(t.Context(), task); err != nil {
			t.Errorf("release %s: %v", task.Event.ID, err)
		}
	}
	if !again {
		t.Fatal("the numbers are not used again: nothing was tried")
	}
	claim(0)
	for _, task := range append(kept, tasks...) {
		if err := result(task); err != nil {
			t.Errorf("the result of %s: %v", task.Event.ID, err)
		}
	}
	for _, task := range claim(2) { // those behind the ones that were kept
		if err := result(task); err != nil {
			t.Errorf("the result of %s: %v", task.Event.ID, err)
		}
	}
	if n, err := db.Backlog(context.Background()); err != nil || n["plugin:x"] != 0 {
		t.Errorf("backlog %v, %v", n, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "code=store-renewed"); n != 1 || !strings.Contains(log.String(), "events_under_way=5") {
		t.Errorf("log: %s", &log)
	}
}

// Somebody else may write, as long as the events stay what they were.
func TestAnotherWriterIsNoRestore(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := &delivery.Event{Key: "a", ReceivedAt: time.Now(), PayloadLen: -1}
	if _, err := db.Accept(t.Context(), e, []string{"plugin:x"}); err != nil {
		t.Fatal(err)
	}
	if tasks, err := db.Claim(t.Context(), "plugin:x", time.Now().Add(time.Hour), 1); err != nil || len(tasks) != 1 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	shell, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "events.db")+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	if _, err := shell.Exec(`UPDATE jobs SET next_at = next_at - 1`); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-db.Renewed():
		t.Error("it was taken for a restored backup")
	default:
	}
	if tasks, err := db.Claim(t.Context(), "plugin:x", time.Now().Add(time.Hour), 1); err != nil || len(tasks) != 0 {
		t.Errorf("claimed twice: %d, %v", len(tasks), err)
	}
}

// TestRestoredWhileTheTablesAreBehind: what only the journal had since the backup is
// lost with it, and what the backup's journal has is there.
func TestRestoredWhileTheTablesAreBehind(t *testing.T) {
	dir := t.TempDir()
	db := openBehind(t, dir)
	add := func(key string) {
		t.Helper()
		if _, err := (handed{db}).Accept(t.Context(), newEvent(key), []string{"plugin:a"}); err != nil {
			t.Fatal(err)
		}
	}
	add("kept")
	backup := filepath.Join(t.TempDir(), "backup.db")
	summary, err := sqlite.Backup(t.Context(), dir, backup)
	if err != nil || summary.Events != 1 || db.Behind() != 1 {
		t.Fatalf("backup %+v, %v; %d behind", summary, err, db.Behind())
	}
	add("lost 1")
	add("lost 2")
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 3)
	if err != nil || len(tasks) != 3 || db.Behind() != 3 {
		t.Fatalf("claimed %d, %v; %d behind", len(tasks), err, db.Behind())
	}
	restore(t, filepath.Join(dir, "events.db"), backup)
	add("new")
	select {
	case <-db.Renewed():
	default:
		t.Error("nobody is told to write the routes again")
	}
	for i, task := range tasks {
		a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: "plugin:a", N: 1, Outcome: delivery.OutcomeDone}
		err := db.Finish(t.Context(), a, delivery.Done, time.Time{})
		if i == 0 && err != nil || i > 0 && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the result of %s: %v", task.Event.ID, err)
		}
	}
	page, err := db.Events(t.Context(), store.Query{}, 0, 10)
	var names []string
	for _, d := range page.Deliveries {
		names = append(names, d.Event.ID+" "+string(d.Jobs[0].State))
	}
	if got := strings.Join(names, ", "); err != nil || got != "new pending, kept done" {
		t.Errorf("events %s, %v", got, err)
	}
}
