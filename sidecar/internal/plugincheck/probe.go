// Package plugincheck finds out whether a plugin works, and says why if it does
// not: for "hookswitch plugins check", "plugins test" and "plugins verify".
//
// [Start] starts a plugin as the host would and reports what it says of itself, or
// a [catalog.Problem] with a fix. The resulting [Probe] takes events. [Verify] goes
// through the rules of plugins/PROTOCOL.md one by one, with processes that it
// starts for that.
//
// Nothing here is supervised, stored or retried: that is the host's job.
package plugincheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// Config configures the start of a plugin. Its fields mean the same as for a host.
type Config struct {
	// Settings is the file with the plugin's settings. Empty means NAME.json
	// beside the plugin, if it exists.
	Settings string

	// Dir is the plugin directory. Files in it must be trusted according to
	// Trust; files elsewhere cause a warning if they are not.
	Dir   string
	Trust catalog.Trust

	// StateDir is the directory that a host would run the plugin from. Nothing is written
	// there. Empty means unknown.
	StateDir string

	// WorkDir is the plugin's working directory. Empty means one that is removed
	// at the end.
	WorkDir string

	Env          []string
	Environ      []string
	Timeout      time.Duration // for one event; 0 means 30 s
	StartTimeout time.Duration // 0 means 10 s

	// Log gets what the plugin prints. Nil discards it.
	Log *slog.Logger
}

// Report is the result of a [Probe].
type Report struct {
	File     string           `json:"file"`
	Name     string           `json:"name"` // the name that a host would give it
	OK       bool             `json:"ok"`
	Problem  *catalog.Problem `json:"problem,omitempty"`
	Warnings []string         `json:"warnings,omitempty"`

	Described     string   `json:"described,omitempty"` // its own name
	Version       string   `json:"version,omitempty"`
	SDK           string   `json:"sdk,omitempty"`
	Language      string   `json:"language,omitempty"`
	Protocol      int      `json:"protocol,omitempty"`
	Stream        bool     `json:"stream"` // false: the minimal profile
	InFlight      int      `json:"in_flight,omitempty"`
	Patterns      []string `json:"patterns,omitempty"`
	Settings      string   `json:"settings,omitempty"` // the file they came from
	HandshakeTook Millis   `json:"handshake_ms,omitempty"`
	StartTook     Millis   `json:"start_ms,omitempty"` // until it could take an event
}

// Millis is a duration in milliseconds in JSON.
type Millis time.Duration

// MarshalJSON writes the milliseconds with three digits after the point.
func (m Millis) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(m).Seconds()*1000), nil
}

// DefaultStartTimeout is how long the sidecar, too, lets a plugin start.
const DefaultStartTimeout = process.DefaultStartTimeout

// Probe is one process of a plugin, started to examine it. It is not supervised: when
// the process ends, the probe is over.
type Probe struct {
	Report Report

	cfg        Config
	entry      catalog.Entry
	proc       *process.Process
	transcript *transcript
	scratch    *scratch
	jobs       int64
	until      process.Stage // where the start ends
}

// Start starts the plugin in a file as a host would, and returns it ready for events,
// or with the problem in its report. Stop must be called.
func Start(ctx context.Context, path string, cfg Config) *Probe {
	return startUntil(ctx, path, cfg, process.Ready)
}

func startUntil(ctx context.Context, path string, cfg Config, until process.Stage) *Probe {
	cfg.Timeout, cfg.StartTimeout = cmp.Or(cfg.Timeout, 30*time.Second), cmp.Or(cfg.StartTimeout, DefaultStartTimeout)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	p := &Probe{cfg: cfg, until: until, Report: Report{File: path, Name: catalog.NameOf(path)}}
	p.Report.Problem = p.start(ctx, path)
	p.Report.OK = p.Report.Problem == nil
	return p
}

