// Package program starts programs beside a test and ends them with it.
package program

import (
	"os/exec"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
)

// shown is how much of the output is shown, from its end.
const shown = 8000

// Start starts a command with an environment in a directory. Its output is shown
// under its name if the test fails, and what still runs when the test ends is killed.
func Start(tb testing.TB, name, dir string, env []string, command ...string) *exec.Cmd {
	tb.Helper()
	log := new(output.Buffer)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, log, log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if tb.Failed() {
			text := log.String()
			tb.Logf("%s:\n%s", name, text[max(0, len(text)-shown):])
		}
	})
	return cmd
}
