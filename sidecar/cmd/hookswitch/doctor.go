package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/appcheck"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "say what is wrong with an app behind the sidecar",
		Commands: []*cli.Command{{
			Name: "app", Usage: "send an app what its handler may take amiss, and say what it gets wrong",
			ArgsUsage: "[URL] [-- CMD...]",
			Description: "Sends events of several sizes and forms, signed as the sidecar signs them, and then\n" +
				"what has to be refused: changed, unsigned, old, and signed with another key. For each\n" +
				"mistake it prints what was sent, what came back, why, and the line that fixes it.\n" +
				"Exits 1 if there is any.\n\n" +
				"The app takes the events for real ones: choose a type with --event that does no\n" +
				"harm. The addresses and numbers in them are nobody's.\n\n" +
				"They are signed with the key that the app verifies with: that of the sidecar, of\n" +
				"HOOKSWITCH_FORWARD_KEY or of --key. With CMD, which starts the app, it is a key that\n" +
				"is made for this run, given to the app in TELNYX_PUBLIC_KEY and then forgotten; the\n" +
				"app is stopped at the end. HOOKSWITCH_FORWARD_HEADERS are sent too. Without a URL\n" +
				"it is the app that the sidecar forwards to.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "event", Value: "message.finalized", Usage: "send events of `TYPE`"},
				&cli.StringFlag{Name: "key", Usage: "sign with the private key in `FILE`, such as forward.key of a sidecar", TakesFile: true},
				&cli.DurationFlag{Name: "budget", Value: appcheck.DefaultBudget, Usage: "call answers slow that take longer than `TIME`"},
				&cli.DurationFlag{Name: "timeout", Value: appcheck.DefaultTimeout, Usage: "wait no longer than `TIME` for an answer, or for CMD to start"},
				outputFlag(),
			},
			Action: doctorApp,
		}},
	}
}

func doctorApp(ctx context.Context, c *cli.Command) error {
	if err := checkOutput(c); err != nil {
		return err
	}
	cfg := appcheck.Config{
		EventType: c.String("event"), UserAgent: "hookswitch-doctor/" + version,
		Budget: c.Duration("budget"), Timeout: c.Duration("timeout"),
	}
	if cfg.Budget <= 0 || cfg.Timeout <= 0 {
		return usageError("doctor app: --budget and --timeout have to be more than 0")
	}
	if _, ok := event.Sample(cfg.EventType); !ok {
		return fmt.Errorf("--event: %w", noSample(cfg.EventType))
	}
	d, err := findDoctored(ctx, c)
	if err != nil {
		return err
	}
	cfg.Header = d.ForwardHeaders.Header()
	if cfg.URL, err = d.url(c); err != nil {
		return err
	}
	command := c.Args().Tail()
	if cfg.Key, err = d.key(c, len(command) > 0); err != nil {
		return err
	}
	check := appcheck.Run
	if len(command) > 0 {
		app, err := startApp(ctx, c, command, cfg.Key)
		if err != nil {
			return err
		}
		defer func() {
			if err := app.stop(); err != nil { // the report is what counts
				fmt.Fprintln(c.ErrWriter, err)
			}
		}()
		check = app.check
	}
	report, err := check(ctx, cfg)
	if err != nil {
		return doctorError(ctx, err)
	}
	err = show(c, report, func(w io.Writer) { printDoctor(w, newPalette(c), report) })
	if err == nil && !report.OK {
		return errSaid
	}
	return err
}

// doctorError gives the error of a check its exit code.
func doctorError(ctx context.Context, err error) error {
	nobody, unreachable := errors.AsType[*appcheck.Unreachable](err)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case unreachable && errors.Is(err, syscall.ECONNREFUSED):
		return &exitError{exitUnreachable, fmt.Errorf("nothing listens at %s: start the app first, or let this command do it: hookswitch doctor app URL -- CMD", nobody.URL)}
	case unreachable:
		return &exitError{exitUnreachable, err}
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	return usageError("--event: %w", err)
}

// doctored is what is known of the sidecar that the app is behind: the settings of
// this command line, and of the one that runs, if one does.
type doctored struct {
	config.Config
	dir     string
	running map[string]adminapi.Setting // by name
}

// findDoctored reads the settings. A sidecar need not run, unless --addr names it.
func findDoctored(ctx context.Context, c *cli.Command) (d doctored, err error) {
	if d.Config, d.dir, err = sidecarDir(c); err != nil {
		return d, err
	}
	if c.Args().Present() && (c.IsSet("key") || c.Args().Len() > 1) {
		return d, nil // there is nothing to ask it
	}
	var list struct{ Data []adminapi.Setting }
	api, err := connect(c)
	if err == nil {
		err = api.get(ctx, "/config", nil, &list)
	}
	if ee, ok := errors.AsType[*exitError](err); ok && ee.code == exitUnreachable && !c.IsSet("addr") {
		return d, nil
	}
	d.running = make(map[string]adminapi.Setting)
	for _, s := range list.Data {
		d.running[s.Name] = s
	}
	return d, err
}

// is reports whether the sidecar that runs has a setting that is not its default.
func (d doctored) is(name string) bool {
	return d.running[name].Value != "" && d.running[name].Source != "default"
}

