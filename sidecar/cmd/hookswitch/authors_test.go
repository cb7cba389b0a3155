package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
			examples, err := filepath.Abs("../../../examples")
			if err != nil {
				return err
			}
			e.Setenv("HOOKSWITCH", self)
			e.Setenv("EXAMPLES", examples)
			return setup(e)
		},
		Cmds: commands,
		Condition: func(name string) (bool, error) {
			if name == "trimpath" { // the program does not know where it was compiled
				_, file, _, _ := runtime.Caller(0)
				return !filepath.IsAbs(file), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}

// TestNodeScripts are the stories of the plugin in examples/node, which needs
// Node and packages: "make node" puts them into a directory and names it.
func TestNodeScripts(t *testing.T) {
	plugin := os.Getenv("HOOKSWITCH_NODE_PLUGIN")
	if plugin == "" {
		t.Skip("HOOKSWITCH_NODE_PLUGIN is not set: make node does it")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/node",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NODE_PLUGIN", plugin)
			return setup(e)
		},
		Cmds: commands,
	})
}

// TestNATSScripts run the plugin for NATS behind the sidecar, with a real
// broker, which "make nats" builds.
func TestNATSScripts(t *testing.T) {
	server := os.Getenv("HOOKSWITCH_NATS_SERVER")
	if server == "" {
		t.Skip("HOOKSWITCH_NATS_SERVER is not set: make nats does it")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/nats",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NATS_SERVER", server)
			return setup(e)
		},
		Cmds: commands,
	})
}
