package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// scaffoldFiles are the files of a new plugin, by language, with placeholders:
// {{name}}.
//
//go:embed scaffold/*/*.tmpl
var scaffoldFiles embed.FS

// scaffold describes a new plugin.
type scaffold struct {
	Name     string // of the plugin
	Lang     *scaffoldLanguage
	Handlers []scaffoldHandler
	Module   string // of Go
	SDK      goSDK  // of Go
}

// scaffoldHandler is a handler of one event type, or of those that fit a pattern.
type scaffoldHandler struct {
	Event   string
	Pattern bool
	Known   bool   // hookswitch knows the event type, or one that fits
	Sample  string // an event type that its test sends
}

// scaffoldLanguage is a language in which a plugin can be written.
type scaffoldLanguage struct {
	name    string
	aliases []string

	// prepare decides what only this language needs; nil: nothing.
	prepare func(s *scaffold, c *cli.Command) error

	// placeholders returns those that only this language has, each followed by
	// what stands there.
	placeholders func(s *scaffold) []string

	// files returns the names of files that are called otherwise in the scaffold.
	files func(s *scaffold) map[string]string

	// extra are files that are not in the scaffold; nil: none.
	extra func(s *scaffold, files map[string][]byte)

	// finish runs when the files are there, and returns what it could not do, for
	// the next steps; nil: there is nothing to do.
	finish func(ctx context.Context, s *scaffold, dir string) error

	// steps are the commands that come next, each followed by what it is for.
	steps func(s *scaffold, unfinished error) [][2]string
}

// scaffoldLanguages are the languages; the first is the default.
var scaffoldLanguages = []*scaffoldLanguage{&goLanguage, &pythonLanguage, &nodeLanguage}

func newPluginCommand() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "create the source of a plugin in Go, Python or Node, with its test", ArgsUsage: "NAME",
		Description: "In Go it is a module that builds and tests. In Python and Node it needs nothing but\n" +
			"the interpreter. An event type that hookswitch does not know gets a handler for JSON.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "event", Usage: "it handles this `TYPE`: exact, message.* or *; repeatable"},
			&cli.StringSliceFlag{Name: "raw-event", Usage: "it handles this `TYPE`, though it looks like a misspelled one; repeatable"},
			&cli.StringFlag{Name: "lang", Value: goLanguage.name, Usage: "write it in `LANGUAGE`: go, python or node"},
			&cli.StringFlag{Name: "dir", Usage: "create it in `DIR`", DefaultText: "NAME"},
			&cli.StringFlag{Name: "module", Usage: "Go: `PATH` of the module", DefaultText: "example.com/NAME"},
			&cli.StringFlag{Name: "sdk-version", Usage: "Go: build with this `VERSION` of hookswitch", DefaultText: "that of this program"},
			&cli.StringFlag{Name: "local", Usage: "Go: build with the source of hookswitch in `DIR`, without the network", DefaultText: "its source, if it was built from source"},
		},
		Action: newPlugin,
	}
}

func newPlugin(ctx context.Context, c *cli.Command) error {
	s, err := readScaffold(c)
	if err != nil {
		return err
	}
	dir := cmp.Or(c.String("dir"), s.Name)
	files, err := s.render()
	if err != nil {
		return err
	}
	if err := writeNew(dir, files); err != nil {
		return err
	}
	fmt.Fprintf(c.Writer, "created in %s: %s\n", dir, strings.Join(slices.Sorted(maps.Keys(files)), " "))
	for _, h := range s.Handlers {
		if !h.Known {
			fmt.Fprintf(c.Writer, "hookswitch does not know %s: its handler gets the JSON, and its test sends testdata/%s.json, which is made up\n", h.Event, h.Sample)
		}
	}
	var unfinished error
	if s.Lang.finish != nil {
		unfinished = s.Lang.finish(ctx, s, dir)
	}
	s.nextSteps(c.Writer, dir, unfinished)
	return nil
}

