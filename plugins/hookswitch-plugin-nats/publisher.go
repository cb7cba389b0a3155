package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

const (
	connectTimeout = 5 * time.Second
	reconnectWait  = 500 * time.Millisecond
)

// publisher publishes events. It is connected once, by connect, and then safe
// for concurrent use.
type publisher struct {
	settings settings
	conn     *nats.Conn
	js       jetstream.JetStream
}

// connect connects to the broker. Without one the plugin does not start, and its
// events wait in the sidecar.
func (p *publisher) connect(ctx context.Context, s settings) error {
	opts, err := options(s)
	if err != nil {
		return err
	}
	conn, err := nats.Connect(s.URL, opts...)
	if err != nil {
		return sdk.Invalid("url", "nats: connect: %v", err)
	}
	js, err := jetstream.New(conn)
	if err == nil && s.Stream.Create {
		err = createStream(ctx, js, s)
	}
	if err != nil {
		conn.Close()
		return err
	}
	p.settings, p.conn, p.js = s, conn, js
	return nil
}

// close ends the connection. What was published has been acknowledged, or its
// event is tried again.
func (p *publisher) close() {
	if p.conn != nil {
		p.conn.Close()
	}
}

func options(s settings) ([]nats.Option, error) {
	log := sdk.Log(context.Background())
	opts := []nats.Option{
		nats.Name("hookswitch"),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // credentials can be fixed while it tries
		nats.ReconnectWait(reconnectWait),
		// The client buffers nothing for the broker's return: those messages
		// have failed by then, and come again from the sidecar.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("the connection to the broker broke", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("connected to the broker again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("from the broker", "error", err) }),
	}
	if s.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(s.CredentialsFile))
	}
	if s.NKeyFile != "" {
		opt, err := nats.NkeyOptionFromSeed(s.NKeyFile)
		if err != nil {
			return nil, sdk.Invalid("nkey_file", "%v", err)
		}
		opts = append(opts, opt)
	}
	if s.PasswordFile != "" {
		password, err := readSecret(s.PasswordFile)
		if err != nil {
			return nil, sdk.Invalid("password_file", "%v", err)
		}
		opts = append(opts, nats.UserInfo(s.User, password))
	}
	if s.TokenFile != "" {
		token, err := readSecret(s.TokenFile)
		if err != nil {
			return nil, sdk.Invalid("token_file", "%v", err)
		}
		opts = append(opts, nats.Token(token))
	}
	if s.CAFile != "" {
		opts = append(opts, nats.RootCAs(s.CAFile))
	}
	if s.CertFile != "" {
		opts = append(opts, nats.ClientCert(s.CertFile, s.KeyFile))
	}
	return opts, nil
}

func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

// createStream creates the stream if there is none of that name. An existing one
// stays as it is.
func createStream(ctx context.Context, js jetstream.JetStream, s settings) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := js.Stream(ctx, s.Stream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name:     s.Stream.Name,
			Subjects: []string{subjectsOf(s.Subject)},
			MaxAge:   s.Stream.MaxAge,
			Replicas: s.Stream.Replicas,
		})
	}
	if err != nil {
		return sdk.Invalid("stream", "nats: find or create stream %q: %v", s.Stream.Name, err)
	}
	return nil
}

// handle publishes an event and waits until the stream has it.
func (p *publisher) handle(ctx context.Context, e *webhook.Event) error {
	msg := messageOf(ctx, p.settings.Subject, e)
	ctx, cancel := context.WithTimeout(ctx, p.settings.Timeout)
	defer cancel()
	var opts []jetstream.PublishOpt
	if p.settings.Stream.Name != "" {
		opts = append(opts, jetstream.WithExpectStream(p.settings.Stream.Name))
	}
	ack, err := p.js.PublishMsg(ctx, msg, opts...)
	switch {
	case err == nil:
		sdk.Log(ctx).Debug("published", "subject", msg.Subject, "stream", ack.Stream, "sequence", ack.Sequence, "duplicate", ack.Duplicate)
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return webhook.Permanent(fmt.Errorf("nats: publish to %s: %d bytes are more than the broker's max_payload of %d", msg.Subject, msg.Size(), p.conn.MaxPayload()))
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("nats: publish to %s: no stream takes this subject: make one, or let the plugin do it with stream.create: %w", msg.Subject, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded): // there is no buffer
		return fmt.Errorf("nats: publish to %s: the broker cannot be reached", msg.Subject)
	case !p.conn.IsConnected():
		return fmt.Errorf("nats: publish to %s: the broker cannot be reached: %w", msg.Subject, err)
	}
	return fmt.Errorf("nats: publish to %s: %w", msg.Subject, err)
}
