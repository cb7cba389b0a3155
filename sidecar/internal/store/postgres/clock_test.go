package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// TestServerClockSetBack: a lease that was given by a clock which was an hour
// ahead does not keep the jobs of a dead sidecar for an hour.
func TestServerClockSetBack(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	const ttl = time.Second
	const target = "plugin:a"
	dead := mustOpen(t, postgres.Config{URL: url, LeaseTTL: ttl})
	accept(t, dead, "held", target)
	if tasks, err := dead.Claim(t.Context(), target, time.Now(), 1); err != nil || len(tasks) != 1 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	dead.Kill()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `UPDATE hookswitch_owners SET expires_at = clock_timestamp() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}

	living := mustOpen(t, postgres.Config{URL: url, LeaseTTL: ttl})
	deadline := time.Now().Add(time.Minute)
	for {
		tasks, err := living.Claim(t.Context(), target, time.Now(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(tasks) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the job of the dead sidecar was not taken over within a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
