package main

import (
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestAuthorScripts are the stories of people who write plugins. No store has a
// part in them.
func TestAuthorScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/authors",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			self, err := exec.LookPath("hookswitch") // testscript has put it there
			if err != nil {
				return err
			}
			e.Setenv("HOOKSWITCH", self)
			return setup(e)
		},
		Cmds: commands,
	})
}
