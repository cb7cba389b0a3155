package appcheck

import (
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// direct hands requests to a handler without a network, so that time can be a fake.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	answer := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		answer <- w.Result()
	}()
	select {
	case res := <-answer:
		return res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// TestTime: an answer may be late, or never come.
func TestTime(t *testing.T) {
	check := func(t *testing.T, wait func(*http.Request, []byte) time.Duration) *Report {
		a := right()
		handle := a.handle
		a.handle = func(w http.ResponseWriter, r *http.Request, body []byte) {
			select {
			case <-time.After(wait(r, body)):
				handle(w, r, body)
			case <-r.Context().Done():
			}
		}
		report, err := Run(t.Context(), Config{URL: "http://app.example/webhooks", Key: key, EventType: "call.hangup", Sender: direct{a}})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	for _, tt := range []struct {
		name string
		wait func(*http.Request, []byte) time.Duration
		want string // code: checks: got
	}{
		{"fast enough", func(*http.Request, []byte) time.Duration { return 2 * time.Second }, ""},
		{"slow for long ones", func(r *http.Request, body []byte) time.Duration {
			return time.Duration(len(body)) * 25 * time.Microsecond
		},
			"slow: 150 kB: 200 OK after 3.8 s"},
		{"never for forms", func(r *http.Request, _ []byte) time.Duration {
			if isForm(r) {
				return time.Hour
			}
			return 0
		}, "no-answer: form: no answer within 30s"},
		{"never", func(*http.Request, []byte) time.Duration { return time.Hour }, "no-answer: small: no answer within 30s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got string
				for _, f := range check(t, tt.wait).Findings {
					got += f.Code + ": " + strings.Join(f.Checks, ", ") + ": " + f.Got
				}
				if got != tt.want {
					t.Errorf("found %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestPatience: an app that does not answer is not waited for again and again.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := right()
		a.refuse = func(http.ResponseWriter, error) { time.Sleep(time.Hour) }
		start := time.Now()
		report, err := Run(t.Context(), Config{URL: "http://app.example/webhooks", Key: key, EventType: "call.hangup", Sender: direct{a}})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 100*time.Second {
			t.Errorf("it took %s", took)
		}
		if f := report.Findings; len(f) != 1 || f[0].Code != codeNoAnswer || len(f[0].Checks) != maxTimeouts {
			t.Errorf("found %+v", f)
		}
		time.Sleep(time.Hour) // until the handlers have ended
	})
}

// TestEnds: an app that ends takes nothing after that, which is no mistake of its own.
func TestEnds(t *testing.T) {
	for at, lingers := range map[string]int{"20 kB": 0, "form": 0, "changed": 0, "another key": 1, "broken": 0} {
		t.Run(at, func(t *testing.T) {
			all, err := newProbes("message.finalized")
			if err != nil {
				t.Fatal(err)
			}
			var server *httptest.Server
			a, n := right(), 0
			a.before = func(http.ResponseWriter, *http.Request) bool {
				if slices.Concat([]*probe{all.small}, all.genuine, all.forged, all.last)[n].name == at {
					if lingers--; lingers < 0 {
						server.Listener.Close()
					}
					panic(http.ErrAbortHandler)
				}
				n++
				return false
			}
			server = httptest.NewServer(a)
			defer server.Close()
			report, err := Run(t.Context(), Config{URL: server.URL, Key: key, EventType: "message.finalized"})
			if err != nil {
				t.Fatal(err)
			}
			if f := report.Findings; len(f) != 1 || f[0].Code != codeCrash || f[0].Checks[0] != at {
				t.Errorf("found %+v", f)
			}
		})
	}
}
