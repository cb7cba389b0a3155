package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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
	var log bytes.Buffer
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
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
	if said := strings.Count(log.String(), "log-not-moved"); said != 1 {
		t.Errorf("said %d times that the log is long: %s", said, log.String())
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

// The log does not take what a disk with little room has reserved.
func TestLogOnDisks(t *testing.T) {
	for _, tt := range []struct {
		name        string
		free, total uint64
		least, most int64
	}{
		{"much room", 100 << 30, 200 << 30, 8 << 20, 32 << 20},
		{"little room", 500 << 20, 200 << 30, 4 << 20, 4 << 20},
		{"a small disk", 40 << 20, 50 << 20, 2 << 20, 3 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := sqlite.Config{Dir: t.TempDir()}.WithDisk(func(string) (free, total uint64, err error) { return tt.free, tt.total, nil })
			db, err := sqlite.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			accept(t, db, "1")
			if got := db.LogLimit(); got < tt.least || got > tt.most {
				t.Errorf("the log is moved at %d bytes, want %d to %d", got, tt.least, tt.most)
			}
		})
	}
}
