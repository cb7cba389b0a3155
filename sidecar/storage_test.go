package sidecar

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
)

// TestStoreThatCannotBeOpened: the error says why, without the password, and
// nothing is left open.
func TestStoreThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"postgres://u:pl4nted@127.0.0.1:1/db?connect_timeout=1", "file:" + file} {
		cfg, err := config.From([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
			"HOOKSWITCH_STORE=" + where, "HOOKSWITCH_DATA_DIR=" + filepath.Join(dir, "data")})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second finds no lock of the first
			s, err := New(t.Context(), cfg, Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil || s != nil || strings.Contains(err.Error(), "pl4nted") || strings.Contains(err.Error(), "in use") {
				t.Errorf("%s: %v, %v", where, s, err)
			}
		}
	}
}

// TestLimitsAreWiredToTheirSettings: what is removed is removed for good, so each
// setting does what its name says and nothing else.
func TestLimitsAreWiredToTheirSettings(t *testing.T) {
	c, err := config.From([]string{"HOOKSWITCH_RETENTION=24h", "HOOKSWITCH_RETENTION_DEAD=48h", "HOOKSWITCH_MAX_DISK=3000000"})
	if err != nil {
		t.Fatal(err)
	}
	want := retention.Limits{Keep: 24 * time.Hour, KeepDead: 48 * time.Hour, MaxBytes: 3_000_000}
	if got := limits(&c); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	c, err = config.From([]string{"HOOKSWITCH_RETENTION=0s", "HOOKSWITCH_RETENTION_DEAD=0s"})
	if err != nil {
		t.Fatal(err)
	}
	if got := limits(&c); got.Keep != 0 || got.KeepDead != 0 {
		t.Errorf("0s should keep for ever: %+v", got)
	}
}
