package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

var errTooSlow = errors.New("the plugin was not ready in time")

// cause explains why a start failed, from its error and the output of the process.
type cause struct {
	ctx        context.Context // of the start
	transcript *transcript
	cfg        Config
}

// start explains a failed start. settings is the file with the plugin's settings, or
// empty.
func (c cause) start(e *process.StartError, entry catalog.Entry, settings string) *catalog.Problem {
	_, refused := errors.AsType[*process.Refusal](e.Err)
	spawn, explained := errors.AsType[*catalog.SpawnError](e.Err)
	switch {
	case explained:
		if p := spawn.Problem; p.Detail == nil {
			p.Detail, _ = c.transcript.tail()
		}
		return spawn.Problem
	case e.Step == process.StepSpawn && entry.Kind == catalog.KindExec:
		return &catalog.Problem{Kind: catalog.ProblemStart, What: fmt.Sprintf("the system refuses to run it: %v", e.Err)}
	case entry.Kind != catalog.KindExec && !refused:
		return c.manifest(e, entry.Kind)
	case e.Step == process.StepHandshake:
		return c.handshake(e)
	case e.Step == process.StepConnect:
		return hostProblem(e.Err)
	case e.Step == process.StepDescribe:
		return c.call(catalog.ProblemDescribe, e)
	case e.Step == process.StepConfigure:
		return c.configure(e, settings, entry.SettingsPath())
	}
	return c.call(catalog.ProblemDeliver, e)
}

// manifest explains why the plugin of a manifest did not start.
func (c cause) manifest(e *process.StartError, kind catalog.Kind) *catalog.Problem {
	p := &catalog.Problem{Kind: catalog.ProblemStart, What: fmt.Sprintf("it cannot be started as %q: %v", kind, e)}
	if p.Detail, _ = c.transcript.tail(); p.Detail != nil {
		p.Fix = c.missingVariable(strings.Join(p.Detail, "\n"))
	}
	return p
}

// handshake explains why there was no handshake, or why it was refused.
func (c cause) handshake(e *process.StartError) *catalog.Problem {
	switch {
	case e.Greeting.Line != "":
		return c.greeting(e.Greeting.Line, e.Err)
	case c.ctx.Err() != nil:
		return c.tooSlow("it printed no handshake")
	}
	return c.ended(e, catalog.ProblemHandshake, "before the handshake")
}

// greeting explains what is wrong with the line of the handshake.
func (c cause) greeting(line string, err error) *catalog.Problem {
	p := &catalog.Problem{Kind: catalog.ProblemProtocol, What: fmt.Sprintf("its handshake is refused: %v", err), Detail: []string{line}}
	fields := strings.Split(line, "|")
	switch {
	case fields[0] != "1":
		p.What = fmt.Sprintf("it speaks version %s of go-plugin's handshake, and this host version 1", fields[0])
		p.Fix = "build it with go-plugin v1"
	case fields[1] != strconv.Itoa(process.ProtocolVersion):
		p.What = fmt.Sprintf("it speaks version %s of the plugin protocol, and this hookswitch version %d", fields[1], process.ProtocolVersion)
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
		return hostProblem(context.Cause(c.ctx)) // the caller has given up
	}
	p := &catalog.Problem{Kind: catalog.ProblemSlow, What: fmt.Sprintf("%s within %v", what, c.cfg.StartTimeout),
		Fix: "listen and print the handshake first, and do slow work when events come; if it prints no handshake at all, it is not a plugin: see sdk.Serve, or plugins/PROTOCOL.md"}
	p.Detail, _ = c.transcript.tail()
	return p
}

// foreignPlugin is go-plugin's message when it gets another cookie than it expects.
const foreignPlugin = "not meant to be executed directly"

