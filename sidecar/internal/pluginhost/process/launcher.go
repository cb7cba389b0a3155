// Package process starts a plugin and ends it.
//
// [Launcher.Start] takes what the catalog says of a plugin and returns a
// [Process] that can take events, whichever way its kind is started: an
// executable that speaks go-plugin's handshake, a command that reads lines, or a
// server that runs elsewhere, which is only connected to. A start that fails
// leaves nothing behind and says why in a [StartError], which has what there is
// to explain it.
//
// The package promises that no process can hurt the host: not by what it prints
// or how much, by what it claims in the handshake, by how it ends, or by the
// processes that it leaves in its group. It does not decide when a process is
// started or whether it is healthy: that is the caller's.
package process

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// What the host and every plugin must agree on before they can speak;
// plugins/PROTOCOL.md has it for authors.
const (
	CookieKey       = "HOOKSWITCH_PLUGIN"
	CookieValue     = "hookswitch.plugin.v1"
	ProtocolVersion = 1
)

// messageMax is how many bytes one gRPC message may have.
const messageMax = 16 << 20

// Launcher starts processes of plugins. It must not be changed or copied once it
// has started one, and is safe for concurrent use.
type Launcher struct {
	Env     []string // names of variables that plugins get, besides a few such as PATH
	Environ []string // where they are taken from, in the form of os.Environ
	WorkDir string   // empty for the host's
	RunDir  string   // for sockets

	// StartTimeout is the longest that a start may take. The ctx of Start
	// ends by then.
	StartTimeout time.Duration

	Timings   Timings
	Resources Resources

	// Until is where a start ends.
	Until Stage

	groups groups // measures memory
}

// Stage is how far a start goes.
type Stage int

// The stages of a start, the farthest first.
const (
	Ready      Stage = iota // the process takes events by its Link
	Configured              // it has its settings; what opens the way of events is the caller's
	Described               // it has described itself
)

// Step is a part of a start that can fail.
type Step int

// The steps of a start. Not every kind of plugin has all of them.
const (
	StepSpawn     Step = iota // the system runs the program
	StepHandshake             // it says where it listens
	StepConnect               // a connection to it can be tried
	StepDescribe              // it describes itself
	StepConfigure             // it takes its settings, or settles if there are none
	StepOpen                  // it takes events
)

// Start starts a plugin and sees it through until it can take events, or as far
// as Until says. log gets what it prints. Of a process that failed nothing is
// left. Its errors are of type [*StartError].
func (l *Launcher) Start(ctx context.Context, b *catalog.Build, log *slog.Logger) (*Process, error) {
	p := &Process{Timings: l.Timings}
	start := l.startExec
	switch b.Kind {
	case catalog.KindJSONL:
		start = l.startJSONL
	case catalog.KindRemote:
		start = l.startRemote
	}
	step, err := StepSpawn, l.permit(b)
	if err == nil {
		step, err = start(ctx, p, b, log)
	}
	if err != nil {
		failed := p.failed(ctx, b, step, err)
		p.Kill()
		return nil, failed
	}
	if p.run != nil {
		// Again: a Go program raises its limit of files as it begins, and may
		// have read the old one.
		p.run.res.limit(p.PID(), log)
	}
	return p, nil
}

// permit returns an error if the plugin must not, or cannot, be started.
func (l *Launcher) permit(b *catalog.Build) error {
	if !catalog.Local && b.Kind != catalog.KindRemote {
		return catalog.Final(errors.New(catalog.NotLocal + ": declare this one as a remote plugin (plugins/PROTOCOL.md)"))
	}
	return l.Resources.Permit(b.Entry)
}

// newRunner returns a runner with what all plugins of the host have in common.
func (l *Launcher) newRunner(path string, env []string, log *slog.Logger) *runner {
	if a := l.Resources.Account; a != nil && a.home != "" {
		env = append(slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "HOME=") }), "HOME="+a.home)
	}
	r := newRunner(path, l.WorkDir, append(env, l.Resources.environment(env)...), log)
	r.res, r.groups, r.measure = l.Resources, &l.groups, l.Timings.Memory
	return r
}
