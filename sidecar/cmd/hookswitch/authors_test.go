package main

import (
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
		Setup:               setup,
		Cmds:                commands,
	})
}
