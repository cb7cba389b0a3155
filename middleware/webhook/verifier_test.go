package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

func TestZeroVerifierRejectsEverything(t *testing.T) {
	req := webhooktest.NewSigner().NewRequest("/", webhooktest.Sample("message.sent"))
	var v webhook.Verifier
	if _, err := v.Check(req); !errors.Is(err, webhook.ErrNoKeys) {
		t.Errorf("Check = %v, want ErrNoKeys", err)
	}
	if _, err := v.Verify(req.Header, webhooktest.Sample("message.sent")); !errors.Is(err, webhook.ErrNoKeys) {
		t.Errorf("Verify = %v, want ErrNoKeys", err)
	}
	rec := httptest.NewRecorder()
	v.Handler(mustNotRun(t)).ServeHTTP(rec, req)
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q, want a 503 that is retried", rec.Code, rec.Header().Get("Retry-After"))
	}
}

func mustNotRun(t *testing.T) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the next handler ran for a request that must be rejected")
	})
}

// TestRejections changes one thing of a genuine request at a time.
func TestRejections(t *testing.T) {
	signer := webhooktest.NewSigner()
	body := webhooktest.Sample("call.hangup")
	signedAgo := func(d time.Duration) func(*http.Request) {
		return func(r *http.Request) { signer.Sign(r.Header, time.Now().Add(-d), body) }
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	setBody := func(b []byte) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		}
	}
	flipped := bytes.Clone(body)
	flipped[len(flipped)/2] ^= 1
	big := bytes.Repeat([]byte(" "), 2<<20)

	tests := []struct {
		name   string
		change func(*http.Request)
		want   error
		status int
	}{
		{"nothing changed", func(*http.Request) {}, nil, 200},
		{"300 s old is the last moment", signedAgo(300 * time.Second), nil, 200},
		{"300 s ahead is the first moment", signedAgo(-300 * time.Second), nil, 200},
		{"identity is no encoding", header("Content-Encoding", "identity"), nil, 200},
		{"an empty encoding", header("Content-Encoding", ""), nil, 200},
		{"an encoding of white space", header("Content-Encoding", " \t"), nil, 200},
		{"identity in any case, with white space", header("Content-Encoding", " Identity "), nil, 200},
		{"empty items", header("Content-Encoding", ",identity, ,"), nil, 200},
		{"identity twice", func(r *http.Request) {
			r.Header["Content-Encoding"] = []string{"identity", "", "identity"}
		}, nil, 200},
		{"length not announced", func(r *http.Request) { r.ContentLength = -1 }, nil, 200},
		{"body that arrives byte by byte", func(r *http.Request) {
			r.Body = io.NopCloser(iotest.OneByteReader(bytes.NewReader(body)))
		}, nil, 200},

		{"301 s old", signedAgo(301 * time.Second), webhook.ErrTimestampTooOld, 401},
		{"301 s ahead", signedAgo(-301 * time.Second), webhook.ErrTimestampTooNew, 401},
		{"a year that overflows no integer", header(webhook.HeaderTimestamp, "999999999999999999"), webhook.ErrTimestampTooNew, 401},
		{"timestamp in milliseconds", header(webhook.HeaderTimestamp, "1772611200000"), webhook.ErrTimestampTooNew, 401},
		{"timestamp of nineteen digits", header(webhook.HeaderTimestamp, "9999999999999999999"), webhook.ErrMalformed, 401},
		{"timestamp with a sign", header(webhook.HeaderTimestamp, "+1772611200"), webhook.ErrMalformed, 401},
		{"timestamp with a space", header(webhook.HeaderTimestamp, " 1772611200"), webhook.ErrMalformed, 401},
		{"empty timestamp", header(webhook.HeaderTimestamp, ""), webhook.ErrMalformed, 401},
		{"no timestamp", func(r *http.Request) { r.Header.Del(webhook.HeaderTimestamp) }, webhook.ErrNoSignature, 401},
		{"no signature", func(r *http.Request) { r.Header.Del(webhook.HeaderSignature) }, webhook.ErrNoSignature, 401},
		{"two timestamps", func(r *http.Request) { r.Header.Add(webhook.HeaderTimestamp, "1") }, webhook.ErrMalformed, 401},
		{"two signatures", func(r *http.Request) {
			r.Header.Add(webhook.HeaderSignature, r.Header.Get(webhook.HeaderSignature))
		}, webhook.ErrMalformed, 401},
		{"signatures joined by a comma", func(r *http.Request) {
			s := r.Header.Get(webhook.HeaderSignature)
			r.Header.Set(webhook.HeaderSignature, s+", "+s)
		}, webhook.ErrMalformed, 401},
		{"signature in URL-safe base64", func(r *http.Request) {
			r.Header.Set(webhook.HeaderSignature, strings.Repeat("-_", 43)+"==")
		}, webhook.ErrMalformed, 401},
		{"signature with a line break", func(r *http.Request) {
			s := r.Header.Get(webhook.HeaderSignature)
			r.Header.Set(webhook.HeaderSignature, s[:86]+"\r\n")
		}, webhook.ErrMalformed, 401},
		{"signature of zeros", header(webhook.HeaderSignature, base64.StdEncoding.EncodeToString(make([]byte, 64))), webhook.ErrBadSignature, 401},
		{"signature of another key", func(r *http.Request) {
			webhooktest.NewSigner().Sign(r.Header, time.Now(), body)
		}, webhook.ErrBadSignature, 401},
		{"one bit of the body flipped", setBody(flipped), webhook.ErrBadSignature, 401},
		{"trailing newline lost", setBody(bytes.TrimSuffix(body, []byte("\n"))), webhook.ErrBadSignature, 401},
		{"timestamp changed within the tolerance", func(r *http.Request) {
			ts, _ := webhook.Sign(make([]byte, 64), time.Now().Add(-5*time.Second), nil)
			r.Header.Set(webhook.HeaderTimestamp, ts)
		}, webhook.ErrBadSignature, 401},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, webhook.ErrMethod, 405},
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, webhook.ErrMethod, 405},
		{"gzip", header("Content-Encoding", "gzip"), webhook.ErrEncoding, 415},
		{"gzip behind identity", header("Content-Encoding", "identity, gzip"), webhook.ErrEncoding, 415},
		{"gzip in a second header", func(r *http.Request) {
			r.Header["Content-Encoding"] = []string{"", "gzip"}
		}, webhook.ErrEncoding, 415},
		{"an unknown encoding", header("Content-Encoding", "aws-chunked"), webhook.ErrEncoding, 415},
		{"2 MiB announced", setBody(big), webhook.ErrTooLarge, 413},
		{"2 MiB without announcement", func(r *http.Request) {
			setBody(big)(r)
			r.ContentLength = -1
		}, webhook.ErrTooLarge, 413},
		{"cut by the server's own limit", func(r *http.Request) {
			r.Body = http.MaxBytesReader(nil, r.Body, 10)
		}, webhook.ErrTooLarge, 413},
		{"connection lost in the body", func(r *http.Request) {
			r.Body = io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(body))))
		}, webhook.ErrBody, 408},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // time stands still
				v := &webhook.Verifier{Keys: signer.Keys()}
				next := mustNotRun(t)
				if tt.want == nil {
					next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						e, ok := webhook.FromContext(r.Context())
						got, err := io.ReadAll(r.Body)
						if !ok || err != nil || !bytes.Equal(got, body) || !bytes.Equal(e.Raw, body) {
							t.Errorf("event %v, body %d bytes, %v; want the event and all %d bytes", ok, len(got), err, len(body))
						}
					})
				}
				req := signer.NewRequest("/webhooks", body)
				tt.change(req)
				rec := httptest.NewRecorder()
				v.Handler(next).ServeHTTP(rec, req)
				if rec.Code != tt.status {
					t.Errorf("status %d, want %d", rec.Code, tt.status)
				}

				req = signer.NewRequest("/webhooks", body)
				tt.change(req)
				_, err := v.Check(req)
				if !errors.Is(err, tt.want) {
					t.Fatalf("Check = %v, want %v", err, tt.want)
				}
				if tt.want == nil {
					return
				}
				rejected, ok := errors.AsType[*webhook.Error](err)
				if !ok || rejected.Status != tt.status || rejected.Reason == "" {
					t.Errorf("error %#v, want an *Error with status %d and a reason", err, tt.status)
				}
				var problem struct {
					Type, Title string
					Status      int
				}
				if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Status != tt.status ||
					!strings.HasSuffix(problem.Type, rejected.Reason) ||
					rec.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("answer %q (%v), want a problem with reason %q", rec.Body, err, rejected.Reason)
				}
				if secret := req.Header.Get(webhook.HeaderSignature); len(secret) > 8 && strings.Contains(err.Error()+rec.Body.String(), secret) {
					t.Error("the signature is echoed")
				}
			})
		})
	}
}

