package webhook_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

func TestStandardWebhooks(t *testing.T) {
	signer, other := webhooktest.NewSigner(), webhooktest.NewSigner()
	body := []byte(`{"order":7}`)
	valid := func() http.Header {
		h := http.Header{}
		signer.SignStandard(h, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", time.Now(), body)
		return h
	}
	tests := []struct {
		name   string
		change func(http.Header)
		want   error
	}{
		{"one signature", func(http.Header) {}, nil},
		{"the second of two", func(h http.Header) {
			o := http.Header{}
			other.SignStandard(o, h.Get("webhook-id"), time.Now(), body)
			h.Set("webhook-signature", o.Get("webhook-signature")+" "+h.Get("webhook-signature"))
		}, nil},
		{"beside one with a shared secret", func(h http.Header) {
			h.Set("webhook-signature", "v1,abc= "+h.Get("webhook-signature"))
		}, nil},
		{"only with a shared secret", func(h http.Header) { h.Set("webhook-signature", "v1,abc=") }, webhook.ErrMalformed},
		{"nine signatures", func(h http.Header) {
			h.Set("webhook-signature", strings.Repeat("v1,x ", 8)+h.Get("webhook-signature"))
		}, webhook.ErrMalformed},
		{"no id", func(h http.Header) { h.Del("webhook-id") }, webhook.ErrNoSignature},
		{"another id", func(h http.Header) { h.Set("webhook-id", "msg_2") }, webhook.ErrBadSignature},
		{"id with a dot", func(h http.Header) { h.Set("webhook-id", "a.1") }, webhook.ErrMalformed},
		{"endless id", func(h http.Header) { h.Set("webhook-id", strings.Repeat("a", 300)) }, webhook.ErrMalformed},
		{"two ids", func(h http.Header) { h.Add("webhook-id", "b") }, webhook.ErrMalformed},
		{"old", func(h http.Header) { signer.SignStandard(h, "m", time.Now().Add(-301*time.Second), body) }, webhook.ErrTimestampTooOld},
		{"another key", func(h http.Header) { other.SignStandard(h, "m", time.Now(), body) }, webhook.ErrBadSignature},
		{"signed as Telnyx does", func(h http.Header) { clear(h); signer.Sign(h, time.Now(), body) }, webhook.ErrNoSignature},
		{"not base64", func(h http.Header) { h.Set("webhook-signature", "v1a,"+strings.Repeat("?", 88)) }, webhook.ErrMalformed},
		{"nothing", func(h http.Header) { h.Set("webhook-signature", "") }, webhook.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &webhook.Verifier{Keys: signer.Keys(), Scheme: webhook.SchemeStandardWebhooks}
				h := valid()
				tt.change(h)
				e, err := v.Verify(h, body)
				if !errors.Is(err, tt.want) {
					t.Fatalf("Verify = %v, want %v", err, tt.want)
				}
				if tt.want == nil && (e.ID != "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W" || e.Signature.Scheme != "standard-webhooks") {
					t.Errorf("event %+v", e)
				}
			})
		})
	}
	// A route for Telnyx never falls back to the other scheme.
	v := &webhook.Verifier{Keys: signer.Keys()}
	if _, err := v.Verify(valid(), body); !errors.Is(err, webhook.ErrNoSignature) {
		t.Errorf("a Telnyx route answers Standard Webhooks with %v", err)
	}
}

func TestKeysHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := webhooktest.NewSigner()
		now := time.Now()
		ring, err := webhook.NewKeyRing(webhook.Key{Label: "k", Public: signer.Public(), NotBefore: now.Add(time.Minute), NotAfter: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		v := &webhook.Verifier{Keys: ring}
		check := func() error {
			_, err := v.Check(signer.NewRequest("/", nil))
			return err
		}
		for _, step := range []struct {
			at   time.Duration
			want error
		}{{59 * time.Second, webhook.ErrBadSignature}, {time.Minute, nil}, {time.Hour, nil}, {time.Hour + 1, webhook.ErrBadSignature}} {
			<-time.After(time.Until(now.Add(step.at)))
			if err := check(); !errors.Is(err, step.want) {
				t.Errorf("after %v: %v, want %v", step.at, err, step.want)
			}
		}
		if _, err := webhook.NewKeyRing(webhook.Key{Public: signer.Public(), NotBefore: now, NotAfter: now.Add(-1)}); err == nil {
			t.Error("a key that ends before it begins was accepted")
		}
	})
}