func (p *Probe) start(ctx context.Context, path string) *catalog.Problem {
	abs, err := filepath.Abs(path)
	if err != nil {
		return hostProblem(err)
	}
	f := catalog.Entry{Name: p.Report.Name, Path: abs, Kind: catalog.KindExec}
	if p.cfg.Settings != "" {
		if f.SettingsFile, err = filepath.Abs(p.cfg.Settings); err == nil {
			_, err = os.Stat(f.SettingsFile) // it was named, so it must exist
		}
		if err != nil {
			return &catalog.Problem{Kind: catalog.ProblemSettings, What: "its settings cannot be read: " + err.Error()}
		}
	}
	if p.scratch, err = newScratch(p.cfg.WorkDir); err != nil {
		return hostProblem(err)
	}
	p.transcript = newTranscript(p.cfg.Log)
	look := p.lookAtProgram
	if strings.HasSuffix(path, catalog.ManifestSuffix) {
		look = p.lookAtManifest
	}
	if problem := look(path, &f); problem != nil {
		return problem
	}
	var settings []byte
	if p.until != process.Described {
		var problem *catalog.Problem
		if settings, problem = p.settings(f); problem != nil {
			return problem
		}
	}
	p.entry = f
	return p.launch(ctx, &catalog.Build{Entry: f, Settings: settings})
}

// launch starts the plugin, and says why if it fails.
func (p *Probe) launch(ctx context.Context, b *catalog.Build) *catalog.Problem {
	launcher := process.Launcher{
		Env: p.cfg.Env, Environ: p.cfg.Environ, WorkDir: p.scratch.work, RunDir: p.scratch.run,
		StartTimeout: p.cfg.StartTimeout, Timings: process.DefaultTimings(), Until: p.until,
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.StartTimeout, errTooSlow)
	defer cancel()
	begun := time.Now()
	proc, err := launcher.Start(ctx, b, slog.New(p.transcript))
	if failed, ok := errors.AsType[*process.StartError](err); ok {
		p.greeted(failed.Greeting)
		return cause{ctx: ctx, transcript: p.transcript, cfg: p.cfg}.start(failed, b.Entry, p.Report.Settings)
	}
	p.proc = proc
	p.greeted(proc.Greeting)
	p.describe(proc.About)
	if proc.Link != nil {
		p.Report.InFlight, _ = proc.Link.Credit()
	}
	p.Report.StartTook = Millis(time.Since(begun))
	return nil
}

// greeted records a handshake that succeeded.
func (p *Probe) greeted(g process.Greeting) {
	p.Report.HandshakeTook = Millis(g.Took)
	if g.Took > 0 && len(g.Noise) > 0 {
		p.Report.Warnings = append(p.Report.Warnings, "it prints to standard output before the handshake, which other go-plugin hosts do not accept: "+quoteSome(g.Noise))
	}
}

// lookAtProgram returns why a host would not run a program. path is the file as the
// caller named it.
func (p *Probe) lookAtProgram(path string, f *catalog.Entry) *catalog.Problem {
	bad, _ := catalog.Inspect(path, process.Environ(p.cfg.Environ, p.cfg.Env)) // foreign programs may run anyway
	if bad != nil {
		return bad
	}
	if distrust := p.distrust(f.Path); distrust != nil {
		return distrust
	}
	if noexec := catalog.NoexecCopies(p.cfg.StateDir); noexec != nil {
		return noexec
	}
	if why := catalog.PassedOver(path); why != "" {
		p.Report.Warnings = append(p.Report.Warnings, "in a plugin directory the sidecar would skip it: "+why)
	}
	return nil
}

// distrust returns why a host would not trust a file. For a file outside the plugin
// directory it only adds a warning.
func (p *Probe) distrust(path string) *catalog.Problem {
	inside := false
	if dir, err := filepath.Abs(p.cfg.Dir); err == nil && p.cfg.Dir != "" {
		inside = filepath.Dir(path) == dir
	}
	warning, err := p.cfg.Trust.Examine(path, inside)
	switch {
	case err == nil && warning != nil:
		p.Report.Warnings = append(p.Report.Warnings, warning.Error())
	case err != nil && !inside:
		p.Report.Warnings = append(p.Report.Warnings, "where it is, the sidecar would not trust it: "+err.Error())
	case err != nil:
		problem := &catalog.Problem{Kind: catalog.ProblemUntrusted, What: "it is not trusted: " + err.Error()}
		if at := strings.LastIndex(problem.What, ": "); at > 0 { // the rule's errors end with the fix
			problem.What, problem.Fix = problem.What[:at], problem.What[at+2:]
		}
		return problem
	}
	return nil
}

