package process

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// jsonlCookie is the value of CookieKey for programs that read lines. It is
// not the one of executables, so that a plugin made with the SDK does not print
// a handshake where results belong.
const jsonlCookie = "hookswitch.jsonl.v1"

// startJSONL starts a command and sees it through until it can take events.
func (l *Launcher) startJSONL(ctx context.Context, p *Process, b *catalog.Build, log *slog.Logger) (Step, error) {
	env := append(Environ(l.Environ, l.Env), CookieKey+"="+jsonlCookie,
		// Or each answer waits in the program's memory until there are 8 KiB.
		"PYTHONUNBUFFERED=1")
	path, err := b.FindProgram(env, l.WorkDir)
	if err != nil {
		return StepSpawn, err
	}
	r := l.newRunner(path, env, log)
	r.args = b.Manifest.Command
	lines := link.NewLines(r, b.Manifest.MaxInFlight)
	r.readOut = func(stdout *os.File) { lines.Read(stdout) }
	p.run = r
	if err := r.Start(ctx); err != nil {
		return StepSpawn, fmt.Errorf("start %s: %w", path, err)
	}
	unwatch := context.AfterFunc(ctx, func() {
		r.signal(syscall.SIGKILL)
		_ = r.Close() // or a write would block on a process that escaped the group
	})
	defer unwatch()
	if err := l.configureLines(ctx, lines, b); err != nil {
		return StepConfigure, err
	}
	about := lines.Hello()
	p.About = &pluginpb.DescribeResponse{
		Name: b.Name, Version: about.Version, Language: about.Language, Sdk: string(catalog.KindJSONL), Patterns: b.Manifest.Events,
	}
	p.Lines = lines
	if l.Until != Ready {
		return 0, nil
	}
	lines.Begin()
	p.Link, err = link.OpenStream(ctx, lines)
	return StepOpen, err
}

// configureLines gives a program that reads lines its settings or, if there are
// none, waits until it has settled.
func (l *Launcher) configureLines(ctx context.Context, lines *link.Lines, b *catalog.Build) error {
	if len(b.Settings) == 0 {
		return lines.Settle(ctx, l.Timings.Settle)
	}
	line, err := link.ConfigureLine(b.Name, b.Settings)
	if err != nil {
		return err
	}
	refused, err := lines.Configure(ctx, line)
	if err == nil && len(refused) > 0 {
		return &Refusal{refused}
	}
	return err
}