func TestDenyHandlerIsSettableAtRunTime(t *testing.T) {
	v := &webhook.Verifier{Keys: webhooktest.NewSigner().Keys()}
	h := v.Handler(mustNotRun(t))
	status := func() int {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")))
		return rec.Code
	}
	var got *webhook.Error
	v.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = webhook.Denial(r.Context())
		w.WriteHeader(http.StatusTeapot)
	}))
	if code := status(); code != http.StatusTeapot || !errors.Is(got, webhook.ErrNoSignature) {
		t.Errorf("status %d, denial %v; want the custom handler with ErrNoSignature", code, got)
	}
	v.SetDenyHandler(nil)
	if code := status(); code != http.StatusUnauthorized {
		t.Errorf("status %d after SetDenyHandler(nil), want the default 401", code)
	}
}

func TestEveryKeyOfTheRingIsTriedAndTheMatchIsRecorded(t *testing.T) {
	old, current := webhooktest.NewSigner(), webhooktest.NewSigner()
	ring := ringOf(t, "old", old, "new", current)
	v := &webhook.Verifier{Keys: ring}
	for label, signer := range map[string]*webhooktest.Signer{"old": old, "new": current} {
		e, err := v.Check(signer.NewRequest("/", []byte(`{}`)))
		if err != nil || e.Signature.KeyLabel != label || e.Signature.Scheme != "telnyx" {
			t.Errorf("event of key %q: %+v, %v", label, e, err)
		}
	}
	if err := ring.Replace(keyOf(t, "new", current)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Check(old.NewRequest("/", []byte(`{}`))); !errors.Is(err, webhook.ErrBadSignature) {
		t.Errorf("Check with a removed key = %v, want ErrBadSignature", err)
	}
}

func TestVerifyIsCheckWithoutHTTP(t *testing.T) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys(), Tolerance: time.Minute}
	body := webhooktest.Sample("message.received")
	req := signer.NewRequest("/", body)
	byCheck, err := v.Check(req)
	if err != nil {
		t.Fatal(err)
	}
	byVerify, err := v.Verify(req.Header, body)
	if err != nil {
		t.Fatal(err)
	}
	if byCheck.Type != byVerify.Type || byCheck.ID != byVerify.ID || byCheck.Key() != byVerify.Key() {
		t.Errorf("Check gave %+v, Verify gave %+v", byCheck, byVerify)
	}
	if skew := byVerify.Signature.Skew; skew < 0 || skew > time.Minute {
		t.Errorf("skew %v, want the age of the timestamp", skew)
	}
}

func TestAppendingToRawDoesNotReachTheBody(t *testing.T) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys()}
	req := signer.NewRequest("/", []byte(`{"a":1}`))
	e, err := v.Check(req)
	if err != nil {
		t.Fatal(err)
	}
	if cap(e.Raw) != len(e.Raw) {
		t.Errorf("Raw has a capacity of %d for %d bytes: an append would write into shared memory", cap(e.Raw), len(e.Raw))
	}
}

func TestMuxWithoutVerifierRefuses(t *testing.T) {
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error {
		t.Error("handler ran for an unverified request")
		return nil
	})
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, webhooktest.NewSigner().NewRequest("/", []byte(`{}`)))
	if rec.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", rec.Code)
	}
}

// TestVerifyHasALimit: what was read by somebody else may be too large as well.
func TestVerifyHasALimit(t *testing.T) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys(), MaxBody: 10}
	for size, want := range map[int]error{10: nil, 11: webhook.ErrTooLarge} {
		h, body := make(http.Header), bytes.Repeat([]byte(" "), size)
		signer.Sign(h, time.Now(), body)
		if _, err := v.Verify(h, body); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}