func TestGETNeedsAnInsecureName(t *testing.T) {
	signer := webhooktest.NewSigner()
	get := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/texml?CallSid=x&CallStatus=ringing", nil)
		signer.Sign(r.Header, time.Now(), nil)
		return r
	}
	v := &webhook.Verifier{Keys: signer.Keys()}
	if _, err := v.Check(get()); !errors.Is(err, webhook.ErrMethod) {
		t.Errorf("GET: %v, want ErrMethod", err)
	}
	v.InsecureAllowGET = true
	e, err := v.Check(get())
	if err != nil || e.Type != "texml.call.ringing" || string(e.Raw) != "CallSid=x&CallStatus=ringing" {
		t.Errorf("allowed GET: %+v, %v", e, err)
	}
	r := get()
	r.Header.Del(webhook.HeaderSignature)
	if _, err := v.Check(r); !errors.Is(err, webhook.ErrNoSignature) {
		t.Errorf("allowed GET without a signature: %v", err)
	}
}

func TestVerifyFuncDecides(t *testing.T) {
	signer := webhooktest.NewSigner()
	calls := 0
	v := &webhook.Verifier{Keys: signer.Keys(), VerifyFunc: func(k ed25519.PublicKey, m, s []byte) bool {
		calls++
		return ed25519.Verify(k, m, s) && false
	}}
	if _, err := v.Check(signer.NewRequest("/", nil)); !errors.Is(err, webhook.ErrBadSignature) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestObserveSeesEveryDecision(t *testing.T) {
	signer := webhooktest.NewSigner()
	var got []webhook.Observation
	v := &webhook.Verifier{Keys: signer.Keys(), Observe: func(o webhook.Observation) { got = append(got, o) }}
	body := webhooktest.Sample("call.hangup")
	h := v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), signer.NewRequest("/", body))
	h.ServeHTTP(httptest.NewRecorder(), webhooktest.NewSigner().NewRequest("/", body))
	_, _ = v.Check(httptest.NewRequest("POST", "/", nil))
	if len(got) != 3 {
		t.Fatalf("%d observations, want 3", len(got))
	}
	if o := got[0]; o.Err != nil || o.Event.Type != "call.hangup" || o.Bytes != len(body) || o.Elapsed <= 0 {
		t.Errorf("accepted: %+v", o)
	}
	if o := got[1]; o.Event != nil || o.Err.Reason != "bad_signature" || o.Bytes != len(body) {
		t.Errorf("forged: %+v", o)
	}
	if o := got[2]; o.Event != nil || o.Err.Reason != "missing_header" || o.Bytes != 0 {
		t.Errorf("unsigned: %+v", o)
	}
}

// TestSlowBodyIsCut: a sender who announces a body and does not send it loses
// the connection, though the server has no limit of its own.
func TestSlowBodyIsCut(t *testing.T) {
	signer := webhooktest.NewSigner()
	denied := make(chan error, 1)
	v := &webhook.Verifier{Keys: signer.Keys(), BodyTimeout: 50 * time.Millisecond}
	v.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		denied <- webhook.Denial(r.Context())
		webhook.Deny(w, r)
	}))
	server := httptest.NewServer(v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the handler ran")
	})))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req := signer.NewRequest(server.URL, bytes.Repeat([]byte("x"), 1<<19))
	var head bytes.Buffer
	head.WriteString("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 524288\r\n")
	if err := req.Header.Write(&head); err != nil {
		t.Fatal(err)
	}
	head.WriteString("\r\nxxxxx")
	if _, err := conn.Write(head.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := <-denied; !errors.Is(err, webhook.ErrBody) {
		t.Errorf("denied with %v, want ErrBody", err)
	}
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// TestBodyBufferGrowsWithTheBody: a sender who announces much gets no more room
// than some times of what arrived.
func TestBodyBufferGrowsWithTheBody(t *testing.T) {
	signer := webhooktest.NewSigner()
	body := make([]byte, 1<<20)
	for name, announced := range map[string]int64{"announced": 1 << 20, "not announced": -1} {
		req := signer.NewRequest("/", body)
		source := &frugal{Reader: bytes.NewReader(body), t: t}
		req.Body, req.ContentLength = source, announced
		v := &webhook.Verifier{Keys: signer.Keys()}
		if _, err := v.Check(req); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// frugal reads little at a time, and looks at the room that it is given.
type frugal struct {
	*bytes.Reader
	t    *testing.T
	sent int
}

func (f *frugal) Read(p []byte) (int, error) {
	if most := 10*f.sent + 8<<10; len(p) > most {
		f.t.Errorf("after %d bytes there is room for %d, want %d at most", f.sent, len(p), most)
	}
	n, err := f.Reader.Read(p[:min(len(p), 1000)])
	f.sent += n
	return n, err
}

func (f *frugal) Close() error { return nil }

// TestBodyTimeoutEndsWithTheBody: a connection is used again, and a handler
// may take longer than the body was allowed to.
func TestBodyTimeoutEndsWithTheBody(t *testing.T) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys(), BodyTimeout: 30 * time.Millisecond}
	var cancelled atomic.Bool
	server := httptest.NewServer(v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			cancelled.Store(true)
		case <-time.After(90 * time.Millisecond):
		}
	})))
	defer server.Close()
	for range 2 {
		body := []byte(`{"a":1}`)
		req, err := http.NewRequest("POST", server.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		signer.Sign(req.Header, time.Now(), body)
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 || cancelled.Load() {
			t.Errorf("status %d, handler cancelled: %v", res.StatusCode, cancelled.Load())
		}
	}
}

