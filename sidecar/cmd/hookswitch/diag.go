package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// diagWait bounds each question that diag asks: a sidecar that hangs is a reason to
// report it.
const diagWait = 5 * time.Second

// diagIntro begins the file.
const diagIntro = `For a report of a mistake in hookswitch: https://github.com/hookswitch/hookswitch/issues

It has: the version, the system, the settings with "***" for what is secret, what is
wrong with them, the state of the sidecar, its plugins, the names of files in the data
and plugin directories, and the latest warnings of its log.

It does not have: secrets, webhooks (neither bodies nor headers), records of
deliveries, what plugins print, and what apps and plugins say of an event.

It does have names of hosts, files, targets, plugins and event types. Read it before you
pass it on.
`

func diagCommand() *cli.Command {
	return &cli.Command{
		Name: "diag", Usage: "write a file for a bug report: no secrets, no payloads",
		Description: "Version, system, settings without secrets, what is wrong with them, the state of\n" +
			"the sidecar and its plugins, and the latest warnings. It also works when the\n" +
			"sidecar is down: then the warnings come from the journal of its service, or from\n" +
			"the file that --log names. Nothing is sent anywhere.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Usage: "write `FILE`; - prints it", DefaultText: "hookswitch-diag-TIME.md"},
			&cli.StringFlag{Name: "log", Usage: "take warnings from this log `FILE`, too", TakesFile: true},
		},
		Action: diag,
	}
}

func diag(ctx context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return usageError("diag: %q is not expected: --file names the file to write", c.Args().First())
	}
	var log []byte
	if file := c.String("log"); file != "" {
		text, err := readEnd(file)
		if err != nil {
			return usageError("--log: %w", err)
		}
		log = text
	}
	now := time.Now().UTC()
	text := newDiagnosis(c, now).report(ctx, log)
	file := cmp.Or(c.String("file"), "hookswitch-diag-"+now.Format("20060102T150405Z")+".md")
	if file == "-" {
		_, err := c.Writer.Write(text)
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w: --file names another one, and --file - prints it", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(c.Writer, "wrote %s, %s: no secrets and no payloads, but names of hosts, files and plugins; read it before you pass it on\n", file, byteSize(uint64(len(text))))
	return nil
}

// diagnosis collects the sections of the file. None of them fails the others.
type diagnosis struct {
	c    *cli.Command
	out  bytes.Buffer
	here map[string]string // settings of this environment, by name
}

func newDiagnosis(c *cli.Command, at time.Time) *diagnosis {
	d := &diagnosis{c: c, here: make(map[string]string)}
	fmt.Fprintf(&d.out, "# hookswitch diag, %s\n\n%s", at.Format(time.RFC3339), diagIntro)
	return d
}

// report writes the sections, and returns the text. log is a log that was named.
func (d *diagnosis) report(ctx context.Context, log []byte) []byte {
	d.json("Version", buildInfo())
	d.lines("System", system(ctx))
	cfg := d.settings()
	up := d.sidecar(ctx, &cfg)
	if dir, err := cfg.Dir(); err == nil {
		d.lines("Data directory", listing(dir))
	}
	if cfg.PluginDir != "" {
		d.lines("Plugin directory", listing(cfg.PluginDir))
	}
	if log != nil {
		d.lines("Warnings of the log file", redactLog(log))
	}
	if !up {
		d.lines("Warnings of the service's journal", journal(ctx))
	}
	return d.out.Bytes()
}

// lines writes a section of lines.
func (d *diagnosis) lines(title string, lines []string) {
	if len(lines) == 0 {
		lines = []string{"none"}
	}
	// No line ends the block, or looks like another section.
	text := strings.ReplaceAll(strings.Join(lines, "\n"), "```", "'''")
	fmt.Fprintf(&d.out, "\n## %s\n\n```\n%s\n```\n", title, strings.TrimRight(text, "\n"))
}

// json writes a section of JSON.
func (d *diagnosis) json(title string, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		text = []byte(err.Error())
	}
	d.lines(title, []string{string(text)})
}

