package sidecar

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/replay"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/metered"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openStore opens the store that the configuration names, and adds it to the
// checks of readiness.
func (s *Sidecar) openStore(ctx context.Context) error {
	db, err := s.openNamed(ctx)
	if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	accepts := metered.New(db, s.observe.metrics, func() { s.observe.health.Doubt() })
	s.store, s.observe.health = accepts, telemetry.NewHealth(accepts.Check)
	s.needHealth()
	if db, ok := db.(interface {
		Warning(context.Context) string
	}); ok {
		s.observe.health.Note("store", db.Warning)
	}
	// A store in files says whether they are still in their place.
	if files, ok := db.(interface{ Intact() error }); ok {
		s.observe.health.NeedReady("data", func(context.Context) error {
			if err := files.Intact(); err != nil {
				return telemetry.Replaced{Err: err}
			}
			return nil
		})
	}
	return nil
}

// openNamed opens a directory or a database.
func (s *Sidecar) openNamed(ctx context.Context) (store.Store, error) {
	if url := s.cfg.DatabaseURL(); url != "" {
		return s.openDatabase(ctx, url)
	}
	dir, err := s.cfg.StoreDir()
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Dir: dir, Log: s.log, OnCommit: s.observe.metrics.Commit})
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
	if s.cfg.ForwardKey == "" && s.cfg.Resigns() && len(s.cfg.Forwards()) > 0 {
		s.log.Warn("sidecars that share a database should sign with one key: set HOOKSWITCH_FORWARD_KEY, or the app has to trust the key of each", "code", telemetry.CodeForwardKeys, "data", s.dir)
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: url, Instance: name, Log: s.log, OnCommit: s.observe.metrics.Commit})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// openLoops makes the parts that work on the store by themselves.
func (s *Sidecar) openLoops(context.Context) error {
	s.replays = replay.New(replay.Config{Store: s.store, Wake: s.dispatch.Wake, Log: s.log})
	s.retain = retention.New(retention.Config{
		Store:  s.store,
		Limits: limits(&s.cfg),
		Mark:   filepath.Join(s.dir, "clock"),
		Log:    s.log,
	})
	return nil
}

// limits returns how long and how much is kept.
func limits(c *Config) retention.Limits {
	return retention.Limits{
		Keep:     time.Duration(c.Retention),
		KeepDead: time.Duration(c.RetentionDead),
		MaxBytes: int64(c.MaxDisk),
	}
}
