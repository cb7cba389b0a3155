package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookswitch/hookswitch/internal/testkit/official"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
)

// TestMain lets the test binary be the programs under test: the daemon, a plugin
// that records what it is given, and an app.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hookswitch":                 func() { os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr)) },
		"hookswitch-plugin-recorder": recorderPlugin,
		"verifying-app":              verifyingApp,
	})
}

// TestScripts drives the real binary through the stories in testdata/script.
// Each script has a directory, a key pair and free ports of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds:                commands,
	})
}

// TestScriptsOnPostgres are the same stories with the events in a database; with
// -short, those in which the store has most to do.
func TestScriptsOnPostgres(t *testing.T) {
	server := pgtest.Start(t)
	dir, files := "testdata/script", []string(nil)
	if testing.Short() {
		for _, name := range []string{"duplicate", "kill9_load", "operate", "retry", "seed", "sigterm"} {
			files = append(files, filepath.Join(dir, name+".txtar"))
		}
		dir = ""
	}
	t.Run("", func(t *testing.T) { // ends before the server does
		testscript.Run(t, testscript.Params{
			Dir:                 dir,
			Files:               files,
			RequireExplicitExec: true,
			RequireUniqueNames:  true,
			Setup: func(e *testscript.Env) error {
				if err := setup(e); err != nil {
					return err
				}
				e.Setenv("HOOKSWITCH_STORE", server.Database(t))
				return nil
			},
			Cmds: commands,
		})
	})
}

// TestOfficialScripts are stories in which Telnyx's own client for Node has
// the last word.
func TestOfficialScripts(t *testing.T) {
	scripts := official.Scripts(t) // skips, and says so, if it is not installed
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/official",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SCRIPTS", scripts)
			e.Setenv("TELNYX_API_KEY", "KEY_of_nobody")
			return setup(e)
		},
		Cmds: commands,
	})
}

// world is the surroundings of one script.
type world struct {
	key  ed25519.PrivateKey // Telnyx's, as far as this script is concerned
	app  *app               // the app behind the sidecar, if the script has one
	load chan struct{}      // closed when the load has ended
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func setup(e *testscript.Env) error {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	w := &world{key: private}
	e.Values[worldKey{}] = w
	for name, value := range map[string]string{
		"TELNYX_PUBLIC_KEY":       base64.StdEncoding.EncodeToString(public),
		"HOOKSWITCH_LISTEN":       "127.0.0.1:0",
		"HOOKSWITCH_ADMIN_LISTEN": "127.0.0.1:0",
		"HOOKSWITCH_STORE":        "file:" + filepath.Join(e.WorkDir, "data"),
		"HOOKSWITCH_DATA_DIR":     filepath.Join(e.WorkDir, "data"),
		"HOOKSWITCH_PLUGIN_DIR":   filepath.Join(e.WorkDir, "plugins"),
		"HOOKSWITCH_PLUGIN_ENV":   "GORACE,RECORDER_DIR,RECORDER_ANSWER",
		"RECORDER_DIR":            filepath.Join(e.WorkDir, "calls"),
		"HOOKSWITCH_LOG_FORMAT":   "text",
		"GORACE":                  "atexit_sleep_ms=0", // or each command takes a second to end
	} {
		e.Setenv(name, value)
	}
	if os.Geteuid() == 0 { // as in many containers
		e.Setenv("HOOKSWITCH_PLUGIN_USER", "root")
	}
	return os.Mkdir(filepath.Join(e.WorkDir, "calls"), 0o700)
}

// TestLitestreamScripts run Litestream beside the sidecar.
// HOOKSWITCH_LITESTREAM is the program; "make litestream" builds it.
func TestLitestreamScripts(t *testing.T) {
	program := os.Getenv("HOOKSWITCH_LITESTREAM")
	if program == "" {
		t.Skip("needs Litestream: run by make litestream")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/litestream",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := setup(e); err != nil {
				return err
			}
			e.Setenv("LITESTREAM", program)
			return nil
		},
		Cmds: commands,
	})
}