// lookAtManifest reads a manifest.
func (p *Probe) lookAtManifest(path string, f *catalog.Entry) *catalog.Problem {
	if _, err := os.Stat(path); err != nil {
		return catalog.Missing(path)
	}
	if bad := catalog.NameProblem(path, true); bad != nil {
		return bad
	}
	m, err := catalog.ReadManifest(f.Path)
	if err != nil {
		what := strings.TrimPrefix(err.Error(), "manifest "+f.Path+": ")
		if strings.HasPrefix(what, "is ") || strings.HasPrefix(what, "has ") {
			what = "it " + what
		}
		return &catalog.Problem{Kind: catalog.ProblemManifest, What: what,
			Fix: "correct " + catalog.Quote(path) + "; \"Files\" in plugins/PROTOCOL.md says what may be in it"}
	}
	f.Kind, f.Manifest = m.Protocol, m
	return nil
}

func hostProblem(err error) *catalog.Problem {
	return &catalog.Problem{Kind: catalog.ProblemHost, What: "it could not be tested: " + err.Error()}
}

func (p *Probe) describe(about *pluginpb.DescribeResponse) {
	r := &p.Report
	r.Described, r.Version, r.SDK, r.Language = about.GetName(), about.GetVersion(), about.GetSdk(), about.GetLanguage()
	r.Protocol, r.Patterns = process.ProtocolVersion, about.GetPatterns()
	for _, pattern := range r.Patterns {
		if hint := spelling.EventType(pattern); hint != "" {
			r.Warnings = append(r.Warnings, "it asks for "+hint)
		}
	}
	r.Stream = about.GetCapabilities().GetDeliverStream() || p.proc.Conn == nil // JSON lines are a stream
}

// settings reads the plugin's settings, and records where they came from.
func (p *Probe) settings(f catalog.Entry) ([]byte, *catalog.Problem) {
	settings, err := f.ReadSettings()
	if err != nil {
		return nil, &catalog.Problem{Kind: catalog.ProblemSettings, What: err.Error()}
	}
	if settings != nil {
		p.Report.Settings = f.SettingsPath()
		if f.SettingsFile == "" && f.Manifest != nil && f.Manifest.Settings != nil {
			p.Report.Settings = f.Path
		}
	}
	return settings, nil
}

// Deliver delivers an event to the plugin and returns the attempt. The error is that
// of ctx.
func (p *Probe) Deliver(ctx context.Context, e *delivery.Event) (delivery.Attempt, error) {
	if err := p.proc.Link.Acquire(ctx); err != nil && !errors.Is(err, link.ErrMoved) {
		return delivery.Attempt{}, err
	}
	p.jobs++
	t := delivery.Task{Job: delivery.Job{ID: p.jobs, Target: delivery.Plugin.Target(p.Report.Name)}, Event: e}
	a, how := p.proc.Link.Deliver(ctx, link.Request{Task: t, Plugin: p.Report.Name, Timeout: p.cfg.Timeout, Grace: p.proc.Timings.Grace})
	switch how {
	case link.Lost, link.Moved:
		a.Error = link.Died(p.proc.End())
	case link.Unsent:
		return a, ctx.Err()
	}
	return a, nil
}

// Left returns the names of the files that the plugin has created in a working
// directory that will be removed.
func (p *Probe) Left() []string {
	if p.scratch == nil || p.cfg.WorkDir != "" {
		return nil
	}
	var names []string
	entries, _ := os.ReadDir(p.scratch.work) // a directory that cannot be listed is not worth a remark
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Stop ends the plugin and removes the probe's files. It returns an error if the
// plugin had to be killed.
func (p *Probe) Stop() (err error) {
	if p.proc != nil {
		if p.proc.Link != nil {
			err = p.proc.Stop(p.proc.Timings.Idle)
		}
		p.proc.Kill()
	}
	if p.scratch != nil {
		p.scratch.close()
	}
	return err
}
