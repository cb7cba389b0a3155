//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

var errTooSlow = errors.New("the plugin was not ready in time")

// cause finds out why a start failed, from the error of the step that did and
// from what is left of the process.
type cause struct {
	ctx     context.Context // of the start
	proc    *process
	witness *witness
	cfg     ProbeConfig
}

// handshake explains why there was no handshake, or why it was refused.
func (c cause) handshake(err error) *catalog.Problem {
	r := c.proc.run
	r.mu.Lock()
	started, greeting := r.pid != 0, r.greeting
	r.mu.Unlock()
	switch {
	case !started:
		return c.spawn(err)
	case greeting != "":
		return c.greeting(greeting, err)
	case c.ctx.Err() != nil:
		return c.tooSlow("it printed no handshake")
	}
	return c.ended(catalog.ProblemHandshake, "before the handshake")
}

// spawn explains why the system did not run the file.
func (c cause) spawn(err error) *catalog.Problem {
	if e, ok := errors.AsType[*catalog.SpawnError](err); ok {
		return e.Problem
	}
	return &catalog.Problem{Kind: catalog.ProblemStart, What: fmt.Sprintf("the system does not run it: %v", err)}
}

// greeting explains what is wrong with the line of the handshake.
func (c cause) greeting(line string, err error) *catalog.Problem {
	p := &catalog.Problem{Kind: catalog.ProblemProtocol, What: fmt.Sprintf("its handshake is refused: %v", err), Detail: []string{line}}
	fields := strings.Split(line, "|")
	switch {
	case fields[0] != "1":
		p.What = fmt.Sprintf("it speaks version %s of go-plugin's handshake, and this host version 1", fields[0])
		p.Fix = "build it with go-plugin v1"
	case fields[1] != strconv.Itoa(protocolVersion):
		p.What = fmt.Sprintf("it speaks version %s of the plugin protocol, and this hookswitch version %d", fields[1], protocolVersion)
		p.Fix = "build it with the SDK of this hookswitch, or use the hookswitch that it was built for"
	case len(fields) < 5 || fields[4] != "grpc":
		p.What = fmt.Sprintf("it does not speak gRPC (its handshake ends in %q)", strings.Join(fields[min(4, len(fields)-1):], "|"))
		p.Fix = "serve gRPC, and end the handshake in |grpc"
	default:
		p.Fix = "listen on a unix socket in the directory that PLUGIN_UNIX_SOCKET_DIR names"
	}
	return p
}

func (c cause) tooSlow(what string) *catalog.Problem {
	if !errors.Is(context.Cause(c.ctx), errTooSlow) {
		return hostProblem(context.Cause(c.ctx)) // whoever started it has given up
	}
	p := &catalog.Problem{Kind: catalog.ProblemSlow, What: fmt.Sprintf("%s within %v", what, c.cfg.StartTimeout),
		Fix: "listen and print the handshake first, and do slow work when events come; if it prints no handshake at all, it is no plugin: see sdk.Serve, or plugins/PROTOCOL.md"}
	p.Detail, _ = c.witness.lastWords()
	return p
}

// foreignPlugin is what go-plugin prints when the cookie is not the one that it
// was made with.
const foreignPlugin = "not meant to be executed directly"

// ended explains a process that has gone, or that has closed its output.
func (c cause) ended(kind, when string) *catalog.Problem {
	p := &catalog.Problem{Kind: kind}
	if noise := c.witness.noise(); len(noise) >= noiseLines {
		p.What = fmt.Sprintf("it printed %d lines to standard output, and no handshake among them", noiseLines)
		p.Detail = noise[:min(len(noise), 3)]
		p.Fix = "print to standard error, and the handshake first: sdk.Serve does both"
		return p
	}
	ended := c.proc.waitDone(c.proc.limit.reap) // go-plugin has killed it, if it was alive
	lines, panicked := c.witness.lastWords()    // all of them, now
	c.proc.run.mu.Lock()
	exit := c.proc.run.exit
	c.proc.run.mu.Unlock()
	p.Detail = lines
	text := strings.Join(lines, "\n")
	switch {
	case !ended || exit.Error() == "signal: killed":
		p.What = "it closed its standard output " + when + ", or was killed"
		p.Fix = "print the handshake to standard output: sdk.Serve does"
	case strings.Contains(text, foreignPlugin):
		p.Kind = catalog.ProblemProtocol
		p.What = fmt.Sprintf("it is a plugin of another program: it does not take the cookie of hookswitch (%s=%s)", cookieKey, cookieValue)
		p.Fix = fmt.Sprintf("if it is meant for hookswitch, set MagicCookieKey to %q and MagicCookieValue to %q", cookieKey, cookieValue)
	case panicked:
		p.Kind, p.What = catalog.ProblemCrash, "it started, then panicked "+when
	case exit.Error() == "exit status 0":
		p.What = "it ended " + when + ", as if all were well"
		p.Fix = "a plugin serves until it is told to end: see sdk.Serve, or plugins/PROTOCOL.md"
	default:
		p.Kind, p.What = catalog.ProblemCrash, fmt.Sprintf("it started, then ended %s (%v)", when, exit)
	}
	if fix := c.missingVariable(text); fix != "" {
		p.Fix = fix
	}
	return p
}

