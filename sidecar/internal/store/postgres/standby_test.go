package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// warned opens a store of url and returns what it warns of and its log.
func warned(t *testing.T, url string) (warning string, log *output.Buffer) {
	t.Helper()
	log = new(output.Buffer)
	db := mustOpen(t, postgres.Config{URL: url, Log: slog.New(slog.NewTextHandler(log, nil))})
	warning = db.Warning(t.Context())
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	return warning, log
}

// A server that sends its log to another one and waits for none can lose what it
// has acknowledged.
func TestWarnsOfStandbys(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `CREATE ROLE plain LOGIN; GRANT CREATE ON SCHEMA public TO plain`); err != nil {
		t.Fatal(err)
	}
	plain := server.Database(t)
	if conn, err := pgx.Connect(t.Context(), plain); err != nil {
		t.Fatal(err)
	} else if _, err := conn.Exec(t.Context(), `GRANT CREATE ON SCHEMA public TO plain`); err != nil {
		t.Fatal(err)
	} else {
		conn.Close(t.Context())
	}
	plain = strings.Replace(plain, "user=hookswitch", "user=plain", 1)

	if warning, log := warned(t, url); warning != "" || strings.Contains(log.String(), "postgres-async") {
		t.Errorf("alone: %q, %s", warning, log)
	}
	hangUp := readLog(t, url, "true", "pg_receivewal")
	if warning, _ := warned(t, url); warning != "" {
		t.Errorf("with an archive: %q", warning)
	}
	hangUp()
	defer readLog(t, url, "true", "replica")()
	for name, tt := range map[string]struct{ url, says string }{
		"superuser":  {url, "has standbys (1) and none is synchronous"},
		"usual role": {plain, "sends its log to other programs (1), whose kind this user may not see"},
	} {
		warning, log := warned(t, tt.url)
		if !strings.Contains(warning, tt.says) || !strings.Contains(warning, "synchronous_standby_names = 'ANY 1 (*)'") {
			t.Errorf("%s: %q", name, warning)
		}
		if n := strings.Count(log.String(), "code=postgres-async"); n != 1 {
			t.Errorf("%s: %d lines in the log: %s", name, n, log)
		}
	}

	// A role that may not even count them.
	blind, err := pgx.Connect(t.Context(), strings.Replace(plain, "user=plain", "user=hookswitch", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer blind.Close(context.Background())
	if _, err := blind.Exec(t.Context(), `REVOKE SELECT ON pg_stat_replication FROM PUBLIC`); err != nil {
		t.Fatal(err)
	}
	if warning, _ := warned(t, plain); warning != "" {
		t.Errorf("a role that may not read pg_stat_replication, on a server that never was promoted: %q", warning)
	}
}

// readLog connects to the server as one that reads its log, until hangUp.
func readLog(t *testing.T, url, replication, name string, commands ...string) (hangUp func()) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["replication"], cfg.RuntimeParams["application_name"] = replication, name
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range commands {
		if _, err := conn.Exec(t.Context(), text).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	return func() { conn.Close(context.Background()) }
}

// Standbys that come and go while the sidecar runs are noticed.
func TestStandbysComeAndGo(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: url, Log: log, LeaseTTL: 300 * time.Millisecond})
	hangUp := readLog(t, url, "true", "replica")
	await(t, "a warning of the standby", func() bool { return db.Warning(t.Context()) != "" })
	hangUp()
	await(t, "no warning without it", func() bool { return db.Warning(t.Context()) == "" })
	for _, text := range []string{"code=postgres-async", "no longer loses acknowledged events"} {
		await(t, text, func() bool { return strings.Contains(said.String(), text) })
		if n := strings.Count(said.String(), text); n != 1 {
			t.Errorf("%q is said %d times:\n%s", text, n, said)
		}
	}
}

// A consumer of changes, such as one that copies tables to a warehouse, is not a
// standby: the server cannot fail over to it.
func TestLogicalReplicationIsNotAStandby(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	server.Set(t, "wal_level", "logical")
	server.Stop()
	server.Run(t)
	defer readLog(t, url, "database", "warehouse", `CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding`)()
	if warning, _ := warned(t, url); warning != "" {
		t.Errorf("warned: %q", warning)
	}
}

func TestExposed(t *testing.T) {
	for _, tt := range []struct {
		synchronous, named bool
		count, promoted    int64
		want               string
	}{
		{false, true, 0, 0, ""},
		{false, false, -1, 0, ""},
		{true, false, 3, 2, ""},
		{false, true, 2, 0, "has standbys (2) and none is synchronous: a failover can lose acknowledged events"},
		{false, false, 2, 0, "if they are standbys, a failover can lose acknowledged events"},
		{false, true, 0, 1, "promoted or restored before (timeline 2)"},
		{false, false, -1, 1, "this user may not see whether there are standbys"},
	} {
		got := postgres.Exposed(tt.synchronous, tt.named, tt.count, tt.promoted)
		if got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// The same with a real standby, which is then made synchronous, and promoted.
func TestEdgeStandby(t *testing.T) {
	edges.Need(t)
	primary := pgtest.Start(t)
	url := primary.Database(t)
	standby := primary.Standby(t, "replica")
	if warning, _ := warned(t, url); !strings.Contains(warning, "has standbys (1) and none is synchronous") {
		t.Errorf("an asynchronous standby: %q", warning)
	}
	readOnly := strings.Replace(pgtest.Either(t, url, standby), "target_session_attrs=read-write", "target_session_attrs=any", 1)
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: readOnly}); err == nil || !strings.Contains(err.Error(), "the server is read-only: name the primary") {
		t.Errorf("opened on the standby: %v", err)
	}
	primary.Set(t, "synchronous_standby_names", "ANY 1 (*)")
	await(t, "no warning of a synchronous standby", func() bool {
		warning, _ := warned(t, url)
		return warning == ""
	})
	primary.Set(t, "synchronous_standby_names", "")
	primary.Kill()
	standby.Promote(t)
	standby.Set(t, "synchronous_standby_names", "")
	warning, log := warned(t, pgtest.Either(t, url, primary, standby))
	if !strings.Contains(warning, "promoted or restored before (timeline 2)") {
		t.Errorf("a server that was promoted: %q\n%s", warning, log)
	}
}
