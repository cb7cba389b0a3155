package webhook_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// TestExplainFindsTheAccident signs a body and lets something happen to it.
func TestExplainFindsTheAccident(t *testing.T) {
	signer := webhooktest.NewSigner()
	pretty := webhooktest.Sample("message.received")
	var out bytes.Buffer
	if err := json.Compact(&out, pretty); err != nil {
		t.Fatal(err)
	}
	compact := out.Bytes()
	form := []byte("CallSid=v3%3Ax&From=%2B15550100001&CallStatus=completed&CallerId=A+B")
	decoded, err := url.QueryUnescape(string(form))
	if err != nil {
		t.Fatal(err)
	}
	header := func(at time.Time, body []byte) http.Header {
		h := http.Header{}
		signer.Sign(h, at, body)
		return h
	}
	now := time.Now()
	sent := func(body, received []byte) func() (http.Header, []byte) {
		return func() (http.Header, []byte) { return header(now, body), received }
	}
	withLength := func(body []byte, length int, received []byte) func() (http.Header, []byte) {
		return func() (http.Header, []byte) {
			h := header(now, body)
			if length >= 0 {
				h.Set("Content-Length", strconv.Itoa(length))
			}
			return h, received
		}
	}
	withTimestamp := func(signedAt time.Time, value string) func() (http.Header, []byte) {
		return func() (http.Header, []byte) {
			h := header(signedAt, pretty)
			h.Set(webhook.HeaderTimestamp, value)
			return h, pretty
		}
	}
	tests := []struct {
		name    string
		request func() (http.Header, []byte)
		cause   string // "" for a genuine request
	}{
		{"nothing happened", sent(pretty, pretty), ""},
		{"header names in lower case", func() (http.Header, []byte) {
			lower := http.Header{}
			for name, values := range header(now, pretty) {
				lower[strings.ToLower(name)] = values
			}
			return lower, pretty
		}, ""},
		{"compacted", sent(bytes.TrimSpace(pretty), compact), "printed on one line"},
		{"compacted, line end lost", sent(pretty, compact), "lost its last line end"},
		{"indented", sent(compact, bytes.TrimSpace(pretty)), "indented in transit"},
		{"indented, line end added", sent(append(bytes.Clone(compact), '\n'), pretty), "indented"},
		{"newline lost", sent(append(bytes.Clone(compact), '\n'), compact), "last line end was lost"},
		{"newline added", sent(compact, append(bytes.Clone(compact), '\n')), "line end was added"},
		{"CRLF to LF", sent(bytes.ReplaceAll(pretty, []byte("\n"), []byte("\r\n")), pretty), "CRLF to LF"},
		{"LF to CRLF", sent(pretty, bytes.ReplaceAll(pretty, []byte("\n"), []byte("\r\n"))), "LF to CRLF"},
		{"BOM added", sent(pretty, append([]byte("\ufeff"), pretty...)), "byte order mark was added"},
		{"BOM lost", sent(append([]byte("\ufeff"), pretty...), pretty), "byte order mark was lost"},
		{"form decoded", sent(form, []byte(decoded)), "form was URL-decoded"},
		{"form encoded again", sent(form, []byte(url.QueryEscape(string(form)))), "URL-encoded once more"},
		{"a day late", func() (http.Header, []byte) { return header(now.Add(-24*time.Hour), pretty), pretty }, "late"},
		{"timestamp multiplied", withTimestamp(now, strconv.FormatInt(now.Unix(), 10)+"000"), "multiplied by 1000"},
		{"timestamp in milliseconds", withTimestamp(now, strconv.FormatInt(now.Unix(), 10)+"123"), "milliseconds"},
		{"timestamp of another request", withTimestamp(now.Add(-42*time.Second), strconv.FormatInt(now.Unix(), 10)), "swapped with another request"},
		{"dot as separator", func() (http.Header, []byte) {
			ts := strconv.FormatInt(now.Unix(), 10)
			h := http.Header{}
			h.Set(webhook.HeaderTimestamp, ts)
			h.Set(webhook.HeaderSignature, signer.SignMessage([]byte(ts+"."+string(pretty))))
			return h, pretty
		}, "dot between timestamp and body"},
		{"no timestamp signed", func() (http.Header, []byte) {
			h := header(now, pretty)
			h.Set(webhook.HeaderSignature, signer.SignMessage(pretty))
			return h, pretty
		}, "without the timestamp"},
		{"signature missing", func() (http.Header, []byte) {
			h := header(now, pretty)
			h.Del(webhook.HeaderSignature)
			return h, pretty
		}, "does not sign"},
		{"signature twice", func() (http.Header, []byte) {
			h := header(now, pretty)
			h.Add(webhook.HeaderSignature, "x")
			return h, pretty
		}, "repeated or joined"},
		{"signature joined", func() (http.Header, []byte) {
			h := header(now, pretty)
			h.Set(webhook.HeaderSignature, h.Get(webhook.HeaderSignature)+", x")
			return h, pretty
		}, "joined several"},
		{"signature without padding", func() (http.Header, []byte) {
			h := header(now, pretty)
			h.Set(webhook.HeaderSignature, strings.TrimRight(h.Get(webhook.HeaderSignature), "="))
			return h, pretty
		}, "padding"},
		{"Standard Webhooks on a Telnyx route", func() (http.Header, []byte) {
			h := http.Header{}
			signer.SignStandard(h, "msg_1", now, pretty)
			return h, pretty
		}, "standard-webhooks"},
		{"another key", func() (http.Header, []byte) {
			h := http.Header{}
			webhooktest.NewSigner().Sign(h, now, compact)
			return h, compact
		}, "another key, the body was changed in transit"},
		{"read before", withLength(pretty, len(pretty), nil), "the body was read before: 0 of the " + strconv.Itoa(len(pretty)) + " bytes"},
		{"read in part before", withLength(pretty, len(pretty), pretty[100:]), "the body was read before: " + strconv.Itoa(len(pretty)-100) + " of the"},
		{"read before, length not known", withLength(pretty, -1, nil), "perhaps it was read before"},
		{"longer than announced", withLength(pretty, len(pretty), append(bytes.Clone(pretty), "xyz"...)), "the body was changed: it has"},
		{"of the right length", withLength(pretty, len(pretty), bytes.ToUpper(pretty)), "fits no variant"},
		{"what a variant proves comes first", withLength(append(bytes.Clone(compact), '\n'), len(compact)+1, compact), "last line end was lost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &webhook.Verifier{Keys: signer.Keys()}
			h, body := tt.request()
			x := v.Explain(h, body)
			text := x.String()
			if x.Genuine != (tt.cause == "") {
				t.Errorf("genuine: %v\n%s", x.Genuine, text)
			}
			if tt.cause == "" {
				tt.cause = "the request is genuine"
			}
			if !strings.Contains(text, tt.cause) {
				t.Errorf("the explanation does not say %q:\n%s", tt.cause, text)
			}
			if strings.Contains(text, "+1555") {
				t.Errorf("the explanation repeats the body:\n%s", text)
			}
		})
	}
}

