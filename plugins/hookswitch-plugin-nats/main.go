// Command hookswitch-plugin-nats publishes every event to NATS JetStream, for
// teams whose consumers live there.
//
// Its settings are in nats.json beside it; all of them may be left out:
//
//	{
//	  "url":              "nats://127.0.0.1:4222", // several with commas; tls:// for TLS
//	  "subject":          "hookswitch.{event_type}",
//	  "events":           ["message.*", "call.*"], // all of them if left out
//	  "stream":           {"name": "HOOKSWITCH", "create": true, "max_age": "720h"},
//	  "credentials_file": "/etc/hookswitch/nats.creds",
//	  "ca_file":          "/etc/hookswitch/nats-ca.pem"
//	}
//
// Command describe prints the schema of all. The message is the body of the
// webhook, exactly the bytes that were signed. Its headers are:
//
//	Nats-Msg-Id               the event's key: "id:" and its id, the same for every copy
//	Content-Type              of the body
//	Hookswitch-Event-Type, -Event-Id, -Occurred-At, -Delivery-Id, -Attempt, -Replay
//	Telnyx-Signature-Ed25519, Telnyx-Timestamp    to verify it once more
//	traceparent, tracestate   if the sidecar traces
//
// An event is done when the stream has stored it and said so. A broker says so
// before it has synced the message to disk, which it does every two minutes
// unless its sync_interval is another: a power cut in between loses messages of
// a stream without replicas. "sync_interval: always" keeps them. Anything else is
// a retry: no broker, no answer within timeout ("5s"), no stream that takes the
// subject. A message too large for the broker is a dead letter.
//
// A stream drops a message whose Nats-Msg-Id it has seen within its duplicate
// window (two minutes unless configured otherwise), so that an event whose
// acknowledgement was lost is not stored twice. Each replay of an event has an id
// of its own, the key and ":replay" (":replay:2" the second time), and is
// published again.
//
// The stream must exist, unless "create" is set. It is then created with the
// subjects of the template, and never changed. This plugin never deletes
// messages.
package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// settings is the content of nats.json.
type settings struct {
	URL         string        `json:"url" default:"nats://127.0.0.1:4222" desc:"of the broker; several with commas"`
	Subject     string        `json:"subject" default:"hookswitch.{event_type}" desc:"of messages; {event_type} stands for the type"`
	Patterns    []string      `json:"events" desc:"event types, such as call.*; all if there are none"`
	Stream      stream        `json:"stream" desc:"that takes the subjects"`
	Timeout     time.Duration `json:"timeout" default:"5s" desc:"for the stream to store a message"`
	Concurrency int           `json:"concurrency" default:"64" desc:"messages without acknowledgement"`

	CredentialsFile string `json:"credentials_file" desc:"a .creds file"`
	NKeyFile        string `json:"nkey_file" desc:"a file with the seed of an NKey"`
	User            string `json:"user" desc:"name, with password_file"`
	PasswordFile    string `json:"password_file" desc:"a file with the password of user"`
	TokenFile       string `json:"token_file" desc:"a file with a token"`

	CAFile   string `json:"ca_file" desc:"certificates that the broker's must come from; the system's if there is none"`
	CertFile string `json:"cert_file" desc:"certificate of the client, with key_file"`
	KeyFile  string `json:"key_file" desc:"key of the client, with cert_file"`
}

type stream struct {
	Name     string        `json:"name" desc:"messages go to this stream or to none; any if it is empty"`
	Create   bool          `json:"create" desc:"make the stream if it is not there"`
	MaxAge   time.Duration `json:"max_age" default:"0s" desc:"of messages in a stream that is made; 0s for ever"`
	Replicas int           `json:"replicas" default:"1" desc:"of a stream that is made"`
}

// Events and MaxInFlight tell the sidecar what to send.
func (s *settings) Events() []string { return s.Patterns }
func (s *settings) MaxInFlight() int { return s.Concurrency }

func (s *settings) Validate() error {
	var errs []error
	for _, server := range strings.Split(s.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil || u.Host == "": // not the error's text: it may have a password
			errs = append(errs, sdk.Invalid("url", "must be like nats://host:4222"))
		case u.User != nil:
			errs = append(errs, sdk.Invalid("url", "must have no user or password: use user with password_file, or token_file"))
		}
	}
	if err := checkSubject(s.Subject); err != nil {
		errs = append(errs, sdk.Invalid("subject", "%v", err))
	}
	if s.Timeout <= 0 {
		errs = append(errs, sdk.Invalid("timeout", "must be above 0"))
	}
	if s.Concurrency < 1 || s.Concurrency > 1024 {
		errs = append(errs, sdk.Invalid("concurrency", "must be from 1 to 1024"))
	}
	if (s.User == "") != (s.PasswordFile == "") {
		errs = append(errs, sdk.Invalid("user", "goes with password_file"))
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		errs = append(errs, sdk.Invalid("cert_file", "goes with key_file"))
	}
	for field, path := range map[string]string{"credentials_file": s.CredentialsFile, "nkey_file": s.NKeyFile,
		"password_file": s.PasswordFile, "token_file": s.TokenFile, "ca_file": s.CAFile, "cert_file": s.CertFile, "key_file": s.KeyFile} {
		if path == "" {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			errs = append(errs, sdk.Invalid(field, "%v", err))
			continue
		}
		f.Close()
	}
	return errors.Join(errs...)
}

func (s *stream) Validate() error {
	var errs []error
	if s.Create && s.Name == "" {
		errs = append(errs, sdk.Invalid("name", "is required with create"))
	}
	if strings.ContainsAny(s.Name, " \t\r\n.*>/\\") {
		errs = append(errs, sdk.Invalid("name", "must not have spaces or any of . * > / \\"))
	}
	if s.MaxAge < 0 {
		errs = append(errs, sdk.Invalid("max_age", "must not be negative"))
	}
	if s.Replicas < 1 || s.Replicas > 5 {
		errs = append(errs, sdk.Invalid("replicas", "must be from 1 to 5"))
	}
	return errors.Join(errs...)
}

func main() {
	var p publisher
	p.plugin().Serve()
	p.close()
}

func (p *publisher) plugin() sdk.Plugin {
	var mux webhook.Mux
	mux.Handle("*", p.handle)
	return sdk.Plugin{
		Name: "nats",
		Mux:  &mux,
		Configure: sdk.Settings(func(ctx context.Context, s *settings) error {
			return p.connect(ctx, *s)
		}),
	}
}
