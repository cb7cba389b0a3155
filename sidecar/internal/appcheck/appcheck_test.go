package appcheck

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// app is a handler with a mistake, made of a right one.
type app struct {
	read      func(*http.Request) []byte // the bytes that are verified
	verify    func(http.Header, []byte) error
	refuse    func(http.ResponseWriter, error)
	handle    func(http.ResponseWriter, *http.Request, []byte)
	before    func(http.ResponseWriter, *http.Request) bool // answers by itself
	poweredBy string
}

func (a app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.poweredBy != "" {
		w.Header().Set("X-Powered-By", a.poweredBy)
	}
	if a.before != nil && a.before(w, r) {
		return
	}
	body := a.read(r)
	if err := a.verify(r.Header, body); err != nil {
		a.refuse(w, err)
		return
	}
	a.handle(w, r, body)
}

func isForm(r *http.Request) bool { return r.Header.Get("Content-Type") == typeForm }

// right returns an app without a mistake.
func right() app {
	keys, err := webhook.ParseKeys(base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)))
	if err != nil {
		panic(err)
	}
	verifier := &webhook.Verifier{Keys: keys}
	return app{
		read: func(r *http.Request) []byte {
			body, _ := io.ReadAll(r.Body)
			return body
		},
		verify: func(h http.Header, body []byte) error {
			_, err := verifier.Verify(h, body)
			return err
		},
		refuse: func(w http.ResponseWriter, err error) { http.Error(w, err.Error(), http.StatusUnauthorized) },
		handle: func(w http.ResponseWriter, r *http.Request, body []byte) {
			if !isForm(r) && !json.Valid(body) {
				http.Error(w, "handler failed", http.StatusInternalServerError)
			}
		},
	}
}