var (
	// pluginName matches the names of plugins: a file, a binary and the end of a
	// module's path have this name.
	pluginName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

	// eventName matches event types and patterns that can stand in the source of
	// every language, and in the name of a file.
	eventName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(\.\*)?$|^\*$`)
)

func readScaffold(c *cli.Command) (*scaffold, error) {
	if c.Args().Len() != 1 {
		return nil, usageError("plugins new: give the plugin one name, such as sms-to-crm")
	}
	s := &scaffold{Name: strings.TrimPrefix(c.Args().First(), "hookswitch-plugin-")}
	if !pluginName.MatchString(s.Name) {
		return nil, usageError("plugins new: %q cannot be a name: use letters, digits, '-' and '_'; --dir sets the directory", s.Name)
	}
	if err := s.chooseLanguage(c); err != nil {
		return nil, err
	}
	if len(c.StringSlice("event"))+len(c.StringSlice("raw-event")) == 0 {
		return nil, usageError("plugins new: name the events it handles: --event message.received; \"hookswitch trigger --list\" lists the types")
	}
	for _, name := range c.StringSlice("event") {
		if err := s.handle("--event", name); err != nil {
			return nil, err
		}
	}
	for _, name := range c.StringSlice("raw-event") {
		if err := s.handle("--raw-event", name); err != nil {
			return nil, err
		}
	}
	if s.Lang.prepare != nil {
		return s, s.Lang.prepare(s, c)
	}
	return s, nil
}

func (s *scaffold) chooseLanguage(c *cli.Command) error {
	name := strings.ToLower(c.String("lang"))
	for _, l := range scaffoldLanguages {
		if l.name == name || slices.Contains(l.aliases, name) {
			s.Lang = l
		}
	}
	if s.Lang == nil {
		return usageError("--lang %q: use go, python or node; a plugin can be written in any language, and plugins/PROTOCOL.md says how", c.String("lang"))
	}
	for _, flag := range []string{"module", "sdk-version", "local"} {
		if s.Lang != &goLanguage && c.IsSet(flag) {
			return usageError("--%s is for plugins in Go: a plugin in %s needs no module", flag, s.Lang.title())
		}
	}
	return nil
}

func (l *scaffoldLanguage) title() string { return strings.ToUpper(l.name[:1]) + l.name[1:] }

// handle adds a handler. An event type that may be misspelled needs the flag
// --raw-event.
func (s *scaffold) handle(flag, name string) error {
	if slices.ContainsFunc(s.Handlers, func(h scaffoldHandler) bool { return h.Event == name }) {
		return usageError("%s %s is there twice", flag, name)
	}
	if err := event.CheckPattern(name); err != nil {
		return usageError("%s: %s", flag, strings.TrimPrefix(err.Error(), "event: "))
	}
	if !eventName.MatchString(name) {
		return usageError("%s %q: an event type is made of letters, digits, '.', '_' and '-'", flag, name)
	}
	prefix, pattern := strings.CutSuffix(name, "*")
	h := scaffoldHandler{Event: name, Pattern: pattern, Known: true, Sample: anEventFor([]string{name})}
	if h.Sample == "" || !pattern && event.NewPayload(name) == nil {
		if err := misspelled(name); err != nil && flag == "--event" {
			return err
		}
		h.Known, h.Sample = false, name
		if pattern {
			h.Sample = prefix + "example"
		}
	}
	s.Handlers = append(s.Handlers, h)
	return nil
}

// misspelled returns an error for an event type, or a pattern, that looks like
// another one, or that is known not to come.
func misspelled(name string) error {
	anyway := fmt.Sprintf("If it is right, give --raw-event %s instead: its handler gets the JSON", name)
	if _, wrong := event.Misnomer(name); wrong || spelling.Known(name) {
		return usageError("--event %s. %s", spelling.EventType(name), anyway)
	}
	product, _, dotted := strings.Cut(name, ".")
	if !dotted && name != "*" && spelling.Known(name+".*") {
		return usageError("--event %q, which is not a known event type: did you mean %q? %s", name, name+".*", anyway)
	}
	if spelling.MeantType(name) == "" {
		return nil
	}
	near := slices.DeleteFunc(event.Samples(), func(s string) bool { return !strings.HasPrefix(s, product+".") })
	there := ""
	if len(near) > 0 && !strings.HasSuffix(name, "*") {
		there = fmt.Sprintf("(for %s there are: %s) ", product, strings.Join(near, ", "))
	}
	return usageError("--event %s %s%s", spelling.EventType(name), there, anyway)
}

// list returns the events, for people.
func (s *scaffold) list() string {
	names := make([]string, len(s.Handlers))
	for i, h := range s.Handlers {
		names[i] = h.Event
	}
	return strings.Join(names, ", ")
}

// quoted returns the events, or the event types of the test, as a list in
// quotation marks. They need no escape in any language: see eventName.
func (s *scaffold) quoted(mark string, text func(scaffoldHandler) string) string {
	names := make([]string, len(s.Handlers))
	for i, h := range s.Handlers {
		names[i] = mark + text(h) + mark
	}
	return strings.Join(names, ", ")
}

// send returns the flag of "plugins test" for an event that the plugin handles.
func (s *scaffold) send() string {
	for _, h := range s.Handlers {
		if h.Known {
			return "--event " + h.Sample
		}
	}
	return "--from testdata/" + s.Handlers[0].Sample + ".json"
}

// render returns the files by name.
//
// It fills in placeholders, and is not text/template: a program that can execute
// a template keeps every exported method of every type. See "make methods".
func (s *scaffold) render() (map[string][]byte, error) {
	dir := "scaffold/" + s.Lang.name
	list, err := scaffoldFiles.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer(append(s.Lang.placeholders(s),
		"{{name}}", s.Name, "{{list}}", s.list(), "{{send}}", s.send(),
		"{{events}}", s.quoted(`"`, func(h scaffoldHandler) string { return h.Event }),
		"{{samples}}", s.quoted(`"`, func(h scaffoldHandler) string { return h.Sample }),
	)...)
	files := make(map[string][]byte)
	for _, entry := range list {
		text, err := scaffoldFiles.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(entry.Name(), ".tmpl")
		files[cmp.Or(s.Lang.files(s)[name], name)] = []byte(fill.Replace(string(text)))
	}
	if s.Lang.extra != nil {
		s.Lang.extra(s, files)
	}
	return files, nil
}

