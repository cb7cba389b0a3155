package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// description is what "describe" prints: what the host would learn.
type description struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Patterns    []string `json:"patterns"`
	MaxInFlight int      `json:"max_in_flight"`
	Protocol    int      `json:"protocol"`
}

// runByHand is what a plugin does for a person who runs it, and returns the
// exit code: 0, or 2 if it was asked for something that it does not know.
func (p Plugin) runByHand(args []string, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command = strings.TrimLeft(args[0], "-")
	}
	switch {
	case len(args) > 1:
	case command == "" || command == "help" || command == "h":
		p.explain(stdout)
		return 0
	case command == "version":
		fmt.Fprintln(stdout, p.Version)
		return 0
	case command == "describe":
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(description{p.Name, p.Version, p.Mux.Patterns(), p.MaxInFlight, protocolVersion}); err != nil {
			fmt.Fprintln(stderr, "describe:", err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(stderr, "%s: unknown arguments %q\n\n", p.Name, args)
	p.explain(stderr)
	return 2
}

func (p Plugin) explain(w io.Writer) {
	fmt.Fprintf(w, `%s %s is a hookswitch plugin. It handles: %s

It is run by the sidecar, not by hand: copy this file into HOOKSWITCH_PLUGIN_DIR.

  describe   print what it is, in JSON
  version    print its version
`, p.Name, p.Version, strings.Join(p.Mux.Patterns(), ", "))
}