// rewritten returns a body as an app has it that parses JSON and writes it again.
func rewritten(r *http.Request, write func([]byte) []byte) []byte {
	body, _ := io.ReadAll(r.Body)
	var parsed any
	if json.Unmarshal(body, &parsed) != nil {
		return nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(parsed); err != nil {
		panic(err)
	}
	return write(bytes.TrimSpace(out.Bytes()))
}

// TestFindings has one app for each mistake.
func TestFindings(t *testing.T) {
	answer := func(status int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, text, status)
			return true
		}
	}
	tooLarge := func(limit int64) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.ContentLength > limit {
				http.Error(w, "no", http.StatusRequestEntityTooLarge)
			}
			return r.ContentLength > limit
		}
	}
	forForms := func(status int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { return isForm(r) && answer(status, text)(w, r) }
	}
	seen := make(map[string]bool)
	for _, tt := range []struct {
		name    string
		mistake func(*app)
		want    []string // findings
		checks  string   // of the first, if they matter
		says    string   // in the first: got, why or fix
	}{
		{"nothing wrong", func(*app) {}, nil, "", ""},
		{"redirects", func(a *app) {
			a.before = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "/webhooks/", http.StatusMovedPermanently)
				return true
			}
		}, []string{codeRedirect}, "small", "/webhooks/, or take"},
		{"another path", func(a *app) { a.before = answer(404, "Cannot POST /webhooks") }, []string{codePath}, "small", "404 Not Found: Cannot POST"},
		{"host", func(a *app) { a.before = answer(400, "DisallowedHost at /webhooks; Django") }, []string{codeHost}, "small", "ALLOWED_HOSTS"},
		{"CSRF", func(a *app) { a.before = answer(403, "CSRF verification failed. Request aborted.") }, []string{codeCSRF}, "small", "@csrf_exempt"},
		{"CSRF of Laravel", func(a *app) { a.before = answer(419, "Page Expired") }, []string{codeCSRF}, "small", "validateCsrfTokens"},
		{"CSRF of forms", func(a *app) { a.before = forForms(403, "Cross-site POST form submissions are forbidden") }, []string{codeCSRF}, "form", "HOOKSWITCH_FORWARD_HEADERS=Origin:http://127.0.0.1:"},
		{"Headers", func(a *app) {
			a.verify = func(http.Header, []byte) error {
				return errors.New("Missing required header: Telnyx-Signature-Ed25519")
			}
		}, []string{codeHeaders}, "small", "Object.fromEntries"},
		{"Headers, thrown", func(a *app) {
			a.before = answer(500, "Error: Missing required header: Telnyx-Signature-Ed25519")
		}, []string{codeHeaders}, "small", "Object.fromEntries"},
		{"a key with a line feed", func(a *app) { a.before = answer(500, "Invalid key format: eu2z…") }, []string{codeKeyFormat}, "small", "trim()"},
		{"another key", func(a *app) {
			a.verify = func(http.Header, []byte) error { return errors.New("nope") }
		}, []string{codeRefused}, "small", "TELNYX_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))},
		{"fails", func(a *app) {
			a.handle = func(w http.ResponseWriter, _ *http.Request, _ []byte) { http.Error(w, "no table", 500) }
		}, []string{codeFails}, "small", "--event"},
		{"JSON.stringify", func(a *app) {
			a.poweredBy = "Express"
			a.read = func(r *http.Request) []byte { return rewritten(r, bytes.Clone) }
		}, []string{codeReserialised}, "small", "express.raw"},
		{"json_encode", func(a *app) {
			a.poweredBy = "PHP/8.2"
			a.read = func(r *http.Request) []byte {
				return rewritten(r, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("/"), []byte(`\/`)) })
			}
		}, []string{codeReserialised}, "small", "php://input"},
		{"json.dumps", func(a *app) {
			a.read = func(r *http.Request) []byte {
				return rewritten(r, func(b []byte) []byte { return spaced(b, ", ", ": ") })
			}
		}, []string{codeReserialised}, "small", "json.dumps"},
		{"JSON.stringify with an indent", func(a *app) {
			a.read = func(r *http.Request) []byte {
				if isForm(r) {
					return right().read(r)
				}
				return rewritten(r, func(b []byte) []byte {
					var out bytes.Buffer
					_ = json.Indent(&out, b, "", "  ")
					return append(out.Bytes(), '\n')
				})
			}
		}, []string{codeReserialised}, "white space, keys twice", "as it arrived"},
		{"a limit", func(a *app) { a.before = tooLarge(100_000) }, []string{codeLimit}, "150 kB", "413"},
		{"a low limit", func(a *app) { a.before = tooLarge(10_000) }, []string{codeLimit}, "20 kB, 150 kB", "413"},
		{"a limit of another kind", func(a *app) {
			a.before = func(w http.ResponseWriter, r *http.Request) bool {
				return r.ContentLength > 100_000 && answer(500, "RequestDataTooBig")(w, r)
			}
		}, []string{codeLimit}, "150 kB", ""},
		{"the first chunk", func(a *app) {
			a.read = func(r *http.Request) []byte {
				body, _ := io.ReadAll(io.LimitReader(r.Body, 16<<10))
				return body
			}
		}, []string{codeChunks}, "20 kB, 150 kB", "to its end"},
		{"Latin-1", func(a *app) {
			a.read = func(r *http.Request) []byte {
				var out []rune
				for _, b := range right().read(r) {
					out = append(out, rune(b))
				}
				return []byte(string(out))
			}
		}, []string{codeCharset}, "not ASCII", "UTF-8"},
		{"no forms", func(a *app) { a.before = forForms(415, `{"code":"FST_ERR_CTP_INVALID_MEDIA_TYPE"}`) }, []string{codeForm}, "form", "addContentTypeParser"},
		{"forms as JSON", func(a *app) {
			a.handle = func(w http.ResponseWriter, r *http.Request, body []byte) {
				if !json.Valid(body) {
					http.Error(w, "Unexpected token 'C'", 500)
				}
			}
		}, []string{codeForm}, "form", "Unexpected token"},
		{"unknown types", func(a *app) {
			a.handle = func(w http.ResponseWriter, r *http.Request, body []byte) {
				if right().handle(w, r, body); bytes.Contains(body, []byte("hookswitch.unknown")) {
					w.WriteHeader(404)
				}
			}
		}, []string{codeUnknownType}, "unknown type", "200"},
		{"duplicates", func(a *app) {
			had := make(map[string]bool)
			a.handle = func(w http.ResponseWriter, r *http.Request, body []byte) {
				if had[string(body)] {
					http.Error(w, "had it", http.StatusConflict)
					return
				}
				had[string(body)] = true
				right().handle(w, r, body)
			}
		}, []string{codeAgain}, "again", "409 Conflict: had it"},
		{"no verification", func(a *app) { a.verify = func(http.Header, []byte) error { return nil } },
			[]string{codeUnverified}, "changed, another key, no signature, no timestamp, nonsense, old, future", "before anything else"},
		{"a way around", func(a *app) {
			verify := a.verify
			a.verify = func(h http.Header, body []byte) error {
				if h.Get(webhook.HeaderSignature) == "" {
					return nil
				}
				return verify(h, body)
			}
		}, []string{codeForgery}, "no signature", "401"},
		{"no age", func(a *app) {
			a.verify = func(h http.Header, body []byte) error {
				signature, _ := base64.StdEncoding.DecodeString(h.Get(webhook.HeaderSignature))
				if !ed25519.Verify(key.Public().(ed25519.PublicKey), append([]byte(h.Get(webhook.HeaderTimestamp)+"|"), body...), signature) {
					return errors.New("no")
				}
				return nil
			}
		}, []string{codeAge}, "old, future", "300 s"},
		{"refuses with 500", func(a *app) {
			a.refuse = func(w http.ResponseWriter, _ error) { w.WriteHeader(500) }
		}, []string{codeBadly}, "changed, another key, no signature, no timestamp, nonsense, old, future", "401"},
		{"200 on failure", func(a *app) {
			a.poweredBy = "PHP/8.2.36"
			a.handle = func(w http.ResponseWriter, r *http.Request, body []byte) {
				if !isForm(r) && !json.Valid(body) {
					fmt.Fprint(w, "<br />\n<b>Fatal error</b>:  Uncaught JsonException: Syntax error")
				}
			}
		}, []string{codeDone}, "broken", "http_response_code(500)"},
		{"a page", func(a *app) {
			a.before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.WriteHeader(404)
				fmt.Fprint(w, "<!DOCTYPE html><style>pre { color: red }</style><title>Error</title><body><pre>Can&#39;t <b>POST</b></pre>")
				return true
			}
		}, []string{codePath}, "small", "404 Not Found: Error Can't POST"},
		{"no answer for small", func(a *app) {
			a.before = func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
		}, []string{codeClosed}, "small", "own log"},
		{"ends on what it cannot read", func(a *app) {
			a.handle = func(_ http.ResponseWriter, r *http.Request, body []byte) {
				if !isForm(r) && !json.Valid(body) {
					panic(http.ErrAbortHandler)
				}
			}
		}, []string{codeCrash}, "broken", "without an answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := right()
			tt.mistake(&a)
			server := httptest.NewServer(a)
			defer server.Close()
			report, err := Run(t.Context(), Config{URL: server.URL + "/webhooks", Key: key, EventType: "message.finalized"})
			if err != nil {
				t.Fatal(err)
			}
			all, err := newProbes("message.finalized")
			if n := len(report.Checks); err != nil || n < 1+len(all.genuine)+len(all.forged)+len(all.last) {
				t.Errorf("%v, %d checks: some are not mentioned", err, n)
			}
			var got []string
			for _, f := range report.Findings {
				got = append(got, f.Code)
				seen[f.Code] = true
				if f.Problem == "" || f.Sent == "" || f.Got == "" || f.Why == "" || f.Fix == "" || strings.Contains(f.Fix+f.Why, "$O") || strings.Contains(f.Fix+f.Why, "$K") {
					t.Errorf("incomplete: %+v", f)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Fatalf("found %q, want %q\n%+v", got, tt.want, report.Checks)
			}
			if want := len(tt.want) == 0 || tt.want[0] == codeBadly; report.OK != want {
				t.Errorf("OK is %v", report.OK)
			}
			if len(tt.want) > 0 {
				f := report.Findings[0]
				if all := f.Got + "\n" + f.Why + "\n" + f.Fix; !strings.Contains(all, tt.says) {
					t.Errorf("no %q in:\n%s", tt.says, all)
				}
				if names := strings.Join(f.Checks, ", "); tt.checks != "" && names != tt.checks {
					t.Errorf("found in %q, want %q", names, tt.checks)
				}
			}
		})
	}
	for _, code := range codes {
		if !seen[code] && code != codeSlow && code != codeNoAnswer { // which TestTime has
			t.Errorf("no app has the mistake %s", code)
		}
	}
}