// wantsVariable finds the name of an environment variable that a program says
// it has not got.
var wantsVariable = regexp.MustCompile(`\b([A-Z][A-Z0-9]*_[A-Z0-9_]+|[A-Z]{3,})\b[^\n]{0,40}?\b(?:not set|unset|missing|required|undefined|must be set|is empty|not found)\b|` +
	`\b(?:KeyError: '|missing (?:environment variable )?|set )([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b`)

// missingVariable says how to pass a variable that the plugin misses.
func (c cause) missingVariable(text string) string {
	m := wantsVariable.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	name := m[1] + m[2] // one of them is empty
	fix := fmt.Sprintf("pass it with HOOKSWITCH_PLUGIN_ENV=%s (plugins do not inherit the sidecar's environment)", name)
	if !slices.ContainsFunc(c.cfg.Environ, func(v string) bool { return strings.HasPrefix(v, name+"=") && v != name+"=" }) {
		fix = fmt.Sprintf("set %s here, and pass it with HOOKSWITCH_PLUGIN_ENV=%s (plugins do not inherit the sidecar's environment)", name, name)
	}
	return fix
}

// call explains the failure of one of the first calls.
func (c cause) call(kind string, err error) *catalog.Problem {
	names := map[string]string{catalog.ProblemDescribe: "Describe", catalog.ProblemSettings: "Configure", catalog.ProblemDeliver: "Deliver with its first Credit"}
	name := names[kind]
	_, theirs := status.FromError(err) // or ours: what it says is not in order
	timer := time.NewTimer(c.proc.limit.obituary)
	defer timer.Stop()
	switch {
	case c.ctx.Err() != nil:
		return c.tooSlow("it did not answer " + name)
	case status.Code(err) == codes.Unimplemented:
		return &catalog.Problem{Kind: catalog.ProblemProtocol, What: fmt.Sprintf("it shakes hands, but has no %s: %v", name, status.Convert(err).Message()),
			Fix: "serve hookswitch.plugin.v1.PluginService: see plugins/PROTOCOL.md"}
	case !theirs && kind != catalog.ProblemDeliver:
		_, what, _ := strings.Cut(err.Error(), ": ") // without the name of the call
		return &catalog.Problem{Kind: catalog.ProblemDescribe, What: strings.TrimPrefix(what, "event: "),
			Fix: `declare event types such as "message.received", prefixes such as "message.*", or "*"`}
	}
	select {
	case <-c.proc.dead:
		return c.ended(kind, "when it was asked to "+map[string]string{
			catalog.ProblemDescribe: "describe itself", catalog.ProblemSettings: "take its settings", catalog.ProblemDeliver: "take events"}[kind])
	case <-timer.C:
	}
	p := &catalog.Problem{Kind: kind, What: fmt.Sprintf("%s fails: %s", name, status.Convert(err).Message())}
	p.Detail, _ = c.witness.lastWords()
	return p
}

// configure explains what the plugin has against its settings. used is the file
// that it got, empty if there is none; path is where one would be.
func (c cause) configure(err error, used, path string) *catalog.Problem {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		return c.call(catalog.ProblemSettings, err)
	}
	p := &catalog.Problem{Kind: catalog.ProblemSettings, What: "it refuses its settings, " + used}
	p.Fix = "mend " + catalog.Quote(used)
	if used == "" {
		p.What = "it does not work without settings, and there is no " + filepath.Base(path) + " beside it"
		p.Fix = "write " + catalog.Quote(path) + ", or name another file with --settings"
	}
	for _, e := range refused.errors {
		p.Detail = append(p.Detail, strings.TrimPrefix(e.GetField()+": "+e.GetMessage(), ": "))
	}
	return p
}
