package main

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// scaffoldFiles are the files of a new plugin, with placeholders: {{name}}.
//
//go:embed scaffold/go/*.tmpl
var scaffoldFiles embed.FS

const (
	sdkModule = "github.com/hookswitch/hookswitch"

	// sdkGo is the version of Go that the SDK requires: that of our go.mod.
	sdkGo = "1.26.0"
)

// scaffold describes a new plugin.
type scaffold struct {
	Name     string // of the plugin
	Module   string
	Handlers []scaffoldHandler
	List     string   // the event types, for people
	Samples  []string // event types that its test sends
	Sample   string   // the first of them
	Version  string   // of the SDK; empty: Local
	Local    string   // directory of the SDK's source
	Requires string   // of go.mod, with Local
	Sum      []byte   // go.sum, with Local
}

type scaffoldHandler struct {
	Event, Func    string
	Ident, Payload string // in package event; empty for patterns
}

func newPluginCommand() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "create the source of a plugin: a Go module that builds and tests", ArgsUsage: "NAME",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "event", Usage: "it handles this `TYPE`: exact, message.* or *; repeatable"},
			&cli.StringFlag{Name: "dir", Usage: "create it in `DIR`", DefaultText: "NAME"},
			&cli.StringFlag{Name: "module", Usage: "`PATH` of the Go module", DefaultText: "example.com/NAME"},
			&cli.StringFlag{Name: "sdk-version", Usage: "build with this `VERSION` of hookswitch", DefaultText: "that of this program"},
			&cli.StringFlag{Name: "local", Usage: "build with the source of hookswitch in `DIR`, without the network"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			s, err := readScaffold(c)
			if err != nil {
				return err
			}
			dir := c.String("dir")
			dir = cmp.Or(dir, s.Name)
			files, err := s.render()
			if err != nil {
				return err
			}
			if err := writeNew(dir, files); err != nil {
				return err
			}
			fmt.Fprintf(c.Writer, "created in %s: %s\n", dir, strings.Join(slices.Sorted(maps.Keys(files)), " "))
			s.nextSteps(c.Writer, dir, s.tidy(ctx, dir))
			return nil
		},
	}
}

// pluginName matches the names of plugins: a file, a binary and the end of a
// module's path have this name.
var pluginName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

func readScaffold(c *cli.Command) (*scaffold, error) {
	if c.Args().Len() != 1 {
		return nil, usageError("plugins new: give the plugin one name, such as sms-to-crm")
	}
	s := &scaffold{Name: strings.TrimPrefix(c.Args().First(), "hookswitch-plugin-"), Module: c.String("module")}
	if !pluginName.MatchString(s.Name) {
		return nil, usageError("plugins new: %q cannot be a name: use letters, digits, '-' and '_'; --dir sets the directory", s.Name)
	}
	s.Module = cmp.Or(s.Module, "example.com/"+s.Name)
	if len(c.StringSlice("event")) == 0 {
		return nil, usageError("plugins new: name the events it handles: --event message.received; \"hookswitch trigger --list\" lists the types")
	}
	for _, name := range c.StringSlice("event") {
		if err := s.handle(name); err != nil {
			return nil, err
		}
	}
	return s, s.chooseSDK(c.String("local"), c.String("sdk-version"))
}

// handle adds a handler.
func (s *scaffold) handle(name string) error {
	if slices.ContainsFunc(s.Handlers, func(h scaffoldHandler) bool { return h.Event == name }) {
		return usageError("--event %s is there twice", name)
	}
	if err := event.CheckPattern(name); err != nil {
		return usageError("--event: %s", strings.TrimPrefix(err.Error(), "event: "))
	}
	h := scaffoldHandler{Event: name}
	if prefix, pattern := strings.CutSuffix(name, "*"); pattern {
		h.Func = "handle" + camelCase(prefix) + "Events"
	} else {
		if h.Payload = goPayload(name); h.Payload == "" {
			return noSample(name)
		}
		h.Ident = goName(name)
		h.Func = "handle" + h.Ident
	}
	sample := anEventFor([]string{name})
	if sample == "" {
		return usageError("--event %s", spelling.EventType(name))
	}
	s.Samples = append(s.Samples, sample)
	s.Sample = s.Samples[0]
	s.Handlers = append(s.Handlers, h)
	if s.List != "" {
		s.List += ", "
	}
	s.List += name
	return nil
}

