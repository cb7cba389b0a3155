// Package sdk makes a plugin of webhook handlers: a program that the
// hookswitch sidecar runs as a process of its own. A complete one is
//
//	func main() {
//		var mux webhook.Mux
//		webhook.On(&mux, event.MessageReceived, reply)
//		sdk.Serve(&mux)
//	}
//
// Build it, copy it into the sidecar's plugin directory, and it gets the events
// that its Mux has patterns for. Handlers are those of package webhook:
// the same function works in a server, in a plugin and in a test (package
// sdktest). The error that it returns decides what happens next, as
// [webhook.Outcome] says; a panic is a retry, and affects no other event.
//
// Start with [Serve]; [Plugin] sets more; [Log] is the logger.
//
// When the sidecar stops the plugin or dies, events under way are finished, for
// at most two seconds if the sidecar is gone, and Serve returns. Printing is
// harmless: standard output and standard error end up in the sidecar's log.
package sdk

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk/internal/service"
)

// Plugin is a plugin that sets more than its handlers. Only Mux is required.
type Plugin struct {
	// Name is for logs. Empty: the name of the executable without
	// "hookswitch-plugin-".
	Name string

	// Version is for logs. Empty: the version recorded by the build.
	Version string

	// Mux has the handlers. Its patterns are the events that the plugin wants.
	Mux *webhook.Mux

	// MaxInFlight is how many events may be handled at the same time. 0 means
	// 64; 1 means one after the other.
	MaxInFlight int

	// Configure takes the plugin's settings; see [Settings]. Nil: it has none.
	Configure *Configuration
}

// Serve is the main function of a plugin with the handlers of mux. See
// [Plugin.Serve].
func Serve(mux *webhook.Mux) { Plugin{Mux: mux}.Serve() }

// Serve is the main function of a plugin. Run by the sidecar, it returns when
// the sidecar has stopped the plugin or is gone; main can then clean up, for
// about a second. Run by hand, it explains the plugin and exits: in JSON with the
// argument "describe", in a word with "version", and by handling one event with
// "run".
//
// It panics if there are no handlers.
func (p Plugin) Serve() {
	if p.Mux == nil || len(p.Mux.Patterns()) == 0 {
		panic("sdk: Serve without handlers: register them first, with webhook.On or Mux.Handle")
	}
	if p.MaxInFlight < 0 {
		panic(fmt.Sprintf("sdk: Serve with MaxInFlight %d", p.MaxInFlight))
	}
	p = p.withDefaults()
	if !hosted() {
		os.Exit(p.runByHand(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	serveHost(p.service(hostLogger()))
}

// service returns the plugin's side of the protocol.
func (p Plugin) service(log *slog.Logger) *service.Service {
	cfg := service.Config{
		Name:        p.Name,
		Version:     p.Version,
		Mux:         p.Mux,
		MaxInFlight: p.MaxInFlight,
		Log:         log,
	}
	if p.Configure != nil {
		cfg.Schema = p.Configure.Schema()
		cfg.Configure = func(ctx context.Context, settings []byte) service.Configured {
			applied, err := p.Configure.Apply(ctx, settings)
			got := service.Configured{Patterns: applied.Events, MaxInFlight: applied.MaxInFlight}
			for _, e := range FieldErrors(err) {
				got.Errors = append(got.Errors, service.FieldError(e))
			}
			return got
		}
	}
	return service.New(cfg)
}

func (p Plugin) withDefaults() Plugin {
	if p.Name == "" {
		name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
		p.Name = strings.TrimPrefix(name, "hookswitch-plugin-")
	}
	if p.Version == "" {
		p.Version = buildVersion()
	}
	return p
}

// buildVersion returns the module's version, or what is known of the commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return "devel"
}
