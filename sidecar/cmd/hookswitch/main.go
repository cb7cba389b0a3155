// Command hookswitch receives Telnyx webhooks: it verifies and stores them,
// answers, and delivers them to plugins and to an HTTP app with retries.
//
// This package only has the command line: flags, signals, output and exit codes.
// The daemon is package sidecar.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

// The exit codes, for scripts and service managers.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNothing     = 3  // a command on events found none
	exitInvalid     = 4  // verify: the signature is not valid
	exitUnreachable = 69 // EX_UNAVAILABLE: no sidecar answers
	exitConfig      = 78 // EX_CONFIG: systemd should not restart it (RestartPreventExitStatus)
	exitInterrupted = 130
)

func main() {
	os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr))
}

// run is main with its effects as parameters. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if code, done := asInit(args, stderr); done {
		return code
	}
	ctx, stop := signalContext(ctx)
	defer stop()
	out, errs := newOutlet(stdout), newOutlet(stderr)
	root, unknown := newCommand(out, errs)
	if len(args) > 1 && args[1] == completionWord {
		return complete(ctx, root, args[2:], out)
	}
	err := root.Run(ctx, args)
	if err == nil {
		err = *unknown
	}
	// A reader that has had enough, such as head, has ended this process by SIGPIPE.
	if written := out.end(); written != nil && (err == nil || errors.Is(err, written)) {
		err = fmt.Errorf("print the result: %w", written)
	}
	code := conclude(err, errs)
	_ = errs.end() // there is nowhere left to say it
	return code
}

// conclude prints the error of a command, and returns its exit code.
func conclude(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	if ee, ok := errors.AsType[*exitError](err); ok {
		code = ee.code
	}
	if ce, ok := errors.AsType[*config.Error](err); ok {
		code = exitConfig
		fmt.Fprintf(stderr, "hookswitch: bad configuration\n")
		printProblems(stderr, ce)
		return code
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(stderr, "hookswitch: %v\n", err)
	}
	return code
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errInterrupted is the error of a command that Ctrl-C ended before its answer.
var errInterrupted = &exitError{exitInterrupted, errors.New("interrupted")}

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// sameSignal is how close two signals come when one request to stop arrives
// twice: from the terminal to the whole group, and again from a parent such as
// make that passes it on.
const sameSignal = 500 * time.Millisecond

// signalContext returns a context that the first SIGINT or SIGTERM ends. A later
// one ends the process: a user who asks twice does not want to wait, and nothing
// that was acknowledged depends on a clean end.
func signalContext(ctx context.Context) (context.Context, func()) {
	last := new(atomic.Pointer[func()])
	ctx, cancel := context.WithCancel(context.WithValue(ctx, lastWordsKey{}, last))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-signals:
				switch {
				case first.IsZero():
					first = time.Now()
					cancel()
				case time.Since(first) > sameSignal:
					if do := last.Load(); do != nil {
						(*do)()
					}
					os.Exit(exitInterrupted)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// newCommand returns the command line, and the place for the error of asking for
// help on an unknown command, which the library cannot return.
func newCommand(stdout, stderr io.Writer) (root *cli.Command, unknown *error) {
	unknown = new(error)
	root = &cli.Command{
		Name:      "hookswitch",
		Usage:     "receive Telnyx webhooks: verified, stored, delivered",
		Writer:    stdout,
		ErrWriter: stderr,
		Metadata:  make(map[string]any),
		Flags:     append(globalFlags(), &cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Local: true, Usage: "print the version"}),
		Commands: []*cli.Command{
			runCommand(), devCommand(), triggerCommand(), waitCommand(), tailCommand(),
			eventsCommand(), retryCommand(), replayCommand(), deadCommand(),
			pluginsCommand(), verifyCommand(os.Stdin), lintCommand(), doctorCommand(), keysCommand(), configCommand(),
			statusCommand(), healthCommand(), alertCommand(), backupCommand(), restoreCommand(), diagCommand(), versionCommand(), manCommand(),
			helpCommand(),
		},
		HideVersion:           true,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			for _, shell := range c.Commands {
				if text := script(shell.Name); text != nil {
					shell.Action = func(_ context.Context, c *cli.Command) error {
						_, err := c.Root().Writer.Write(text)
						return err
					}
				}
			}
			finish(c, func(err error) { *unknown = err })
			c.Description = "Source what it prints, or put it where the shell looks for such scripts; packages\n" +
				"do that. It completes commands and flags, event types, and the ids, targets and\n" +
				"plugins of the sidecar that runs; in PowerShell only commands and flags.\n\n" +
				"Examples:\n" +
				"  source <(hookswitch completion bash)      # in .bashrc\n" +
				"  source <(hookswitch completion zsh)       # in .zshrc, after compinit\n" +
				"  hookswitch completion fish > ~/.config/fish/completions/hookswitch.fish\n" +
				"  hookswitch completion pwsh > hookswitch.ps1"
			c.Hidden, c.Usage = false, "print a shell script that completes commands"
			c.Action = func(_ context.Context, c *cli.Command) error {
				var shells []string
				for _, shell := range c.Commands {
					if shell.Name != "help" {
						shells = append(shells, shell.Name)
					}
				}
				if !c.Args().Present() {
					return cli.ShowSubcommandHelp(c)
				}
				return usageError("completion: there is no script for %q, only for %s", c.Args().First(), strings.Join(shells, ", "))
			}
		},
		// Errors are printed, and exit codes chosen, in run alone.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action: func(_ context.Context, c *cli.Command) error {
			if name := c.Args().First(); name != "" {
				return unknownCommand(c, name)
			}
			if c.Bool("version") {
				fmt.Fprintln(c.Writer, buildInfo())
				return nil
			}
			return cli.ShowRootCommandHelp(c)
		},
	}
	cli.HelpPrinter = printHelp // the library has no other place for it
	finish(root, func(err error) { *unknown = err })
	return root, unknown
}
