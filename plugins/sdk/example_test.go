package sdk_test

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// A whole plugin. The function would be called main.
func ExampleServe() {
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		sdk.Log(ctx).Info("somebody wrote", "length", len(m.Text))
		return nil
	})
	sdk.Serve(&mux)
}

// A plugin that opens something before its first event, and says what the
// errors of its handler mean.
func ExamplePlugin_Serve() {
	var spool *os.File
	var mux webhook.Mux
	mux.Handle("fax.*", func(_ context.Context, e *webhook.Event) error {
		if len(e.Payload) == 0 {
			return webhook.Permanent(errors.New("a fax without payload")) // never again
		}
		if _, err := spool.Write(append(e.Payload, '\n')); err != nil {
			return webhook.RetryAfter(err, time.Minute) // not before a minute has passed
		}
		return nil
	})
	sdk.Plugin{
		Version:     "1.2.0",
		Mux:         &mux,
		MaxInFlight: 1, // one fax after the other
		Configure: sdk.Settings(func(_ context.Context, s *struct {
			Spool string `json:"spool" default:"faxes.jsonl" desc:"where faxes are kept"`
		}) (err error) {
			if spool, err = os.OpenFile(s.Spool, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
				return sdk.Invalid("spool", "%v", err)
			}
			return nil
		}),
	}.Serve()
	spool.Close()
}