// TestCodesAreExplained: the page of the recipes has every code of a finding.
func TestCodesAreExplained(t *testing.T) {
	page, err := os.ReadFile("../../../examples/recipes/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		if !bytes.Contains(page, []byte("`"+code+"`")) {
			t.Errorf("examples/recipes/README.md does not explain %s", code)
		}
		if words[code].problem == "" {
			t.Errorf("there are no words for %s", code)
		}
	}
	if len(words) != len(codes) {
		t.Errorf("%d findings have words, and %d an order", len(words), len(codes))
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed := httptest.NewServer(right())
	closed.Close()
	_, err = Run(t.Context(), Config{URL: strings.Replace(closed.URL, "://", "://user:secret@", 1), Key: key, EventType: "message.finalized"})
	nobody, ok := errors.AsType[*Unreachable](err)
	if !ok || strings.Contains(err.Error(), "secret") || !strings.HasPrefix(nobody.URL, "http://user:") {
		t.Errorf("got %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{URL: closed.URL, Key: key, EventType: "message.finalized"}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	for _, name := range []string{"nonsense", formType, "link_clicked"} {
		if _, err := Run(t.Context(), Config{URL: closed.URL, Key: key, EventType: name}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRequests: what is sent is what it says it is.
func TestRequests(t *testing.T) {
	all, err := newProbes("message.finalized")
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"20 kB": 20_000, "150 kB": 150_000}
	verify := right().verify
	ids := make(map[string]bool)
	for _, p := range slices.Concat([]*probe{all.small}, all.rewritten, all.genuine, all.last) {
		h := make(http.Header)
		timestamp, signature := p.sign(key, time.Now())
		h.Set(webhook.HeaderTimestamp, timestamp)
		h.Set(webhook.HeaderSignature, signature)
		if err := verify(h, p.body); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		e := webhook.Decode(p.contentType, p.body)
		whole := p.name != "broken" && p.name != "keys twice" // which package webhook does not choose between
		if whole && p.name != "form" && (e.ID == "" || e.Type == "" || ids[e.ID] != (p.name == "again")) {
			t.Errorf("%s: event %q %q", p.name, e.ID, e.Type)
		}
		ids[e.ID] = true
		if n := sizes[p.name]; len(p.body) < n || len(p.body) > n+4000 {
			t.Errorf("%s has %d bytes", p.name, len(p.body))
		}
	}
	for _, p := range all.forged {
		h := make(http.Header)
		timestamp, signature := p.sign(key, time.Now())
		h.Set(webhook.HeaderTimestamp, timestamp)
		h.Set(webhook.HeaderSignature, signature)
		if verify(h, p.body) == nil {
			t.Errorf("%s is genuine", p.name)
		}
	}
}

// TestPassword: that of a URL is sent, as a sidecar does, and not shown; and so are
// the headers that are configured.
func TestPassword(t *testing.T) {
	a := right()
	a.before = func(w http.ResponseWriter, r *http.Request) bool {
		name, password, _ := r.BasicAuth()
		bad := name != "app" || password != "secret" || r.Header.Get("X-Stage") != "test" || r.UserAgent() != "doctor/1"
		if bad {
			w.WriteHeader(403)
		}
		return bad
	}
	server := httptest.NewServer(a)
	defer server.Close()
	report, err := Run(t.Context(), Config{
		URL: strings.Replace(server.URL, "://", "://app:secret@", 1), Key: key, EventType: "message.finalized",
		Header: http.Header{"X-Stage": {"test"}}, UserAgent: "doctor/1",
	})
	if err != nil || !report.OK || len(report.Findings) > 0 {
		t.Fatalf("%v %+v", err, report)
	}
	if text, err := json.Marshal(report); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("%v %s", err, text)
	}
}
