package deliveryapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi/deliverytest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// records is a store of which only the reading half exists. It finds by id as
// the real one does and remembers the filter of the last list; filtering
// itself is the store's business and tested there.
type records struct {
	deliveries []store.Delivery
	total      int // of a list; 0 means as many as there are
	err        error
	filter     store.Filter
}

func (s *records) Delivery(_ context.Context, id string) (*store.Delivery, error) {
	for i, d := range s.deliveries {
		if strings.EqualFold(id, d.Event.ID) || strings.EqualFold(id, d.Event.DeliveryID) {
			return &s.deliveries[i], s.err
		}
	}
	return nil, errors.Join(s.err, store.ErrNotFound)
}

func (s *records) Deliveries(_ context.Context, f store.Filter) ([]store.Delivery, int, error) {
	s.filter = f
	total := max(s.total, len(s.deliveries))
	from := min(f.Offset, len(s.deliveries))
	return s.deliveries[from:min(from+f.Limit, len(s.deliveries))], total, s.err
}

func newAPI(t testing.TB, c Config) *API {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get sends one request with a token and returns the answer.
func get(t testing.TB, a *API, target string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	var err error
	if r.URL, err = r.URL.Parse(target); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer KEY0123")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

// failure checks that an answer is an error of Telnyx's shape and returns its
// elements.
func failure(t testing.TB, w *httptest.ResponseRecorder, status int) []apiError {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	var body struct{ Errors []apiError }
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if len(body.Errors) == 0 {
		t.Fatalf("no errors in %s", w.Body)
	}
	for _, e := range body.Errors {
		if e.Title == "" || e.Detail == "" || !strings.HasSuffix(e.Meta.URL, "/"+e.Code) {
			t.Errorf("incomplete error %+v", e)
		}
	}
	return body.Errors
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   string // in the error
	}{
		{"a store is all it needs", Config{Store: &records{}}, ""},
		{"a store is needed", Config{}, "no store"},
		{"a user id may be in upper case", Config{Store: &records{}, UserID: "0CCC7B54-4DF3-4BCA-A65A-3DA1ECC777F0"}, ""},
		{"a user id must be a UUID", Config{Store: &records{}, UserID: "me"}, `"me" is not a UUID`},
		{"a user id must be a plain UUID", Config{Store: &records{}, UserID: "{0ccc7b54-4df3-4bca-a65a-3da1ecc777f0}"}, "is not a UUID"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.config)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	for _, tt := range []struct {
		name, token, header string
		status              int
	}{
		{"any token is accepted when none is configured", "", "Bearer KEY0123", 200},
		{"the name of the scheme has no case", "", "bEARER KEY0123", 200},
		{"no header", "", "", 401},
		{"a scheme without a token", "", "Bearer", 401},
		{"a blank token", "", "Bearer   ", 401},
		{"another scheme", "", "Basic a2V5Og==", 401},
		{"a token without a scheme", "", "KEY0123", 401},

		{"the configured token", "s3cret", "Bearer s3cret", 200},
		{"the configured token after two spaces", "s3cret", "Bearer  s3cret", 200},
		{"another token", "s3cret", "Bearer KEY0123", 401},
		{"a prefix of the configured token", "s3cret", "Bearer s3cre", 401},
		{"the configured token and more", "s3cret", "Bearer s3cret,s3cret", 401},
		{"the configured token in another case", "s3cret", "Bearer S3CRET", 401},
		{"no header where a token is configured", "s3cret", "", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			a := newAPI(t, Config{Store: &records{}, Token: tt.token, Log: slog.New(slog.NewTextHandler(&log, nil))})
			r := httptest.NewRequest("GET", "/v2/webhook_deliveries", nil)
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)
			if tt.status == 200 {
				if w.Code != 200 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				return
			}
			if e := failure(t, w, 401); e[0].Code != "10009" {
				t.Errorf("code %s", e[0].Code)
			}
			if w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			for _, secret := range []string{"s3cret", "KEY0123"} {
				if strings.Contains(log.String()+w.Body.String(), secret) {
					t.Errorf("a token is in the log or the answer: %s %s", log.String(), w.Body)
				}
			}
		})
	}
}

func TestUnauthenticatedCallersLearnNothing(t *testing.T) {
	a := newAPI(t, Config{Store: &records{}, Token: "s3cret"})
	for _, target := range []string{"/v2/webhook_deliveries/x", "/v2/messages", "/v2/webhook_deliveries?page[size]=0"} {
		failure(t, get(t, a, target), 401)
	}
}