// url returns where the app takes webhooks.
func (d doctored) url(c *cli.Command) (string, error) {
	text := d.ForwardTo
	switch {
	case c.Args().Present():
		text = appURL(c.Args().First())
	case text == "" && strings.Contains(d.running["HOOKSWITCH_FORWARD_TO"].Value, "***@"):
		return "", usageError("doctor app: the address of the app has a password, which the sidecar does not tell: name the URL")
	case text == "":
		text = d.running["HOOKSWITCH_FORWARD_TO"].Value
	}
	if text == "" {
		return "", usageError("doctor app: name the URL of the app's handler, such as http://localhost:5000/webhooks")
	}
	if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", usageError("doctor app: %q is not a URL: write it like http://localhost:5000/webhooks, before -- and the command that starts the app", text)
	}
	return text, nil
}

// key returns the key that signs. It creates none, except for an app that it is given
// to.
func (d doctored) key(c *cli.Command, starts bool) (ed25519.PrivateKey, error) {
	const ways = "give --key FILE, or let this command start the app with a key of its own: hookswitch doctor app URL -- CMD"
	if file := c.String("key"); file != "" {
		key, err := keyfile.Read(file)
		if err != nil {
			return nil, usageError("--key: %w", err)
		}
		return key, nil
	}
	if starts {
		_, key, err := ed25519.GenerateKey(nil)
		if err == nil {
			fmt.Fprintf(c.ErrWriter, "the app is started with a key of this run: TELNYX_PUBLIC_KEY=%s\n", keyfile.PublicText(key))
		}
		return key, err
	}
	switch {
	case !d.Resigns() || d.is("HOOKSWITCH_FORWARD_SIGN") && d.running["HOOKSWITCH_FORWARD_SIGN"].Value != "resign":
		return nil, usageError("doctor app: the sidecar does not sign what it forwards (HOOKSWITCH_FORWARD_SIGN), so that the app verifies with Telnyx's key: %s", ways)
	case d.ForwardKey != "":
		return d.LoadForwardKey(d.dir) // which makes none then
	case d.is("HOOKSWITCH_FORWARD_KEY"):
		return nil, usageError("doctor app: the sidecar that runs signs with the key in its HOOKSWITCH_FORWARD_KEY, which is not set here: set it, or %s", ways)
	}
	key, err := keyfile.Read(filepath.Join(d.dir, keyfile.Forward))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("doctor app: there is no sidecar's key in %s that the app could verify with: start the sidecar first, %s", d.dir, ways)
	}
	return key, err
}

// printDoctor prints the answers, and what they mean.
func printDoctor(w io.Writer, p palette, r *appcheck.Report) {
	fmt.Fprintf(w, "%s\n", fold(screenWidth, "  ", piece{text: r.URL + ", which verifies with"}, piece{text: " TELNYX_PUBLIC_KEY=" + r.PublicKey}))
	names := 0
	for _, check := range r.Checks {
		names = max(names, utf8.RuneCountInString(check.Name))
	}
	for _, check := range r.Checks {
		mark, text := p.green("✓"), fmt.Sprintf("%d in %s", check.Status, roundDuration(time.Duration(check.Seconds*float64(time.Second))))
		switch {
		case check.Result == appcheck.Skipped:
			mark, text = p.faint("–"), "not sent"
		case check.Result == appcheck.Failed:
			mark = p.red("✗")
		}
		if check.Error != "" {
			text = check.Error
		}
		line := fold(screenWidth, strings.Repeat(" ", names+6), piece{"  " + mark + " " + pad(check.Name, names) + "  ", nil, true}, piece{text: text})
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	problems, warnings := 0, 0
	for _, f := range r.Findings {
		mark := p.red("✗")
		if problems++; f.Warning {
			problems, warnings, mark = problems-1, warnings+1, p.yellow("!")
		}
		fmt.Fprintf(w, "\n%s\n", fold(screenWidth, "  ", piece{mark + " ", nil, true}, piece{text: f.Problem + " (" + strings.Join(f.Checks, ", ") + ")"}))
		for _, part := range [][2]string{{"sent", f.Sent}, {"got", f.Got}, {"why", f.Why}, {"fix", f.Fix}} {
			fmt.Fprintln(w, fold(screenWidth, "        ", piece{"  " + pad(part[0], 6), nil, true}, piece{text: part[1]}))
		}
	}
	fmt.Fprintln(w)
	looks := ""
	if r.Framework != "" {
		looks = "; it looks like " + r.Framework
	}
	switch {
	case problems > 0 && warnings > 0:
		fmt.Fprintf(w, "%s, %s%s\n", p.red(count(problems, "problem")), count(warnings, "warning"), looks)
	case problems > 0:
		fmt.Fprintf(w, "%s%s\n", p.red(count(problems, "problem")), looks)
	case warnings > 0:
		fmt.Fprintf(w, "%s%s\n", p.yellow("no problem, "+count(warnings, "warning")), looks)
	default:
		fmt.Fprintln(w, p.green("✓ the app takes what is genuine, and nothing else"))
	}
}
