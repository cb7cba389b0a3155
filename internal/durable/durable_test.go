package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hookswitch/hookswitch/internal/durable"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"the first content, which is long", "the second"} {
		if err := durable.WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		only(t, path, text)
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := durable.CreateFile(path, []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := durable.CreateFile(path, []byte("theirs")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second one got %v", err)
	}
	only(t, path, "mine")
}

// TestCrash ends a process between the write of a file and its rename. The next
// owner of the directory removes what that leaves.
func TestCrash(t *testing.T) {
	if dir := os.Getenv("CRASH_IN"); dir != "" {
		_ = durable.WriteThen(filepath.Join(dir, "file"), []byte("the second"), func(string, string) error {
			os.Exit(3)
			return nil
		})
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := durable.WriteFile(path, []byte("the first")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), "CRASH_IN="+dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Fatalf("after the crash: %v, %v", entries, err)
	}
	if err := os.Mkdir(filepath.Join(dir, durable.Temp+"directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	only(t, path, "the first")
	if err := durable.Sweep(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory that is not there: %v", err)
	}
}

// TestSweptWhileWriting takes the temporary file away from a write under way, as
// a sidecar that starts beside a command does.
func TestSweptWhileWriting(t *testing.T) {
	for name, put := range map[string]func(from, to string) error{"replace": os.Rename, "create": os.Link} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			swept := 0
			err := durable.WriteThen(path, []byte("content"), func(from, to string) error {
				if swept < 2 {
					swept++
					if err := durable.Sweep(filepath.Dir(path)); err != nil {
						t.Error(err)
					}
				}
				return put(from, to)
			})
			if err != nil || swept != 2 {
				t.Fatalf("swept %d times: %v", swept, err)
			}
			only(t, path, "content")
		})
	}
}

// TestFailures looks for what a write that fails leaves behind.
func TestFailures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, nil); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := durable.WriteFile(filepath.Join(path, "none", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// only checks that the file is all there is in its directory, and is its
// owner's.
func only(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", fi.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside it: %v, %v", entries, err)
	}
}
