package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

// databases gives a directory of the contract's tests a database.
func databases(t *testing.T) func(t *testing.T, dir string) string {
	server := pgtest.Start(t)
	var mu sync.Mutex
	urls := make(map[string]string)
	return func(t *testing.T, dir string) string {
		mu.Lock()
		defer mu.Unlock()
		if urls[dir] == "" {
			urls[dir] = server.Database(t)
		}
		return urls[dir]
	}
}

func TestContract(t *testing.T) {
	url := databases(t)
	t.Run("", func(t *testing.T) { // ends before the server does
		storetest.Run(t, func(t *testing.T, dir string) store.Store {
			return mustOpen(t, postgres.Config{URL: url(t, dir)})
		})
	})
}

func TestSharedContract(t *testing.T) {
	url := databases(t)
	const ttl = 2 * time.Second
	t.Run("", func(t *testing.T) {
		storetest.RunShared(t, storetest.Shared{
			Open: func(t *testing.T, dir string) (store.Store, func()) {
				db := mustOpen(t, postgres.Config{URL: url(t, dir), LeaseTTL: ttl})
				return db, db.Kill
			},
			HandOver: postgres.HandOver / (postgres.LeaseTTL / ttl),
		})
	})
}

func mustOpen(t testing.TB, cfg postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
