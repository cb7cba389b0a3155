package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

// The test binary is also the plugin, for the test that runs it by hand.
func TestMain(m *testing.M) {
	if os.Getenv("NATS_TEST_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const made = `"stream": {"name": "HOOKSWITCH", "create": true}`

// start starts the plugin with the settings.
func start(t *testing.T, settings string) *sdktest.Host {
	t.Helper()
	var p publisher
	host := sdktest.Start(t, p.plugin(), settings)
	t.Cleanup(p.close)
	return host
}

func refusal(t *testing.T, settings string) []sdk.FieldError {
	t.Helper()
	var p publisher
	defer p.close()
	return sdk.FieldErrors(sdktest.Refusal(t, p.plugin(), settings))
}

func sample(t *testing.T, eventType string) []byte {
	t.Helper()
	body, ok := event.Sample(eventType)
	if !ok {
		t.Fatalf("no sample of %s", eventType)
	}
	return body
}

func delivered(t *testing.T, host *sdktest.Host, e sdktest.Event) {
	t.Helper()
	if res := host.DeliverEvent(e); res.Outcome != webhook.Done {
		t.Fatalf("got %v", res)
	}
}

// count returns how many messages a stream has.
func count(t *testing.T, conn *nats.Conn, name string) uint64 {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func message(t *testing.T, conn *nats.Conn, name string, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestPublish(t *testing.T) {
	b := newBroker(t)
	host := start(t, settingsOf(b.url(), made))
	body := bytes.ReplaceAll(sample(t, "message.received"), []byte("\n"), []byte("\r\n"))
	e := webhook.Decode("application/json", body)
	delivered(t, host, sdktest.Event{
		Body: body, Attempt: 2,
		Header: http.Header{"Content-Type": {"application/json"}, "Telnyx-Signature-Ed25519": {"c2ln"}, "Telnyx-Timestamp": {"1700000000"}},
		Delivery: sdk.Delivery{ID: "d1", Tracestate: "a=b",
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	})
	msg := message(t, b.connect(), "HOOKSWITCH", 1)
	if msg.Subject != "hookswitch.message.received" || !bytes.Equal(msg.Data, body) {
		t.Errorf("published %q to %s", msg.Data, msg.Subject)
	}
	for name, want := range map[string]string{
		"Nats-Msg-Id": e.Key(), "Content-Type": "application/json",
		"Hookswitch-Event-Type": "message.received", "Hookswitch-Event-Id": e.ID, "Hookswitch-Delivery-Id": "d1",
		"Hookswitch-Attempt": "2", "Hookswitch-Replay": "false", "Hookswitch-Occurred-At": e.OccurredAt.String(),
		"Telnyx-Signature-Ed25519": "c2ln", "Telnyx-Timestamp": "1700000000",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b",
	} {
		if got := msg.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
}

func TestADuplicateIsNotThereTwiceAndAReplayIs(t *testing.T) {
	b := newBroker(t)
	host := start(t, settingsOf(b.url(), made))
	conn := b.connect()
	body := sample(t, "call.hangup")
	for attempt := range 3 {
		delivered(t, host, sdktest.Event{Body: body, Attempt: attempt + 1})
	}
	if n := count(t, conn, "HOOKSWITCH"); n != 1 {
		t.Errorf("%d messages of one event", n)
	}
	for attempt, round := range []int{1, 1, 2, 2, 3} { // each replay may take several attempts
		delivered(t, host, sdktest.Event{Body: body, Attempt: 4 + attempt, Delivery: sdk.Delivery{Replay: true, Round: round}})
		if n := count(t, conn, "HOOKSWITCH"); n != uint64(1+round) {
			t.Errorf("%d messages after replay %d", n, round)
		}
	}
}

// The sidecar repeats failed events. The client must not send them as well,
// when the broker is back: a stream forgets what it has seen.
func TestWhatFailedIsNotSentByItself(t *testing.T) {
	b := newBroker(t)
	var p publisher
	host := sdktest.Start(t, p.plugin(), settingsOf(b.url(), made, `"timeout": "300ms"`))
	t.Cleanup(p.close)
	b.kill()
	b.eventually(func() error {
		if p.conn.IsConnected() {
			return errors.New("the plugin has not seen that the broker is gone")
		}
		return nil
	})
	res := host.Deliver(sample(t, "message.received"))
	if res.Outcome != webhook.Retry || res.Reason != "nats: publish to hookswitch.message.received: the broker cannot be reached" {
		t.Errorf("without a broker: %v", res)
	}
	b.start()
	b.eventually(func() error { // on the same connection, so after what may be waiting there
		if res := host.Deliver(sample(t, "message.sent")); res.Outcome != webhook.Done {
			return fmt.Errorf("got %v", res)
		}
		return nil
	})
	conn := b.connect()
	if n, subject := count(t, conn, "HOOKSWITCH"), message(t, conn, "HOOKSWITCH", 1).Subject; n != 1 || subject != "hookswitch.message.sent" {
		t.Errorf("the stream has %d messages, the first of %s", n, subject)
	}
	delivered(t, host, sdktest.Event{Body: sample(t, "message.received"), Attempt: 2})
	if n := count(t, conn, "HOOKSWITCH"); n != 2 {
		t.Errorf("%d messages of two events", n)
	}
}

func TestNothingIsLostWhenTheBrokerIsKilled(t *testing.T) {
	b := newBroker(t)
	host := start(t, settingsOf(b.url(), made, `"timeout": "300ms"`))
	body := func(i int) []byte {
		return fmt.Appendf(nil, `{"data":{"event_type":"message.received","id":"event-%d","payload":{}}}`, i)
	}
	const events = 20
	for i := range events {
		if i == events/2 {
			b.kill()
			res := host.Deliver(body(i))
			if res.Outcome != webhook.Retry || !strings.HasPrefix(res.Reason, "nats: publish to hookswitch.message.received: ") {
				t.Errorf("without a broker: %v", res)
			}
			b.start()
		}
		b.eventually(func() error { // as the sidecar does, by its schedule
			if res := host.Deliver(body(i)); res.Outcome != webhook.Done {
				return fmt.Errorf("event %d: %v", i, res)
			}
			return nil
		})
	}
	conn := b.connect()
	if n := count(t, conn, "HOOKSWITCH"); n != events {
		t.Errorf("the stream has %d messages of %d events", n, events)
	}
	for i := range events {
		if got := message(t, conn, "HOOKSWITCH", uint64(i+1)).Header.Get("Nats-Msg-Id"); got != fmt.Sprintf("id:event-%d", i) {
			t.Errorf("message %d is %s", i+1, got)
		}
	}
}

func TestNoStream(t *testing.T) {
	b := newBroker(t)
	host := start(t, settingsOf(b.url()))
	res := host.Deliver(sample(t, "message.received"))
	if want := "nats: publish to hookswitch.message.received: no stream takes this subject: make one"; res.Outcome != webhook.Retry || !strings.HasPrefix(res.Reason, want) {
		t.Errorf("got %v, want %s", res, want)
	}
	t.Run("until somebody makes it", func(t *testing.T) {
		js, err := jetstream.New(b.connect())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"hookswitch.message.*"}}); err != nil {
			t.Fatal(err)
		}
		delivered(t, host, sdktest.Event{Body: sample(t, "message.received")})
	})
	t.Run("another stream than the one that is named", func(t *testing.T) {
		host := start(t, settingsOf(b.url(), `"stream": {"name": "MINE"}`))
		if res := host.Deliver(sample(t, "message.sent")); res.Outcome != webhook.Retry || !strings.Contains(res.Reason, "stream") {
			t.Errorf("got %v", res)
		}
	})
	t.Run("a stream that is there is not changed", func(t *testing.T) {
		start(t, settingsOf(b.url(), `"stream": {"name": "OTHER", "create": true, "max_age": "1h"}`))
		js, err := jetstream.New(b.connect())
		if err != nil {
			t.Fatal(err)
		}
		s, err := js.Stream(t.Context(), "OTHER")
		if err != nil {
			t.Fatal(err)
		}
		if cfg := s.CachedInfo().Config; cfg.MaxAge != 0 || cfg.Subjects[0] != "hookswitch.message.*" {
			t.Errorf("it is now %+v", cfg)
		}
	})
}

func TestTooLargeForTheBroker(t *testing.T) {
	b := newBroker(t, "--config", write(t, "nats.conf", "max_payload: 4096\n"))
	host := start(t, settingsOf(b.url(), made))
	res := host.Deliver(append(sample(t, "message.received"), bytes.Repeat([]byte(" "), 8192)...))
	if res.Outcome != webhook.Dead || !strings.Contains(res.Reason, "max_payload of 4096") {
		t.Errorf("got %v", res)
	}
}

func TestPassword(t *testing.T) {
	const secret = "hunter2-secret"
	b := newBroker(t, "--user", "hook", "--pass", secret)
	host := start(t, settingsOf(b.url(), made, `"user": "hook"`, fmt.Sprintf(`"password_file": %q`, write(t, "password", secret+"\n"))))
	delivered(t, host, sdktest.Event{Body: sample(t, "message.received")})

	wrong := refusal(t, settingsOf(b.url(), `"user": "hook"`, fmt.Sprintf(`"password_file": %q`, write(t, "password", "wrong-"+secret))))
	if len(wrong) != 1 || !strings.Contains(wrong[0].Message, "Authorization Violation") || strings.Contains(wrong[0].Message, secret) {
		t.Errorf("a wrong password: %q", wrong)
	}
}

func TestNKey(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, "--config", write(t, "nats.conf", fmt.Sprintf("authorization { users = [ { nkey: %s } ] }\n", public)))
	host := start(t, settingsOf(b.url(), made, fmt.Sprintf(`"nkey_file": %q`, write(t, "seed", string(seed)))))
	delivered(t, host, sdktest.Event{Body: sample(t, "message.received")})
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	b := newBroker(t, "--tls", "--tlscert", cert, "--tlskey", key)
	b2 := strings.Replace(b.url(), "nats://", "tls://", 1)
	host := start(t, settingsOf(b2, made, fmt.Sprintf(`"ca_file": %q`, cert)))
	delivered(t, host, sdktest.Event{Body: sample(t, "message.received")})
	if wrong := refusal(t, settingsOf(b2)); len(wrong) != 1 || !strings.Contains(wrong[0].Message, "certificate") {
		t.Errorf("a certificate that nobody vouches for: %q", wrong)
	}
}

func TestByHand(t *testing.T) {
	b := newBroker(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(settings string) (int, string) {
		cmd := exec.Command(exe, "run", "--event", "message.received", "--settings", write(t, "nats.json", settings))
		cmd.Env = append(os.Environ(), "NATS_TEST_PROGRAM=1")
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, out := run(settingsOf(b.url(), made)); code != 0 || !strings.Contains(out, "message.received: done in ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	b.kill()
	if code, out := run(settingsOf(b.url())); code != 78 || !strings.Contains(out, "url: nats: connect: ") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"a password in the URL": {`{"url":"nats://me:hunter2@host:4222"}`, []string{"url: must have no user or password"}},
		"no URL":                {`{"url":"localhost"}`, []string{"url: must be like nats://host:4222"}},
		"a placeholder":         {`{"subject":"a.{event_id}"}`, []string{"subject: has {event_id}: only {event_type} is known"}},
		"a wildcard":            {`{"subject":"a.>"}`, []string{"subject: must be names"}},
		"no such file":          {`{"credentials_file":"/nowhere/nats.creds"}`, []string{"credentials_file: open /nowhere/nats.creds: no such file"}},
		"half a pair":           {`{"user":"me","key_file":"/dev/null"}`, []string{"user: goes with", "cert_file: goes with"}},
		"a stream":              {`{"stream":{"create":true,"replicas":9,"max_age":"-1h"}}`, []string{"stream.name: is required with create", "stream.max_age: ", "stream.replicas: "}},
		"numbers":               {`{"timeout":"0s","concurrency":0}`, []string{"timeout: ", "concurrency: "}},
	} {
		t.Run(name, func(t *testing.T) {
			var texts []string
			for _, e := range refusal(t, tt.text) {
				texts = append(texts, e.Error())
			}
			if !slices.EqualFunc(texts, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", texts, tt.want)
			}
			if strings.Contains(strings.Join(texts, ""), "hunter2") {
				t.Error("the password is in the error")
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	for _, tt := range []struct{ template, eventType, want, all string }{
		{"hookswitch.{event_type}", "message.received", "hookswitch.message.received", "hookswitch.>"},
		{"hookswitch.{event_type}", "", "hookswitch._", "hookswitch.>"},
		{"hookswitch.{event_type}", "a..b.", "hookswitch.a._.b._", "hookswitch.>"},
		{"hookswitch.{event_type}", "a b.*.>\x00\xff", "hookswitch.a_b._.___", "hookswitch.>"},
		{"{event_type}", "call.hangup", "call.hangup", ">"},
		{"all", "call.hangup", "all", "all"},
		{"a.b-{event_type}.c", "call.hangup", "a.b-call.hangup.c", "a.>"},
	} {
		if got := subjectOf(tt.template, tt.eventType); got != tt.want {
			t.Errorf("%s of %q is %q, want %q", tt.template, tt.eventType, got, tt.want)
		}
		if got := subjectsOf(tt.template); got != tt.all {
			t.Errorf("all of %s are %q, want %q", tt.template, got, tt.all)
		}
	}
}

func TestAHeaderIsOneLine(t *testing.T) {
	e := webhook.Decode("application/json", []byte(`{"data":{"event_type":"a","id":"x\r\nNats-Expected-Stream: OTHER"}}`))
	for name, values := range messageOf(context.Background(), "s", e).Header {
		if len(values) != 1 || strings.ContainsAny(values[0], "\r\n") {
			t.Errorf("%s is %q", name, values)
		}
	}
}