// ended explains a process that has ended or has closed its output.
func (c cause) ended(e *process.StartError, kind, when string) *catalog.Problem {
	p := &catalog.Problem{Kind: kind}
	if noise := e.Greeting.Noise; len(noise) >= process.NoiseLines {
		p.What = fmt.Sprintf("it printed %d lines to standard output, and no handshake among them", process.NoiseLines)
		p.Detail = noise[:min(len(noise), 3)]
		p.Fix = "print to standard error, and the handshake first: sdk.Serve does both"
		return p
	}
	lines, panicked := c.transcript.tail()
	p.Detail = lines
	text := strings.Join(lines, "\n")
	switch {
	case e.Exit == nil || e.Exit.Error() == "signal: killed":
		p.What = "it closed its standard output " + when + ", or was killed"
		p.Fix = "print the handshake to standard output: sdk.Serve does"
	case strings.Contains(text, foreignPlugin):
		p.Kind = catalog.ProblemProtocol
		p.What = fmt.Sprintf("it is a plugin of another program: it does not take the cookie of hookswitch (%s=%s)", process.CookieKey, process.CookieValue)
		p.Fix = fmt.Sprintf("if it is meant for hookswitch, set MagicCookieKey to %q and MagicCookieValue to %q", process.CookieKey, process.CookieValue)
	case panicked:
		p.Kind, p.What = catalog.ProblemCrash, "it started, then panicked "+when
	case e.Exit.Error() == "exit status 0":
		p.What = "it ended " + when + ", as if all were well"
		p.Fix = "a plugin serves until it is told to end: see sdk.Serve, or plugins/PROTOCOL.md"
	default:
		p.Kind, p.What = catalog.ProblemCrash, fmt.Sprintf("it started, then ended %s (%v)", when, e.Exit)
	}
	if fix := c.missingVariable(text); fix != "" {
		p.Fix = fix
	}
	return p
}

// wantsVariable finds the name of an environment variable that a program says it
// lacks.
var wantsVariable = regexp.MustCompile(`\b([A-Z][A-Z0-9]*_[A-Z0-9_]+|[A-Z]{3,})\b[^\n]{0,40}?\b(?:not set|unset|missing|required|undefined|must be set|is empty|not found)\b|` +
	`\b(?:KeyError: '|missing (?:environment variable )?|set )([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b`)

// missingVariable explains how to pass a variable that the plugin lacks.
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

// call explains why one of the first calls failed.
func (c cause) call(kind string, e *process.StartError) *catalog.Problem {
	names := map[string]string{catalog.ProblemDescribe: "Describe", catalog.ProblemSettings: "Configure", catalog.ProblemDeliver: "Deliver with its first Credit"}
	name := names[kind]
	err := e.Err
	_, theirs := status.FromError(err) // else it is ours: the answer is invalid
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
	case e.Exit != nil:
		return c.ended(e, kind, "when it was asked to "+map[string]string{
			catalog.ProblemDescribe: "describe itself", catalog.ProblemSettings: "take its settings", catalog.ProblemDeliver: "take events"}[kind])
	}
	p := &catalog.Problem{Kind: kind, What: fmt.Sprintf("%s fails: %s", name, status.Convert(err).Message())}
	p.Detail, _ = c.transcript.tail()
	return p
}

// configure explains why the plugin refuses its settings. used is the settings file,
// or empty; path is where one would be.
func (c cause) configure(e *process.StartError, used, path string) *catalog.Problem {
	refused, ok := errors.AsType[*process.Refusal](e.Err)
	if !ok {
		return c.call(catalog.ProblemSettings, e)
	}
	p := &catalog.Problem{Kind: catalog.ProblemSettings, What: "it refuses its settings, " + used}
	p.Fix = "fix " + catalog.Quote(used)
	if used == "" {
		p.What = "it does not work without settings, and there is no " + filepath.Base(path) + " beside it"
		p.Fix = "write " + catalog.Quote(path) + ", or name another file with --settings"
	}
	for _, r := range refused.Errors {
		p.Detail = append(p.Detail, strings.TrimPrefix(r.GetField()+": "+r.GetMessage(), ": "))
	}
	return p
}
