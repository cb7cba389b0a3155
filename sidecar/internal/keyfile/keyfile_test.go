package keyfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

func TestLoadKeyMakesOneKeyAndKeepsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var wg sync.WaitGroup
	publics := make([]string, 8)
	for i := range publics {
		wg.Go(func() {
			key, err := keyfile.Load(dir, keyfile.Forward)
			if err != nil {
				t.Error(err)
				return
			}
			publics[i] = keyfile.PublicText(key)
		})
	}
	wg.Wait()
	for _, p := range publics {
		if p == "" || p != publics[0] {
			t.Fatalf("callers at the same time got different keys: %q", publics)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v; want the key alone", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, keyfile.Forward))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestLoadKeyRefusesADamagedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, keyfile.Dev)
	const damaged = "c2VjcmV0c2VjcmV0"
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := keyfile.Load(dir, keyfile.Dev)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), damaged) {
		t.Errorf("error %v; want one that names the file and not its content", err)
	}
	if got, _ := os.ReadFile(path); string(got) != damaged {
		t.Error("the damaged file was replaced")
	}
}
