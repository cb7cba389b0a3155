// Package official runs Telnyx's own client for Node in tests, so that they
// ask the one judge whose opinion counts: what our users already run.
//
// The client is not part of this module. "make official" installs the version
// that package.json names and sets [Env]; without it these tests are skipped
// and say so. The scripts beside this file are the client's side:
//
//	retrieve.mjs    the example of Telnyx's API reference, unchanged
//	deliveries.mjs  reads delivery records: retrieve, list, iterate, errors
//	bytes.mjs       hands one to telnyx 2, with key and signature as text and as bytes
//	forms.mjs       hands a webhook to unwrap in the forms that frameworks have it in
//	verify.mjs      an application that verifies every webhook it is sent
//
// Each says in its first lines what it reads and prints.
package official

import (
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Env names the environment variable that holds the directory in which the
// client is installed: the one with node_modules in it.
const Env = "HOOKSWITCH_OFFICIAL"

// Clients are the versions of the client whose iterators page through lists, by
// the names that they are installed under: one of each major version, and of
// the last those before and after a change.
func Clients() []string { return []string{"telnyx-5.51", "telnyx-6.83", "telnyx-7.17", "telnyx"} }

//go:embed *.mjs
var scripts embed.FS

// Scripts returns a directory with the scripts, from where Node finds the
// client. It is removed when the test ends. The test is skipped when [Env] is
// not set, and fails when it is set and the client is not there.
func Scripts(t testing.TB) string {
	t.Helper()
	installed := os.Getenv(Env)
	if installed == "" {
		t.Skipf("%s is not set: run this test with make official, which installs Telnyx's client for Node", Env)
	}
	if _, err := os.Stat(filepath.Join(installed, "node_modules", "telnyx")); err != nil {
		t.Fatalf("%s: the client is not installed there, make official does it: %v", Env, err)
	}
	// Node looks for packages in the directories above a script, so they
	// cannot be run from just any temporary directory.
	dir, err := os.MkdirTemp(installed, "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.CopyFS(dir, scripts); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Command returns a command that runs one of the scripts, not yet started. Its
// environment is env, each "NAME=value", and where to find programs: settings
// of the person who runs the test do not reach it. It is killed when the test ends.
func Command(t testing.TB, env []string, script string, args ...string) *exec.Cmd {
	t.Helper()
	script = filepath.Join(Scripts(t), script)
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}
