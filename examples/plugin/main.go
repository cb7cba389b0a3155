// Command plugin is a hookswitch plugin that keeps track of who wants messages:
// it understands STOP, START and HELP in text messages.
//
//	go build -o bin/plugins/hookswitch-plugin-keywords ./examples/plugin
//	HOOKSWITCH_PLUGIN_DIR=bin/plugins bin/hookswitch dev
//
// Or run it by hand to see its description, or how it handles one event:
//
//	go run ./examples/plugin describe
//	go run ./examples/plugin run --event message.received
//
// The list is a file in the working directory that the sidecar gives to
// plugins; the lock beside it is there because two processes share it while the
// plugin is replaced. A file keywords.json beside the plugin changes words and replies; it
// can be left out. Sending the reply is left to your code: see reply.
package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

func main() {
	(&keywords{reply: reply}).plugin().Serve()
}

// settings is the content of keywords.json.
type settings struct {
	File  string   `json:"file" default:"opt-outs.json" desc:"where the list is kept"`
	Stop  []string `json:"stop" default:"[\"STOP\",\"STOPALL\",\"UNSUBSCRIBE\",\"CANCEL\",\"END\",\"QUIT\"]" desc:"words that opt out"`
	Start []string `json:"start" default:"[\"START\",\"UNSTOP\"]" desc:"words that opt in again"`
	Help  []string `json:"help" default:"[\"HELP\",\"INFO\"]" desc:"words that ask for help"`

	Stopped string `json:"stopped" default:"You will get no more messages. START undoes this." desc:"reply to stop"`
	Started string `json:"started" default:"Welcome back. STOP ends these messages." desc:"reply to start"`
	Helped  string `json:"helped" default:"STOP ends these messages, START resumes them." desc:"reply to help"`
}

func (s *settings) Validate() error {
	var errs []error
	seen := make(map[string]string)
	for _, list := range []struct {
		field string
		words []string
	}{{"stop", s.Stop}, {"start", s.Start}, {"help", s.Help}} {
		for _, word := range list.words {
			if word = normal(word); word == "" {
				errs = append(errs, sdk.Invalid(list.field, "has an empty word"))
			} else if other, ok := seen[word]; ok {
				errs = append(errs, sdk.Invalid(list.field, "has %q, which is in %s already", word, other))
			}
			seen[word] = list.field
		}
	}
	return errors.Join(errs...)
}

// keywords is the plugin.
type keywords struct {
	settings settings
	list     *optOuts
	reply    func(ctx context.Context, to, text string) error
}

func (k *keywords) plugin() sdk.Plugin {
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, k.received)
	return sdk.Plugin{
		Name: "keywords",
		Mux:  &mux,
		Configure: sdk.Settings(func(_ context.Context, s *settings) (err error) {
			k.settings = *s
			k.list, err = openOptOuts(s.File) // a list that cannot be read is never replaced
			return err
		}),
	}
}

func (k *keywords) received(ctx context.Context, e *webhook.Event, m *event.Message) error {
	from, word := m.From.PhoneNumber, normal(m.Text)
	s := &k.settings
	is := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return normal(w) == word })
	}
	out, text := is(s.Stop), ""
	switch {
	case out:
		text = s.Stopped
	case is(s.Start):
		text = s.Started
	case is(s.Help):
		text = s.Helped
	default:
		return nil // an ordinary message
	}
	if from == "" {
		return webhook.Permanent(errors.New("the message has no sender"))
	}
	if is(s.Help) {
		return k.reply(ctx, from, text)
	}
	// Events come again, and late: the last word counts. It is saved first, with
	// the reply that it is owed. After any error the sidecar tries again: a reply
	// may go out twice, but is never lost.
	at := e.OccurredAt.Time
	owed, err := k.list.set(from, out, at)
	if err != nil || !owed {
		return err
	}
	if err := k.reply(ctx, from, text); err != nil {
		return err
	}
	return k.list.replied(from, at)
}

func normal(text string) string { return strings.ToUpper(strings.TrimSpace(text)) }

// reply is where your code sends the text, with Telnyx's API. Numbers do not
// belong in logs.
func reply(ctx context.Context, to, text string) error {
	sdk.Log(ctx).Info("reply", "to", "…"+to[max(0, len(to)-2):], "text", text)
	return nil
}
