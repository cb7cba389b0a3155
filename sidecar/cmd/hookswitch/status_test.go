package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// TestStatusOfUnknown: unknown numbers are not shown as zero.
func TestStatusOfUnknown(t *testing.T) {
	var out bytes.Buffer
	s := adminapi.Status{Unready: "store", Plugins: []adminapi.PluginStatus{{Name: "crm", State: "ready"}}}
	s.Store.Error = "does not answer: the sidecar's log says why"
	printStatus(&out, newPalette(&cli.Command{Writer: &out}), s)
	for _, want := range []string{"not ready: store", "store      does not answer: the sidecar's log", "waiting and dead events are unknown", "crm"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	for _, not := range []string{"TARGET", "0 B", "nothing handles"} {
		if strings.Contains(out.String(), not) {
			t.Errorf("%q in:\n%s", not, &out)
		}
	}
}
