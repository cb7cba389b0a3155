package postgres_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// fipsURL is the database of a test that runs again in a process of its own.
const fipsURL = "HOOKSWITCH_TEST_FIPS_URL"

// Where only FIPS 140-3 is allowed, a server that asks for MD5 is refused, and
// not a panic; SCRAM works, whatever the length of the password.
func TestFIPS(t *testing.T) {
	if url := os.Getenv(fipsURL); url != "" {
		db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		accept(t, db, "1", target)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	server := pgtest.Start(t)
	url := server.Database(t)
	mustOpen(t, postgres.Config{URL: url})
	server.Exec(t, url, `SET password_encryption = 'md5'; CREATE ROLE old LOGIN SUPERUSER PASSWORD 'correct-horse'`)
	server.Exec(t, url, `CREATE ROLE brief LOGIN SUPERUSER PASSWORD 'pw'; CREATE ROLE long LOGIN SUPERUSER PASSWORD 'correct-horse-battery-staple'`)
	server.HBA(t, "local all old md5", "local all brief,long scram-sha-256", "local all all trust")
	for _, tt := range []struct{ name, url, want string }{
		{"md5", server.As(url, "old", "correct-horse"), "scram-sha-256 (password_encryption"},
		{"md5 wanted", server.As(url, "old", "correct-horse") + "&require_auth=md5", "scram-sha-256 (password_encryption"},
		{"md5 not ruled out", server.As(url, "old", "correct-horse") + "&require_auth=%21gss", "scram-sha-256 (password_encryption"},
		{"md5 among others", server.As(url, "old", "correct-horse") + "&require_auth=md5,scram-sha-256", "scram-sha-256 (password_encryption"},
		{"scram among others", server.As(url, "long", "correct-horse-battery-staple") + "&require_auth=md5,scram-sha-256", ""},
		{"scram", server.As(url, "long", "correct-horse-battery-staple"), ""},
		{"scram, short password", server.As(url, "brief", "pw"), ""},
		{"trust", url, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "-test.run=^TestFIPS$", "-test.v")
			cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", fipsURL+"="+tt.url)
			out, err := cmd.CombinedOutput()
			switch text := string(out); {
			case strings.Contains(text, "panic:"), tt.want == "" && err != nil, !strings.Contains(text, tt.want), tt.want != "" && err == nil:
				t.Errorf("%v\n%s", err, text)
			case strings.Contains(text, "correct-horse"):
				t.Errorf("the password is shown:\n%s", text)
			}
		})
	}
}
