package sidecar_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// asPlugin makes the test program a plugin: that of the tests that run a whole
// sidecar.
const asPlugin = "HOOKSWITCH_TEST_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		servePlugin()
		return
	}
	if os.Getenv("PLUGIN_PROTOCOL_VERSIONS") != "" {
		os.Exit(2) // started as a plugin by a test that did not say so: tests would start tests
	}
	os.Exit(m.Run())
}

// servePlugin handles calls and refuses faxes.
func servePlugin() {
	var mux webhook.Mux
	mux.Handle("call.*", func(ctx context.Context, _ *webhook.Event) error {
		d, _ := sdk.DeliveryOf(ctx)
		fmt.Fprintf(os.Stderr, "plugin sees traceparent=%s\n", d.Traceparent)
		return nil
	})
	mux.Handle("fax.*", func(_ context.Context, e *webhook.Event) error {
		if e.Type == "fax.failed" {
			panic("told to")
		}
		return webhook.Permanent(errRefused)
	})
	sdk.Serve(&mux)
}

type refused string

func (r refused) Error() string { return string(r) }

const errRefused = refused("no faxes here")
