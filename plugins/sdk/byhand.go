package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Exit codes of a plugin run by hand. Those of "run" give the outcome of the
// event, in the numbers of sysexits.h.
const (
	exitUsage    = 2
	exitDead     = 65 // EX_DATAERR
	exitNoInput  = 66 // EX_NOINPUT
	exitRetry    = 75 // EX_TEMPFAIL
	exitSettings = 78 // EX_CONFIG
)

// description is the output of "describe": what the host would learn.
type description struct {
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Patterns    []string        `json:"patterns"`
	MaxInFlight int             `json:"max_in_flight"`
	Protocol    int             `json:"protocol"`
	Settings    json.RawMessage `json:"settings_schema,omitempty"`
}

// runByHand serves a person who runs the plugin, and returns the exit code.
func (p Plugin) runByHand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command = strings.TrimLeft(args[0], "-")
	}
	switch {
	case command == "run":
		return p.runEvent(args[1:], stdin, stdout, stderr)
	case len(args) > 1:
	case command == "" || command == "help" || command == "h":
		p.explain(stdout)
		return 0
	case command == "version":
		fmt.Fprintln(stdout, p.Version)
		return 0
	case command == "describe":
		return p.describe(stdout, stderr)
	}
	fmt.Fprintf(stderr, "%s: unknown arguments %q\n\n", p.Name, args)
	p.explain(stderr)
	return exitUsage
}

func (p Plugin) describe(stdout, stderr io.Writer) int {
	d := description{
		Name:        p.Name,
		Version:     p.Version,
		Patterns:    p.Mux.Patterns(),
		MaxInFlight: p.service(hostLogger()).MaxInFlight(),
		Protocol:    protocolVersion,
	}
	if p.Configure != nil {
		d.Settings = p.Configure.Schema()
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		fmt.Fprintln(stderr, "describe:", err)
		return 1
	}
	return 0
}

func (p Plugin) explain(w io.Writer) {
	fmt.Fprintf(w, `%s %s is a hookswitch plugin. It handles: %s

It is run by the sidecar: copy this file into HOOKSWITCH_PLUGIN_DIR. By hand:

  describe   print what it is, in JSON
  run        handle one event here and print the result; "run --help" tells more
  version    print its version
`, p.Name, p.Version, strings.Join(p.Mux.Patterns(), ", "))
	if p.Configure != nil {
		fmt.Fprintf(w, "\nIts settings are in %s.json beside it; describe has their schema.\n", p.Name)
	}
}
