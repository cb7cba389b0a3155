package official

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// standIn answers for Telnyx's API: it keeps records by path, and remembers what was
// changed.
type standIn struct {
	mu      sync.Mutex
	lists   map[string][]map[string]any // guarded by mu: by path
	changes []string                    // guarded by mu: method, path, body
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer KEY_of_a_test" {
		http.Error(w, `{"errors":[{"code":"10009","title":"Authentication failed"}]}`, http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json") // else the client takes it for a text
	dir, id := filepath.Split(r.URL.Path)
	list, whole := s.lists[r.URL.Path]
	var body map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, _ := json.Marshal(body) // of what was JSON: cannot fail
		s.changes = append(s.changes, fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, text))
	}
	answer := map[string]any{}
	switch {
	case r.Method == http.MethodGet && whole: // a page for each record
		page := 1
		_, _ = fmt.Sscan(r.URL.Query().Get("page[number]"), &page)
		answer["data"] = list[min(page-1, len(list)):min(page, len(list))]
		answer["meta"] = map[string]any{"page_number": page, "page_size": 1, "total_pages": len(list), "total_results": len(list)}
	case r.Method == http.MethodPost && whole:
		body["id"] = fmt.Sprintf("made-%d", len(s.changes))
		s.lists[r.URL.Path] = append(list, body)
		answer["data"] = body
	default:
		list = s.lists[strings.TrimSuffix(dir, "/")]
		i := slices.IndexFunc(list, func(m map[string]any) bool { return m["id"] == id })
		if i < 0 {
			w.WriteHeader(http.StatusNotFound)
			answer["errors"] = []any{map[string]any{"code": "10005", "title": "Resource not found"}}
			break
		}
		for name, value := range body {
			list[i][name] = value
		}
		answer["data"] = list[i]
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that is gone fails the test itself
}

func newStandIn(t *testing.T) (*standIn, string) {
	record := func(pairs ...string) map[string]any {
		m := make(map[string]any)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	condition := func(id, name string, channels ...string) map[string]any {
		m := record("id", id, "name", name)
		m["supported_channels"] = channels
		return m
	}
	s := &standIn{lists: map[string][]map[string]any{
		"/v2/messaging_profiles":        {record("id", "m1", "name", "support")},
		"/v2/call_control_applications": {record("id", "c1", "application_name", "ivr")},
		"/v2/texml_applications":        {record("id", "t1", "friendly_name", "menu", "voice_method", "get")},
		"/v2/fax_applications":          {record("id", "f1", "application_name", "fax")},
		"/v2/notification_event_conditions": {condition("e1", "Port In Notifications", "email", "webhook"),
			condition("e2", "Number Order Status", "webhook"), condition("e3", "Low balance", "email")},
		"/v2/notification_profiles": {record("id", "p0", "name", "other")},
		"/v2/notification_channels": {},
		"/v2/notification_settings": {},
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL + "/v2"
}

// TestClientPoints runs examples/telnyx/point.mjs, which tells Telnyx where to send
// webhooks, against a stand-in for its API: the client's calls exist and do what the
// page says.
func TestClientPoints(t *testing.T) {
	program, err := os.ReadFile("../../../examples/telnyx/point.mjs")
	if err != nil {
		t.Fatal(err)
	}
	const hook = "https://hooks.example.com/webhooks"
	run := func(t *testing.T, url string, args ...string) (string, error) {
		cmd := Command(t, []string{"TELNYX_API_KEY=KEY_of_a_test", "TELNYX_BASE_URL=" + url}, "point.mjs", args...)
		if err := os.WriteFile(cmd.Args[1], program, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, tt := range []struct {
		way, id, says string
		changes       []string
	}{
		{"messaging", "m1", "messaging profile support: " + hook,
			[]string{`PATCH /v2/messaging_profiles/m1 {"webhook_api_version":"2","webhook_url":"` + hook + `"}`}},
		{"call-control", "c1", "call control application ivr: " + hook,
			[]string{`PATCH /v2/call_control_applications/c1 {"application_name":"ivr","webhook_api_version":"2","webhook_event_url":"` + hook + `"}`}},
		{"texml", "t1", "TeXML application menu: " + hook,
			[]string{`PATCH /v2/texml_applications/t1 {"friendly_name":"menu","status_callback":"` + hook + `","status_callback_method":"post","voice_method":"post","voice_url":"` + hook + `"}`}},
		{"fax", "f1", "fax application fax: " + hook,
			[]string{`PATCH /v2/fax_applications/f1 {"application_name":"fax","webhook_event_url":"` + hook + `"}`}},
		{"notifications", "number order", "notification Number Order Status: " + hook, []string{
			`POST /v2/notification_profiles {"name":"hookswitch"}`,
			`POST /v2/notification_channels {"channel_destination":"` + hook + `","channel_type_id":"webhook","notification_profile_id":"made-1"}`,
			`POST /v2/notification_settings {"notification_channel_id":"made-2","notification_event_condition_id":"e2","notification_profile_id":"made-1"}`,
		}},
	} {
		t.Run(tt.way, func(t *testing.T) {
			api, url := newStandIn(t)
			out, err := run(t, url, tt.way, tt.id, hook)
			if err != nil || strings.TrimSpace(out) != tt.says {
				t.Fatalf("%v: says\n%s\nwant %s", err, out, tt.says)
			}
			if !reflect.DeepEqual(api.changes, tt.changes) {
				t.Errorf("changes\n%s\nwant\n%s", strings.Join(api.changes, "\n"), strings.Join(tt.changes, "\n"))
			}
			if tt.way != "notifications" {
				return // an update can be done twice; what makes records must look first
			}
			if out, err := run(t, url, tt.way, tt.id, hook); err != nil || strings.TrimSpace(out) != tt.says || len(api.changes) != len(tt.changes) {
				t.Errorf("a second time: %v: %s\nchanges %q", err, out, api.changes)
			}
		})
	}
	t.Run("wrong", func(t *testing.T) {
		api, url := newStandIn(t)
		for _, tt := range []struct{ args, says string }{
			{"", "usage: node point.mjs messaging|call-control|texml|fax|notifications ID https://…"},
			{"messaging m1 http://hooks.example.com/webhooks", "usage:"},
			{"fax f2 " + hook, "404"},
			{"notifications o " + hook, "2 notifications are called o; those that can be sent to a webhook:\n  Port In Notifications\n  Number Order Status\n"},
		} {
			if out, err := run(t, url, strings.Fields(tt.args)...); err == nil || !strings.HasPrefix(out, tt.says) {
				t.Errorf("%q: %v: says\n%s\nwant\n%s", tt.args, err, out, tt.says)
			}
		}
		if len(api.changes) > 0 {
			t.Errorf("changes %q", api.changes)
		}
	})
}