// settings writes the settings that a sidecar would have here, without secrets, and
// what is wrong with them.
func (d *diagnosis) settings() config.Config {
	cfg, _ := loadConfig(d.c) // Validate reports what is wrong, with all the rest
	var lines []string
	for _, s := range cfg.Settings() {
		d.here[s.Name] = s.Value
		if s.Source != "default" {
			lines = append(lines, fmt.Sprintf("%s=%s  (%s)", s.Name, oneLine(s.Value), strings.TrimSpace(s.Source+" "+s.From)))
		}
	}
	d.lines("Settings of this environment that are not the default", lines)
	lines = nil
	validate := cfg.Validate
	if dir, err := cfg.Dir(); err == nil {
		if here, err := instance.Find(dir); err == nil && here.Dev {
			validate = cfg.ValidateDev
		}
	}
	if bad, ok := errors.AsType[*config.Error](validate()); ok {
		for _, p := range bad.Problems {
			lines = append(lines, fmt.Sprintf("mistake: %s %s", p.Subject(), oneLine(p.Text)))
		}
	}
	for _, text := range cfg.Warnings() {
		lines = append(lines, "warning: "+oneLine(text))
	}
	d.lines("What is wrong with them", lines)
	return cfg
}

// sidecar writes what a running sidecar says, and reports whether it answers.
func (d *diagnosis) sidecar(ctx context.Context, cfg *config.Config) bool {
	api, err := connect(d.c)
	if _, bad := errors.AsType[*config.Error](err); bad { // of this environment: the sidecar may have better ones
		if local := localClient(cfg); local != nil {
			api, err = local, nil
		}
	}
	if err != nil {
		d.lines("Sidecar", []string{"not found: " + oneLine(err.Error())})
		return false
	}
	ask := func(path string, v any) error {
		ctx, cancel := context.WithTimeout(ctx, diagWait)
		defer cancel()
		return api.get(ctx, path, nil, v)
	}
	status := make(map[string]any)
	if err := ask("/status", &status); err != nil {
		d.lines("Sidecar", []string{api.name, "does not answer: " + oneLine(err.Error())})
		return false
	}
	d.lines("Sidecar", []string{api.name, "it answers"})
	d.json("Status", redactJSON(status))
	var plugins, warnings struct{ Data []map[string]any }
	d.answer("Plugins", ask("/plugins", &plugins), func() { d.json("Plugins", redactJSON(toAny(plugins.Data))) })
	var settings struct{ Data []adminapi.Setting }
	d.answer("Settings of the sidecar", ask("/config", &settings), func() {
		var lines []string
		for _, s := range settings.Data {
			if value, known := d.here[s.Name]; s.Value != value || !known {
				lines = append(lines, fmt.Sprintf("%s=%s  (%s)", s.Name, oneLine(s.Value), strings.TrimSpace(s.Source+" "+s.From)))
			}
		}
		d.lines("Settings of the sidecar that differ from those of this environment", lines)
	})
	d.answer("Warnings", ask("/warnings", &warnings), func() {
		var lines []string
		for _, w := range warnings.Data {
			lines = append(lines, redactRecord(w))
		}
		d.lines("Warnings since its start, the latest last", lines)
	})
	return true
}

// localClient returns a client of the sidecar on this data directory, or of the service
// of this machine, or nil.
func localClient(cfg *config.Config) *client {
	socket := strings.TrimPrefix(serviceAddr(cfg), "unix://")
	if dir, err := cfg.Dir(); err == nil {
		if here, err := instance.Find(dir); err == nil {
			socket = here.Socket
		}
	}
	if socket == "" {
		return nil
	}
	return &client{name: "unix://" + socket, http: &http.Client{Transport: overSocket(socket)}, base: "http://hookswitch"}
}

// answer writes a section, or why there is none: an older sidecar does not know all
// that is asked.
func (d *diagnosis) answer(title string, err error, write func()) {
	if err != nil {
		d.lines(title, []string{"no answer: " + oneLine(err.Error())})
		return
	}
	write()
}

func toAny(list []map[string]any) any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}

// listing returns the names, modes and sizes of the files in a directory.
func listing(dir string) (lines []string) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return []string{err.Error()}
	}
	lines = append(lines, abs)
	entries, err := os.ReadDir(abs)
	if err != nil {
		return append(lines, err.Error())
	}
	for _, e := range entries[:min(len(entries), 200)] {
		info, err := e.Info()
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // it has gone
				lines = append(lines, oneLine(e.Name())+": "+err.Error())
			}
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %12d  %s  %s", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), oneLine(e.Name())))
	}
	if n := len(entries) - 200; n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	return lines
}

// readEnd returns the end of a file, at most 8 MiB.
func readEnd(file string) ([]byte, error) {
	const most = 8 << 20
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, most))
}
