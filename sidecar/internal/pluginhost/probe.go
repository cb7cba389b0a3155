//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// ProbeConfig says how a [Probe] starts a plugin: as a [Host] would. The fields
// mean what they mean in [Config].
type ProbeConfig struct {
	// Settings is the file with the plugin's settings. Empty: NAME.json beside
	// the plugin, if it is there.
	Settings string

	// Dir is the plugin directory. A file in it must be trusted; of one that
	// is elsewhere it is only said if it is not. Trust is the rule.
	Dir   string
	Trust catalog.Trust

	// StateDir is where a host would run the plugin from. Nothing is written
	// there. Empty: it is not known.
	StateDir string

	// WorkDir is the working directory of the plugin. Empty: one that is
	// removed at the end.
	WorkDir string

	Env          []string
	Environ      []string
	Timeout      time.Duration // for one event; 0 means 30 s
	StartTimeout time.Duration // 0 means 10 s

	// Log gets what the plugin prints. Nil: nobody does.
	Log *slog.Logger
}

// Report is what a [Probe] has found out about a plugin.
type Report struct {
	File     string           `json:"file"`
	Name     string           `json:"name"` // by which the host would know it
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
	Settings      string   `json:"settings,omitempty"` // the file that was used
	HandshakeTook Millis   `json:"handshake_ms,omitempty"`
	StartTook     Millis   `json:"start_ms,omitempty"` // up to the first event that it could take
}

// Millis is a duration that is milliseconds in JSON.
type Millis time.Duration

// MarshalJSON writes the milliseconds with three digits after the point.
func (m Millis) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(m).Seconds()*1000), nil
}

// Probe is one process of a plugin, started to find out about it. It is not
// supervised: when the process is gone, so is the probe.
type Probe struct {
	Report Report

	cfg     ProbeConfig
	entry   catalog.Entry // by a manifest
	host    *Host         // never started: it has what starts a plugin
	proc    *process
	witness *witness
	lab     *lab
	jobs    int64
	until   stage // where the start ends
}

// stage is how far a start goes.
type stage int

const (
	untilReady      stage = iota
	untilConfigured       // what opens the way of the events is not the host's
	untilDescribed
)

// StartProbe starts the plugin of a file in the way of a [Host], and returns it
// ready for events, or with the problem in its report. Stop must be called.
func StartProbe(ctx context.Context, path string, cfg ProbeConfig) *Probe {
	return startProbe(ctx, path, cfg, untilReady)
}

func startProbe(ctx context.Context, path string, cfg ProbeConfig, until stage) *Probe {
	cfg.Timeout, cfg.StartTimeout = orElse(cfg.Timeout, 30*time.Second), orElse(cfg.StartTimeout, 10*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Probe{cfg: cfg, until: until, Report: Report{File: path, Name: catalog.NameOf(path)}}
	p.Report.Problem = p.start(ctx, path)
	p.Report.OK = p.Report.Problem == nil
	return p
}

func orElse(d, or time.Duration) time.Duration {
	if d <= 0 {
		return or
	}
	return d
}

func (p *Probe) start(ctx context.Context, path string) *catalog.Problem {
	abs, err := filepath.Abs(path)
	if err != nil {
		return hostProblem(err)
	}
	f := catalog.Entry{Name: p.Report.Name, Path: abs, Kind: catalog.KindExec}
	if p.cfg.Settings != "" {
		if f.SettingsFile, err = filepath.Abs(p.cfg.Settings); err == nil {
			_, err = os.Stat(f.SettingsFile) // it was asked for, so it must be there
		}
		if err != nil {
			return &catalog.Problem{Kind: catalog.ProblemSettings, What: "its settings cannot be read: " + err.Error()}
		}
	}
	if p.lab, err = openLab(p.cfg.WorkDir); err != nil {
		return hostProblem(err)
	}
	p.witness = newWitness(p.cfg.Log)
	p.host = &Host{
		cfg:    Config{WorkDir: p.lab.work, Env: p.cfg.Env, Environ: p.cfg.Environ, Timeout: p.cfg.Timeout, StartTimeout: p.cfg.StartTimeout}.withDefaults(),
		limits: defaultLimits(),
		run:    &runDir{path: p.lab.run},
	}
	begin := p.startExec
	if strings.HasSuffix(path, catalog.ManifestSuffix) {
		begin = p.startManifest
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.StartTimeout, errTooSlow)
	defer cancel()
	begun := time.Now()
	if problem := begin(ctx, path, f); problem != nil {
		return problem
	}
	p.describe(p.proc.about)
	if p.proc.link != nil {
		p.Report.InFlight, _ = p.proc.link.Credit()
	}
	p.Report.StartTook = Millis(time.Since(begun))
	return nil
}

// startExec takes the steps of a host's startExec, and says of each why it
// failed. path is the file as it was named.
func (p *Probe) startExec(ctx context.Context, path string, f catalog.Entry) *catalog.Problem {
	env := environ(p.cfg.Environ, p.cfg.Env)
	bad, _ := catalog.Inspect(path, env) // what is foreign may run all the same
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
		p.Report.Warnings = append(p.Report.Warnings, "in a plugin directory the sidecar would pass it over: its name is "+why)
	}
	begun := time.Now()
	r := newRunner(f.Path, p.lab.work, env, slog.New(p.witness))
	p.witness.runner = r
	p.proc = newProcess(p.host, r)
	unwatch := context.AfterFunc(ctx, func() { r.signal(syscall.SIGKILL) })
	defer unwatch()
	c := cause{ctx: ctx, proc: p.proc, witness: p.witness, cfg: p.cfg}
	addr, err := shakeHands(r, p.lab.run, 2*p.cfg.StartTimeout)
	if err != nil {
		return c.handshake(err)
	}
	p.Report.HandshakeTook = Millis(time.Since(begun))
	p.proc.shutdown = true
	if noise := p.witness.noise(); len(noise) > 0 {
		p.Report.Warnings = append(p.Report.Warnings, "it prints to standard output before the handshake, which other hosts of go-plugin do not forgive: "+quoteSome(noise))
	}
	if p.proc.conn, err = dial(addr.Network(), addr.String(), insecure.NewCredentials()); err != nil {
		return hostProblem(err)
	}
	if err := p.proc.describe(ctx); err != nil {
		return c.call(catalog.ProblemDescribe, err)
	}
	p.proc.readStdio()
	if p.until == untilDescribed {
		return nil
	}
	settings, problem := p.settings(f)
	if problem != nil {
		return problem
	}
	if err := p.proc.configure(ctx, f.Name, settings); err != nil {
		return c.configure(err, p.Report.Settings, f.SettingsPath())
	}
	if p.until == untilConfigured {
		return nil
	}
	if err := p.proc.open(ctx); err != nil {
		return c.call(catalog.ProblemDeliver, err)
	}
	return nil
}