func TestAnswerWritesTheResponse(t *testing.T) {
	signer := webhooktest.NewSigner()
	var mux webhook.Mux
	var reported error
	mux.OnError = func(_ context.Context, _ *webhook.Event, err error) { reported = err }
	mux.Answer("texml.*", func(w http.ResponseWriter, r *http.Request, e *webhook.Event) {
		var call struct{ From string }
		if err := e.DecodePayload(&call); err != nil {
			t.Error(err)
		}
		if call.From == "panic" {
			panic("boom")
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, "<Response><Say>"+call.From+"</Say></Response>")
	})
	v := &webhook.Verifier{Keys: signer.Keys()}
	serve := func(body string) *httptest.ResponseRecorder {
		r := signer.NewRequest("/", []byte(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		v.Handler(&mux).ServeHTTP(rec, r)
		return rec
	}
	if rec := serve("CallStatus=ringing&From=%2B1555"); rec.Code != 200 || rec.Body.String() != "<Response><Say>+1555</Say></Response>" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := serve("CallStatus=ringing&From=panic"); rec.Code != 500 || reported == nil {
		t.Errorf("panic answered %d, reported %v", rec.Code, reported)
	}
	err := mux.HandleEvent(t.Context(), &webhook.Event{Type: "texml.call.ringing"})
	if outcome, _ := webhook.OutcomeOf(err); outcome != webhook.Dead {
		t.Errorf("without HTTP: %v, want a permanent error", err)
	}
}

// TestRejectsAllocateNothing: what a flood of junk costs.
func TestRejectsAllocateNothing(t *testing.T) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys()}
	good := signer.NewRequest("/", []byte(`{}`)).Header
	for name, change := range map[string]func(http.Header){
		"no signature":      func(h http.Header) { h.Del(webhook.HeaderSignature) },
		"no timestamp":      func(h http.Header) { h.Del(webhook.HeaderTimestamp) },
		"bad timestamp":     func(h http.Header) { h.Set(webhook.HeaderTimestamp, "x") },
		"stale":             func(h http.Header) { h.Set(webhook.HeaderTimestamp, "1") },
		"short signature":   func(h http.Header) { h.Set(webhook.HeaderSignature, "AAAA") },
		"bad base64":        func(h http.Header) { h.Set(webhook.HeaderSignature, strings.Repeat("?", 88)) },
		"signature of ones": func(h http.Header) { h.Set(webhook.HeaderSignature, strings.Repeat("/", 86)+"==") },
		"two signatures":    func(h http.Header) { h.Add(webhook.HeaderSignature, "x") },
		"Standard Webhooks": func(h http.Header) { clear(h); signer.SignStandard(h, "a", time.Now(), nil) },
		"compressed":        func(h http.Header) { h.Set("Content-Encoding", "gzip") },
	} {
		r := httptest.NewRequest("POST", "/", http.NoBody)
		r.Header = good.Clone()
		change(r.Header)
		var err error
		allocs := testing.AllocsPerRun(200, func() { _, err = v.Check(r) })
		if err == nil || allocs > 0 {
			t.Errorf("%s: %v, %.1f allocations", name, err, allocs)
		}
	}
}
