//go:build unix

package process

import (
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// shell returns a plugin that reads lines, as a script.
func shell(script, settings string) *catalog.Build {
	return &catalog.Build{
		Entry: catalog.Entry{Name: "p", Kind: catalog.KindJSONL,
			Manifest: &catalog.Manifest{Protocol: catalog.KindJSONL, Command: []string{"/bin/sh", "-c", script}, Events: []string{"*"}}},
		Settings: []byte(settings),
	}
}

// A start that fails says at which step, and how the process ended.
func TestStartError(t *testing.T) {
	gone := shell("", "")
	gone.Manifest.Command[0] = "/does/not/exist"
	const refuse = `read line; echo '{"configured":{"errors":[{"field":"dsn","message":"is missing"}]}}'; read line`
	for _, tt := range []struct {
		name  string
		build *catalog.Build
		step  Step
		exit  string
		final bool
		want  string // the whole error, if not empty
	}{
		{"a program that is not there", gone, StepSpawn, "", false, ""},
		{"one that ends at once", shell("echo no database >&2; exit 3", ""), StepConfigure, "exit status 3", false,
			"the program ended at once (the process ended: exit status 3; its last output: no database)"},
		{"one that refuses its settings", shell(refuse, "{}"), StepConfigure, "", true,
			"configure: the plugin refuses its settings: dsn: is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &Launcher{StartTimeout: 10 * time.Second, Timings: DefaultTimings()}
			p, err := l.Start(t.Context(), tt.build, slog.New(slog.DiscardHandler))
			if p != nil {
				p.Kill()
			}
			e, ok := errors.AsType[*StartError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			exit := ""
			if e.Exit != nil {
				exit = e.Exit.Error()
			}
			if e.Step != tt.step || exit != tt.exit || e.Final() != tt.final || tt.want != "" && e.Error() != tt.want {
				t.Errorf("step %d, exit %q, final %v: %v", e.Step, exit, e.Final(), e)
			}
		})
	}
}

func TestFinal(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{errors.New("connection refused"), false},
		{&Refusal{[]*pluginpb.ConfigError{{Message: "no"}}}, true},
		{catalog.Final(errors.New("it declares no events")), true},
		{syscall.ENOEXEC, true},
		{errors.New("incompatible API version with plugin. Plugin version: 99"), true},
	} {
		if got := (&StartError{Err: tt.err}).Final(); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
