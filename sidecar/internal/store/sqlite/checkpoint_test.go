package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// TestLogIsMoved lets the log grow to several times its limit.
func TestLogIsMoved(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	if value, err := db.Pragma(t.Context(), "wal_autocheckpoint"); err != nil || value != "0" {
		t.Errorf("automatic checkpoints after %s pages, %v; they would be within commits", value, err)
	}
	const limit = 50
	db.LimitLog(limit)
	most, copies := int64(0), 0
	for n := range 200 {
		accept(t, db, fmt.Sprint(n), "a")
		logged, copied, err := db.Log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, logged); copied > 0 {
			copies++
		}
	}
	// Each event writes several pages, and the rest waits for the next group.
	if most > 4*limit {
		t.Errorf("the log has grown to %d pages, its limit is %d", most, limit)
	}
	if copies == 0 {
		t.Error("never was a page of the log in the database")
	}
}

// TestLogWhileAReaderStands has a reader that keeps the log from being moved: it
// grows, everything is accepted, and it is moved when the reader has gone.
func TestLogWhileAReaderStands(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	db.LimitLog(50)
	accept(t, db, "first", "a")
	reader, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	tx, err := reader.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM events`).Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	fill := func(name string) int64 {
		for n := range 100 {
			accept(t, db, fmt.Sprint(name, n), "a")
		}
		logged, _, err := db.Log(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return logged
	}
	if logged := fill("while"); logged < 200 {
		t.Errorf("the log has only %d pages: what the reader sees was overwritten", logged)
	}
	if err := tx.QueryRow(`SELECT count(*) FROM events`).Scan(&n); err != nil || n != 1 {
		t.Errorf("the reader sees %d events, %v; want the one of its beginning", n, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	fill("after")
	if logged := fill("later"); logged > 200 {
		t.Errorf("the log still has %d pages", logged)
	}
	if err := errors.Join(reader.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, sqlite.FileName+"-wal")); !os.IsNotExist(err) {
		t.Errorf("the log is there after closing: %v", err)
	}
}
