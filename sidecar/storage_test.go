package sidecar

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		cfg, err := loadConfig([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
			"HOOKSWITCH_STORE=" + where, "HOOKSWITCH_DATA_DIR=" + filepath.Join(dir, "data")}, nil)
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
