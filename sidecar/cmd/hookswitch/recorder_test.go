package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// call is a line of calls.jsonl: what the plugin was given.
type call struct {
	PID     int            `json:"pid"`
	Type    string         `json:"type"`
	ID      string         `json:"id"`
	Attempt int            `json:"attempt"`
	Key     string         `json:"key"`
	Body    []byte         `json:"body"`
	Message *event.Message `json:"message,omitempty"`
}

// recorderPlugin notes every call in files of $RECORDER_DIR. It writes to
// started.jsonl before, and to calls.jsonl after it has waited until there is
// no file "hold". With $RECORDER_ANSWER it answers something else than done:
// retry, dead or panic. The names of its variables are in the file environ.
func recorderPlugin() {
	dir := os.Getenv("RECORDER_DIR")
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		_ = appendLine(filepath.Join(dir, "environ"), []byte(name))
	}
	record := func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		line, err := json.Marshal(call{
			PID: os.Getpid(), Type: e.Type, ID: e.ID, Attempt: e.Attempt,
			Key: e.Signature.KeyLabel, Body: e.Raw, Message: m,
		})
		if err != nil {
			return webhook.Permanent(err)
		}
		if err := appendLine(filepath.Join(dir, "started.jsonl"), line); err != nil {
			return err
		}
		if err := waitGone(ctx, filepath.Join(dir, "hold")); err != nil {
			return err
		}
		if err := appendLine(filepath.Join(dir, "calls.jsonl"), line); err != nil {
			return err
		}
		switch os.Getenv("RECORDER_ANSWER") {
		case "retry":
			return errors.New("the recorder wants a retry")
		case "dead":
			return webhook.Permanent(errors.New("the recorder never wants it"))
		case "panic":
			panic("the recorder panics")
		}
		return nil
	}
	var mux webhook.Mux
	for _, name := range []event.Name[event.Message]{event.MessageSent, event.MessageFinalized, event.MessageReceived} {
		webhook.On(&mux, name, record)
	}
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error { return record(ctx, e, nil) })
	fmt.Println("a stray line on standard output")
	sdk.Serve(&mux)
}

// appendLine adds a line in one write, so that lines of several processes do
// not mix.
func appendLine(file string, line []byte) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// waitGone waits until the file does not exist.
func waitGone(ctx context.Context, file string) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
