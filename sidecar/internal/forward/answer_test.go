package forward_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
)

const (
	ourKey  = "public key of this sidecar?"
	theirs  = "Telnyx's key?"
	unasked = "does it ask for a signature?"
)

// TestAnswersAreQuoted: the record says what the application said, and guesses
// at its key only if it spoke of a signature, or said nothing.
func TestAnswersAreQuoted(t *testing.T) {
	const html = "text/html; charset=utf-8"
	for _, tt := range []struct {
		name              string
		status            int
		contentType, body string
		sign              forward.Sign
		want              string // in the error
		hint              string
	}{
		{"Django's guard", 403, html, "<!DOCTYPE html>\n<html lang=\"en\"><head><style>\nhtml * { padding:0; }</style><title>403 Forbidden</title></head>\n<body><h1>Forbidden <span>(403)</span></h1><p>CSRF verification failed. Request aborted.</p></body></html>",
			0, "“403 Forbidden Forbidden (403) CSRF verification failed. Request aborted.”", ""},
		{"SvelteKit's guard", 403, "text/plain", "Cross-site POST form submissions are forbidden", 0, "“Cross-site POST form submissions are forbidden”", ""},
		{"a form that the SDK cannot parse", 401, "text/plain", `Unexpected token 'C', "CallSid=CA"... is not valid JSON`, 0, `“Unexpected token 'C', "CallSid=CA"... is not valid JSON”`, ""},
		{"a bad signature, as most answer it", 400, "text/plain", "Invalid signature", 0, "“Invalid signature”", ourKey},
		{"a bad signature in JSON", 401, "application/json", `{"error":"webhook verification failed"}`, 0, `“{"error":"webhook verification failed"}”`, ourKey},
		{"no public key", 403, "text/plain", "no public_key configured", 0, "public_key", ourKey},
		{"nothing", 401, "", "", 0, "401 Unauthorized: does", ourKey},
		{"nothing, with 400", 400, "", "", 0, "400 Bad Request: does", ourKey},
		{"the status again", 403, "text/plain", "Forbidden\n", 0, "403 Forbidden: does", ourKey},
		{"the status in JSON", 401, "application/json", `{"statusCode":401,"message":"Unauthorized"}`, 0, "statusCode", ourKey},
		{"something else", 400, "text/plain", "no such tenant", 0, "“no such tenant”", ""},
		{"a signature, passed through", 401, "text/plain", "bad signature", forward.Passthrough, "", theirs},
		{"a signature where there is none", 401, "", "", forward.Unsigned, "", unasked},
		{"a crash about signatures is not about ours", 500, "text/plain", "TypeError: signature", 0, "“TypeError: signature”", ""},
		{"a page that is not there", 404, html, "<p>Not&nbsp;here</p>", 0, "“Not here”", ""},
		{"control characters", 422, "text/plain", "a\x1b[31mred\x1b[0m\u202e\u009b b\x00\xff\n\n c", 0, "“a[31mred[0m b c”", ""},
		{"no more than a hundred", 500, "text/plain", strings.Repeat("é ", 90), 0, "“" + strings.TrimSpace(strings.Repeat("é ", 50)) + "…”", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := app(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			f := newForward(t, forward.Config{URL: url, Sign: tt.sign})
			a := deliver(t, f, newTask())
			passed, _ := f.Pass(t.Context(), newTask().Event)
			for _, text := range []string{a.Error, passed.Error} {
				if !strings.Contains(text, tt.want) || !strings.Contains(text, tt.hint) {
					t.Errorf("error %q, want %q and %q in it", text, tt.want, tt.hint)
				}
				for _, hint := range []string{ourKey, theirs, unasked} {
					if hint != tt.hint && strings.Contains(text, hint) {
						t.Errorf("error %q guesses %q", text, hint)
					}
				}
			}
		})
	}
}

func TestPackedAnswersSayNothing(t *testing.T) {
	url, _ := app(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(500)
		io.WriteString(w, "\x1f\x8bpacked")
	})
	if a := deliver(t, newForward(t, forward.Config{URL: url}), newTask()); a.Error != "the application answered 500 Internal Server Error" {
		t.Errorf("error %q", a.Error)
	}
}

// TestRedirectNamesItsLocation: whole, so that it can be configured, and
// without what may be a secret.
func TestRedirectNamesItsLocation(t *testing.T) {
	for location, want := range map[string]string{
		"/webhooks/":                   "{URL}/webhooks/",
		"/login?next=/hooks&token=abc": "{URL}/login?***",
		"https://u:pw@other.example/x": "https://other.example/x",
		"http://[odd":                  "http://[odd",
		"":                             "configure the final URL",
	} {
		url, _ := app(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusPermanentRedirect)
		})
		a := deliver(t, newForward(t, forward.Config{URL: url + "/hooks?token=abc"}), newTask())
		if !strings.HasSuffix(a.Error, strings.Replace(want, "{URL}", url, 1)) || strings.Contains(a.Error, "abc") || strings.Contains(a.Error, "pw") {
			t.Errorf("%q: %s", location, a.Error)
		}
	}
}

// TestPassSaysWhoGaveUp: a sender that hangs up is not a sidecar that stops.
func TestPassSaysWhoGaveUp(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{{delivery.ErrSenderGone, "the sender hung up"}, {context.Canceled, "the sidecar is stopping"}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
			cancel(tt.cause)
			<-r.Context().Done()
		})
		a, answer := newForward(t, forward.Config{URL: url}).Pass(ctx, newTask().Event)
		if answer != nil || a.Outcome != delivery.OutcomeFailed || !strings.Contains(a.Error, tt.want) {
			t.Errorf("%v: %+v", tt.cause, a)
		}
	}
}