// The forms of a version that others can fetch, and of one that only describes a
// commit.
var (
	released  = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
	described = regexp.MustCompile(`-[0-9]+-g[0-9a-f]+$|-dirty$`)
)

// chooseSDK decides where the SDK comes from.
func (s *scaffold) chooseSDK(local, asked string) (err error) {
	switch {
	case local != "" && asked != "":
		return usageError("plugins new: give --local or --sdk-version, not both")
	case local != "":
		return s.useLocal(local)
	case asked != "":
		if s.Version = "v" + strings.TrimPrefix(asked, "v"); !released.MatchString(s.Version) {
			return usageError("--sdk-version %q is not a version: write it like v0.1.0", asked)
		}
		return nil
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == sdkModule && released.MatchString(info.Main.Version) {
		s.Version = info.Main.Version
		return nil
	}
	if released.MatchString(version) && !described.MatchString(version) {
		s.Version = version
		return nil
	}
	return usageError("plugins new: this hookswitch (%s) was built from source, so the plugin cannot require its version: give --local with the directory of that source, or --sdk-version", version)
}

// useLocal takes the SDK, and the versions of its dependencies, from a checkout,
// so that nothing has to be fetched.
func (s *scaffold) useLocal(dir string) (err error) {
	if s.Local, err = filepath.Abs(dir); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.Local, "go.mod"))
	if err != nil || !bytes.HasPrefix(text, []byte("module "+sdkModule+"\n")) {
		return usageError("--local %s: the source of hookswitch is not there (no go.mod of %s)", dir, sdkModule)
	}
	if s.Sum, err = os.ReadFile(filepath.Join(s.Local, "go.sum")); err != nil {
		return fmt.Errorf("--local: %w", err)
	}
	if strings.ContainsAny(s.Local, " \t()[]{},\"'`") {
		s.Local = strconv.Quote(s.Local)
	}
	var requires strings.Builder
	inside := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "require ("):
			inside = true
			requires.WriteString("\n" + line)
		case inside && strings.HasPrefix(line, ")"):
			inside = false
			requires.WriteString(line)
		case inside:
			requirement, _, _ := strings.Cut(line, "//")
			requires.WriteString(strings.TrimRight(requirement, " \n") + " // indirect\n")
		}
	}
	s.Requires = requires.String()
	return nil
}

// render returns the files by name.
func (s *scaffold) render() (map[string][]byte, error) {
	const dir = "scaffold/go"
	list, err := scaffoldFiles.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer(s.placeholders()...)
	files := make(map[string][]byte)
	for _, entry := range list {
		text, err := scaffoldFiles.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(entry.Name(), ".tmpl")
		if name == "gitignore" {
			name = ".gitignore"
		}
		files[name] = []byte(fill.Replace(string(text)))
	}
	if s.Sum != nil {
		files["go.sum"] = s.Sum
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
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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

// tidy creates go.sum where it could not be copied, and returns why it could not.
// That is for the next steps: the source is complete without it.
func (s *scaffold) tidy(ctx context.Context, dir string) error {
	if s.Local != "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		return fmt.Errorf("go mod tidy: %w: %s", err, lines[len(lines)-1])
	}
	return nil
}

// nextSteps prints what to do next.
func (s *scaffold) nextSteps(w io.Writer, dir string, untidy error) {
	step := func(command, what string) { fmt.Fprintf(w, "  %-42s # %s\n", command, what) }
	fmt.Fprint(w, "\nNext:\n\n")
	step("cd "+dir, "your code goes into main.go")
	if untidy != nil {
		step("go mod tidy", fmt.Sprintf("fetches %s %s; it failed just now", sdkModule, s.Version))
	}
	step("go test ./...", "the handler, over the plugin protocol")
	step("go build -o "+s.Name+" .", "run it to see its description")
	step("hookswitch plugins check ./"+s.Name, "can the sidecar load it?")
	step("hookswitch plugins test ./"+s.Name, "an event through the real binary")
	step("make install PLUGINS=DIR", "into the HOOKSWITCH_PLUGIN_DIR of a sidecar")
	if untidy != nil {
		fmt.Fprintf(w, "\n%v\n", untidy)
	}
}
