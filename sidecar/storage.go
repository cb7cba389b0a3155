package sidecar

import (
	"context"

	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openStore opens the directory or the database that the configuration names.
func (s *Sidecar) openStore(ctx context.Context) (store.Store, error) {
	if url := s.cfg.DatabaseURL(); url != "" {
		return s.openDatabase(ctx, url)
	}
	dir, err := s.cfg.StoreDir()
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Dir: dir, Log: s.log, OnCommit: s.metrics.Commit})
	if err != nil {
		return nil, err // not a nil *DB, which would be a store to close
	}
	return db, nil
}

// openDatabase opens a store that other sidecars may share. The data directory
// is this sidecar's own: it holds its name among them.
func (s *Sidecar) openDatabase(ctx context.Context, url string) (_ store.Store, err error) {
	if s.lock, err = dirlock.Take(s.dir); err != nil {
		return nil, err
	}
	name, err := instance.Name(s.dir)
	if err != nil {
		return nil, err
	}
	if s.cfg.ForwardKey == "" && s.signs() {
		s.log.Warn("sidecars that share a database should sign with one key: set HOOKSWITCH_FORWARD_KEY, or the app has to trust the key of each", "code", telemetry.CodeForwardKeys, "data", s.dir)
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: url, Instance: name, Log: s.log, OnCommit: s.metrics.Commit})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// signs reports whether requests are forwarded with a signature of our own.
func (s *Sidecar) signs() bool {
	return len(s.cfg.Forwards()) > 0 && s.cfg.ForwardSign != "none" && s.cfg.ForwardSign != "passthrough"
}