// writeNew writes files to a directory, or none if one of them exists.
func writeNew(dir string, files map[string][]byte) error {
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s is there already, and nothing was changed: choose another name, or --dir", filepath.Join(dir, name))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// nextSteps prints what to do next.
func (s *scaffold) nextSteps(w io.Writer, dir string, unfinished error) {
	fmt.Fprint(w, "\nNext:\n\n")
	steps := append([][2]string{{"cd " + dir, "your code goes into " + s.source()}}, s.Lang.steps(s, unfinished)...)
	width := 42
	for _, step := range steps {
		width = max(width, len(step[0]))
	}
	for _, step := range steps {
		fmt.Fprintf(w, "  %-*s # %s\n", width, step[0], step[1])
	}
	if unfinished != nil {
		fmt.Fprintf(w, "\n%v\n", unfinished)
	}
}

// source returns the file where the handlers are.
func (s *scaffold) source() string {
	for _, name := range []string{"plugin.py", "plugin.mjs"} {
		if file := s.Lang.files(s)[name]; file != "" {
			return file
		}
	}
	return "main.go"
}

// madeUp returns the body of an event of a type that hookswitch does not know.
func madeUp(eventType string) []byte {
	return fmt.Appendf(nil, `{
  "data": {
    "event_type": %q,
    "id": "0c6f4b52-6f5e-4bd5-8a59-6f0b1a5d3e7c",
    "occurred_at": "2026-01-01T00:00:00.000000Z",
    "payload": {},
    "record_type": "event"
  },
  "meta": {"attempt": 1, "delivered_to": "https://example.com/webhooks"}
}
`, eventType)
}

// testData returns the body of a sample, and the name of its file.
func testData(eventType string) (name string, body []byte) {
	body, ok := event.Sample(eventType)
	switch {
	case !ok:
		body = madeUp(eventType)
	case event.SampleContentType(eventType) == "application/x-www-form-urlencoded":
		return "testdata/" + eventType + ".form", body
	}
	return "testdata/" + eventType + ".json", body
}