// distrust says why a host would not run the file, or warns that it would not if
// the file stayed where it is.
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
		if at := strings.LastIndex(problem.What, ": "); at > 0 { // the rule's errors end in what mends them
			problem.What, problem.Fix = problem.What[:at], problem.What[at+2:]
		}
		return problem
	}
	return nil
}

// startManifest starts what a manifest declares.
func (p *Probe) startManifest(ctx context.Context, path string, f catalog.Entry) *catalog.Problem {
	if _, err := os.Stat(path); err != nil {
		return catalog.Missing(path)
	}
	if bad := catalog.NameProblem(path, true); bad != nil {
		return bad
	}
	m, err := catalog.ReadManifest(f.Path)
	if err != nil {
		return &catalog.Problem{Kind: catalog.ProblemManifest, What: strings.TrimPrefix(err.Error(), "manifest "+f.Path+": "), Fix: "mend " + catalog.Quote(path)}
	}
	f.Kind, f.Manifest = m.Protocol, m
	settings, problem := p.settings(f)
	if problem != nil {
		return problem
	}
	p.entry = f
	begin := startProcess
	switch {
	case p.until == untilReady:
	case f.Kind == catalog.KindJSONL:
		begin = runJSONL
	default:
		begin = meetRemote
	}
	p.proc, err = begin(ctx, p.host, &catalog.Build{Entry: f, Settings: settings}, slog.New(p.witness))
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*catalog.SpawnError](err); ok {
		return e.Problem
	}
	problem = &catalog.Problem{Kind: catalog.ProblemStart, What: fmt.Sprintf("it cannot be started as %q: %v", f.Kind, err)}
	if _, ok := errors.AsType[*refusal](err); ok {
		return cause{}.configure(err, p.Report.Settings, f.SettingsPath())
	}
	if problem.Detail, _ = p.witness.lastWords(); problem.Detail != nil {
		problem.Fix = cause{cfg: p.cfg}.missingVariable(strings.Join(problem.Detail, "\n"))
	}
	return problem
}

func hostProblem(err error) *catalog.Problem {
	return &catalog.Problem{Kind: catalog.ProblemHost, What: "it could not be tried: " + err.Error()}
}

func (p *Probe) describe(about *pluginpb.DescribeResponse) {
	r := &p.Report
	r.Described, r.Version, r.SDK, r.Language = about.GetName(), about.GetVersion(), about.GetSdk(), about.GetLanguage()
	r.Protocol, r.Patterns = protocolVersion, about.GetPatterns()
	for _, pattern := range r.Patterns {
		if hint := spelling.EventType(pattern); hint != "" {
			r.Warnings = append(r.Warnings, "it asks for "+hint)
		}
	}
	r.Stream = about.GetCapabilities().GetDeliverStream() || p.proc.conn == nil // lines are one
}

// settings reads the plugin's settings, and notes where they are from.
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

// Deliver delivers an event to the plugin and returns what came of it. The
// error is that of ctx.
func (p *Probe) Deliver(ctx context.Context, e *delivery.Event) (delivery.Attempt, error) {
	if err := p.proc.link.Acquire(ctx); err != nil && !errors.Is(err, link.ErrMoved) {
		return delivery.Attempt{}, err
	}
	p.jobs++
	t := delivery.Task{Job: delivery.Job{ID: p.jobs, Target: delivery.Plugin.Target(p.Report.Name)}, Event: e}
	a, how := p.proc.link.Deliver(ctx, link.Request{Task: t, Plugin: p.Report.Name, Timeout: p.cfg.Timeout, Grace: p.proc.limit.grace})
	switch how {
	case link.Lost, link.Moved:
		a.Error = died(p.proc.end())
	case link.Unsent:
		return a, ctx.Err()
	}
	return a, nil
}

// Left returns the names of the files that the plugin has made in a working
// directory that will be removed.
func (p *Probe) Left() []string {
	if p.lab == nil || p.cfg.WorkDir != "" {
		return nil
	}
	var names []string
	entries, _ := os.ReadDir(p.lab.work) // what cannot be listed is not worth a word
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Stop ends the plugin and removes what the probe has made. A plugin that has
// to be killed is an error.
func (p *Probe) Stop() (err error) {
	if p.proc != nil {
		if p.proc.link != nil {
			err = p.proc.stop(p.proc.limit.idle)
		}
		p.proc.kill()
	}
	if p.lab != nil {
		p.lab.close()
	}
	return err
}