func TestExplainNamesTheKey(t *testing.T) {
	old, current := webhooktest.NewSigner(), webhooktest.NewSigner()
	ring, err := webhook.NewKeyRing(
		webhook.Key{Label: "old", Public: old.Public(), NotAfter: time.Now().Add(-time.Hour)},
		webhook.Key{Label: "current", Public: current.Public()})
	if err != nil {
		t.Fatal(err)
	}
	v := &webhook.Verifier{Keys: ring}
	body := []byte(`{}`)
	h := http.Header{}
	old.Sign(h, time.Now(), body)
	x := v.Explain(h, body)
	if x.Genuine || !strings.Contains(x.Cause, "another time") {
		t.Errorf("a key that has run out:\n%s", x)
	}
	current.Sign(h, time.Now(), body)
	if x := v.Explain(h, body); !x.Genuine || !strings.Contains(x.String(), "key current") {
		t.Errorf("the current key:\n%s", x)
	}
	if x := new(webhook.Verifier).Explain(h, body); x.Genuine || !strings.Contains(x.Cause, "no public key") {
		t.Errorf("no key:\n%s", x)
	}
}

// TestBodyReadBefore: the error of Check, and behind a real server what a deny
// handler hears, name a body that something else has read.
func TestBodyReadBefore(t *testing.T) {
	signer := webhooktest.NewSigner()
	body := webhooktest.Sample("message.received")
	for name, tt := range map[string]struct {
		before func(*http.Request)
		want   string // "" if it is accepted
	}{
		"untouched":              {func(*http.Request) {}, ""},
		"read":                   {func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, "the body was read before: 0 of the"},
		"read in part":           {func(r *http.Request) { _, _ = io.ReadFull(r.Body, make([]byte, 10)) }, "the body was read before: " + strconv.Itoa(len(body)-10) + " of the"},
		"taken away":             {func(r *http.Request) { r.Body = http.NoBody }, "the body was read before: 0 of the"},
		"printed again, shorter": {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")) }, "the body was read before: 2 of the"},
		"longer": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), strings.NewReader("xyz")))
		}, "the body was changed"},
		"changed": {func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(bytes.ToUpper(body))) }, "was the body changed in transit?"},
		"given back": {func(r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(b))
		}, ""},
		"read, of unknown length": {func(r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			r.ContentLength = -1
		}, "perhaps it was read before"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &webhook.Verifier{Keys: signer.Keys()}
			said, explained := make(chan string, 1), make(chan string, 1)
			v.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				err := webhook.Denial(r.Context())
				if !errors.Is(err, webhook.ErrBadSignature) {
					t.Errorf("%v is not a bad signature", err)
				}
				left, _ := io.ReadAll(r.Body)
				said <- err.Error()
				explained <- v.Explain(r.Header, left).String()
				webhook.Deny(w, r)
			}))
			verify := v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				said <- ""
				explained <- ""
			}))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tt.before(r)
				verify.ServeHTTP(w, r)
			}))
			defer server.Close()
			req, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			signer.Sign(req.Header, time.Now(), body)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if text := <-said; !strings.Contains(text, tt.want) || tt.want == "" && text != "" {
				t.Errorf("it says %q, want %q", text, tt.want)
			}
			if text := <-explained; strings.HasPrefix(tt.want, "the body was") && !strings.Contains(text, tt.want) {
				t.Errorf("Explain says %q, want %q", text, tt.want)
			}
			if strings.Contains(string(answer), "before") {
				t.Errorf("a stranger learns of it: %s", answer)
			}
		})
	}
}

func FuzzExplain(f *testing.F) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	ring, err := webhook.NewKeyRing(webhook.Key{Label: "k", Public: public})
	if err != nil {
		f.Fatal(err)
	}
	v := &webhook.Verifier{Keys: ring}
	ts, sig := webhook.Sign(private, time.Now(), []byte(`{"a":1}`))
	f.Add(ts, sig, []byte(`{"a":1}`))
	f.Add("1", "AAAA", []byte("a=b&c=%zz"))
	f.Fuzz(func(t *testing.T, timestamp, signature string, body []byte) {
		h := http.Header{webhook.HeaderTimestamp: {timestamp}, webhook.HeaderSignature: {signature}}
		x := v.Explain(h, body)
		_ = x.String()
		_, err := v.Verify(h, body)
		if x.Genuine != (err == nil) {
			t.Fatalf("Explain says genuine %v, Verify %v:\n%s", x.Genuine, err, x)
		}
	})
}
