// Command plugin is a hookswitch plugin that keeps track of who wants to be
// written to: it understands STOP, START and HELP in text messages.
//
//	go build -o bin/plugins/hookswitch-plugin-keywords ./examples/plugin
//	HOOKSWITCH_PLUGIN_DIR=bin/plugins bin/hookswitch dev
//
// Or run it by hand to see what it says of itself:
//
//	go run ./examples/plugin describe
//
// The list is a file, opt-outs.json, in the working directory that the sidecar
// gives to plugins. Sending the confirmation is left to your code: see reply.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

func main() {
	k := &keywords{path: "opt-outs.json"}
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, k.received)
	sdk.Serve(&mux)
}

// keywords is the list of numbers that have opted out, and the file it is in.
type keywords struct {
	path string
	mu   sync.Mutex // held while the file is read and written
}

func (k *keywords) received(ctx context.Context, e *webhook.Event, m *event.Message) error {
	from := m.From.PhoneNumber
	if from == "" {
		return webhook.Permanent(errors.New("the message has no sender"))
	}
	switch strings.ToUpper(strings.TrimSpace(m.Text)) {
	case "STOP", "UNSUBSCRIBE":
		return k.set(ctx, from, true, "You will get no more messages. START undoes this.")
	case "START", "UNSTOP":
		return k.set(ctx, from, false, "Welcome back.")
	case "HELP":
		return reply(ctx, from, "STOP ends these messages, START resumes them.")
	}
	return nil
}

// set makes the change and confirms it. Setting twice is the same as once, as it
// must be: an event may come again.
func (k *keywords) set(ctx context.Context, number string, out bool, text string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make(map[string]bool)
	data, err := os.ReadFile(k.path)
	if err == nil {
		err = json.Unmarshal(data, &list)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read the list: %w", err) // the sidecar tries again later
	}
	if out {
		list[number] = true
	} else {
		delete(list, number)
	}
	if data, err = json.Marshal(list); err != nil {
		return webhook.Permanent(err)
	}
	if err := os.WriteFile(k.path+".tmp", data, 0o600); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	if err := os.Rename(k.path+".tmp", k.path); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return reply(ctx, number, text)
}

// reply is where your code sends the text, with Telnyx's API. Numbers do not
// belong in logs.
func reply(ctx context.Context, to, text string) error {
	sdk.Log(ctx).Info("reply", "to", "…"+to[max(0, len(to)-2):], "text", text)
	return nil
}