func TestPaths(t *testing.T) {
	d := deliverytest.Documented()
	d.Event.ID = "a/b c"
	a := newAPI(t, Config{Store: &records{deliveries: []store.Delivery{*d}}})
	for _, tt := range []struct {
		name, target string
		status       int
		detail       string
	}{
		{"the list", "/v2/webhook_deliveries", 200, ""},
		{"a record by delivery id", "/v2/webhook_deliveries/f5586561-8ff0-4291-a0ac-84fe544797bd", 200, ""},
		{"a record by delivery id in upper case", "/v2/webhook_deliveries/F5586561-8FF0-4291-A0AC-84FE544797BD", 200, ""},
		{"an id with escapes", "/v2/webhook_deliveries/a%2Fb%20c", 200, ""},
		{"an unknown id", "/v2/webhook_deliveries/nope", 404, `id "nope"`},
		{"an empty id", "/v2/webhook_deliveries/", 404, "nothing at"},
		{"another resource", "/v2/webhook_deliveries2", 404, "nothing at"},
		{"a resource that only Telnyx has", "/v2/messages", 404, "go to Telnyx"},
		{"a base URL without the version", "/webhook_deliveries", 404, "base URL ending in /v2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := get(t, a, tt.target)
			if tt.status == 200 {
				if w.Code != 200 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				return
			}
			if e := failure(t, w, tt.status); e[0].Code != "10005" || !strings.Contains(e[0].Detail, tt.detail) {
				t.Errorf("got %+v, want %q in the detail", e[0], tt.detail)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	a := newAPI(t, Config{Store: &records{deliveries: []store.Delivery{*deliverytest.Documented()}}})
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	const target = "/v2/webhook_deliveries/C9C0797E-901D-4349-A33C-C2C8F31A92C2"
	for _, tt := range []struct {
		method string
		status int
	}{
		{"GET", 200}, {"HEAD", 200}, {"POST", 405}, {"PUT", 405}, {"DELETE", 405}, {"OPTIONS", 405}, {"patch", 405},
	} {
		t.Run(tt.method, func(t *testing.T) {
			r, _ := http.NewRequest(tt.method, server.URL+target, nil)
			r.Header.Set("Authorization", "Bearer x")
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if tt.method == "HEAD" && resp.ContentLength < 500 {
				t.Errorf("HEAD says that the record has %d bytes", resp.ContentLength)
			}
			if tt.status == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", resp.Header.Get("Allow"))
			}
		})
	}
}

func TestUnavailableStore(t *testing.T) {
	for _, target := range []string{"/v2/webhook_deliveries", "/v2/webhook_deliveries/C9C0797E-901D-4349-A33C-C2C8F31A92C2"} {
		var log bytes.Buffer
		broken := &records{deliveries: []store.Delivery{*deliverytest.Documented()}, err: store.ErrClosed}
		a := newAPI(t, Config{Store: broken, Log: slog.New(slog.NewTextHandler(&log, nil))})
		w := get(t, a, target)
		if e := failure(t, w, 503); e[0].Code != "10037" {
			t.Errorf("code %s", e[0].Code)
		}
		if w.Header().Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
		if !strings.Contains(log.String(), "store: closed") || strings.Contains(log.String(), "KEY0123") {
			t.Errorf("logged %q", log.String())
		}
		if strings.Contains(w.Body.String(), "closed") {
			t.Errorf("the cause is shown to the client: %s", w.Body)
		}
	}
}

func TestUnfinishedDeliveriesSayHowFarTheyAre(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	event := delivery.Event{DeliveryID: "f5586561-8ff0-4291-a0ac-84fe544797bd", ID: "E1", Type: "message.sent", ReceivedAt: at}
	for _, tt := range []struct {
		name string
		jobs []delivery.Job
		want []string
	}{
		{"no target wanted the event", nil,
			[]string{"E1 (message.sent) was received at 2026-03-01T12:00:00.000Z", "no target wanted it"}},
		{"nothing was attempted yet", []delivery.Job{{Target: "forward:default", State: delivery.Pending, NextAt: at}},
			[]string{"not finished: forward:default has not been attempted yet, due at 2026-03-01T12:00:00.000Z."}},
		{"one target is done and the other is not", []delivery.Job{
			{Target: "plugin:archive", State: delivery.Done, Attempts: 1},
			{Target: "plugin:crm", State: delivery.Dead, Attempts: 8},
			{Target: "forward:default", State: delivery.Pending, Attempts: 2, NextAt: at.Add(time.Minute)}},
			[]string{"plugin:archive is done after 1 attempt;", "plugin:crm was given up after 8 attempts;",
				"forward:default has failed 2 attempts so far, the next one is due at 2026-03-01T12:01:00.000Z."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t, Config{Store: &records{deliveries: []store.Delivery{{Event: &event, Jobs: tt.jobs}}}})
			e := failure(t, get(t, a, "/v2/webhook_deliveries/e1"), 404)
			for _, want := range tt.want {
				if !strings.Contains(e[0].Detail, want) {
					t.Errorf("detail %q lacks %q", e[0].Detail, want)
				}
			}
		})
	}
}

func TestList(t *testing.T) {
	deliveries := slices.Repeat([]store.Delivery{*deliverytest.Documented()}, 5)
	s := &records{deliveries: deliveries}
	a := newAPI(t, Config{Store: s})
	for _, tt := range []struct {
		name, query string
		items       int
		meta        pageMeta
	}{
		{"the first page by default", "", 5, pageMeta{1, 20, 1, 5}},
		{"a full page", "?page[size]=2", 2, pageMeta{1, 2, 3, 5}},
		{"the last page", "?page[size]=2&page[number]=3", 1, pageMeta{3, 2, 3, 5}},
		{"a page beyond the end", "?page[size]=2&page[number]=4", 0, pageMeta{4, 2, 3, 5}},
		{"a page far beyond the end", "?page[size]=250&page[number]=9223372036854775807", 0, pageMeta{9223372036854775807, 250, 1, 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := get(t, a, "/v2/webhook_deliveries"+tt.query)
			var got struct {
				Data []json.RawMessage
				Meta pageMeta
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
			}
			if got.Data == nil || len(got.Data) != tt.items || got.Meta != tt.meta {
				t.Errorf("%d items, meta %+v; want %d, %+v", len(got.Data), got.Meta, tt.items, tt.meta)
			}
		})
	}

	t.Run("no records are an empty list with all of meta", func(t *testing.T) {
		w := get(t, newAPI(t, Config{Store: &records{}}), "/v2/webhook_deliveries")
		const want = `{"data":[],"meta":{"page_number":1,"page_size":20,"total_pages":0,"total_results":0}}` + "\n"
		if w.Body.String() != want {
			t.Errorf("got %s", w.Body)
		}
	})
}
