package deliverytest

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/internal/testkit/official"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
)

// TestOfficialClient asks a real server on a real store with Telnyx's own
// client.
func TestOfficialClient(t *testing.T) {
	official.Scripts(t) // skips all of it
	a := newAPI(t, deliveryapi.Config{Store: openStore(t), UserID: UserID, Token: "KEY0123"})
	server := httptest.NewServer(a)
	defer server.Close()
	env := []string{"TELNYX_API_KEY=KEY0123", "TELNYX_BASE_URL=" + server.URL + "/v2"}
	run := func(t *testing.T, env []string, script string, args ...string) []byte {
		t.Helper()
		cmd := official.Command(t, env, script, args...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", script, args, err, stderr.String())
		}
		return out
	}

	t.Run("the example of the documentation runs unchanged", func(t *testing.T) {
		out := string(run(t, env, "retrieve.mjs"))
		for _, want := range []string{"id: '" + DeliveryID + "'", "status: 'delivered'", "useful: 'information'"} {
			if !strings.Contains(out, want) {
				t.Errorf("it printed no %s:\n%s", want, out)
			}
		}
	})
	t.Run("records", func(t *testing.T) {
		out := run(t, env, "deliveries.mjs", "retrieve", EventID, strings.ToUpper(DeliveryID))
		var got []json.RawMessage
		if err := json.Unmarshal(out, &got); err != nil || len(got) != 2 {
			t.Fatalf("%d records, %v: %s", len(got), err, out)
		}
		for _, data := range got {
			Compare(t, []byte(`{"data":`+string(data)+`}`))
		}
	})
	for _, tt := range listCases {
		t.Run("list by "+tt.name, func(t *testing.T) {
			var got list
			if err := json.Unmarshal(run(t, env, "deliveries.mjs", "list", `{"filter":`+tt.filter+`}`), &got); err != nil {
				t.Fatal(err)
			}
			if got.ids() != tt.want {
				t.Errorf("got %s, want %s", got.ids(), tt.want)
			}
		})
	}
	t.Run("the iterator ends by itself", func(t *testing.T) {
		const total = otherEvents + 1
		for _, size := range []int{1, 3, total, 250} {
			var ids []string
			out := run(t, env, "deliveries.mjs", "iterate", `{"page[size]":`+strconv.Itoa(size)+`}`)
			if err := json.Unmarshal(out, &ids); err != nil {
				t.Fatal(err)
			}
			distinct := make(map[string]bool)
			for _, id := range ids {
				distinct[id] = true
			}
			if len(ids) != total || len(distinct) != total {
				t.Errorf("pages of %d: %d records, %d distinct, want %d", size, len(ids), len(distinct), total)
			}
		}
		if out := run(t, env, "deliveries.mjs", "iterate", `{"filter":{"event_type":"x"}}`); string(out) != "[]\n" {
			t.Errorf("an empty list gave %s", out)
		}
	})
	for _, client := range official.Clients() {
		t.Run("the iterator of "+client+" goes on from where the caller began", func(t *testing.T) {
			const total = otherEvents + 1
			env := append([]string{"TELNYX_CLIENT=" + client}, env...)
			queries := []struct {
				query string
				want  int
			}{
				{`{"page_number":1,"page_size":2}`, total},
				{`{"page":{"number":1,"size":2}}`, total},
				{`{"page[number]":1,"page[size]":2}`, total},
				{`{"page_number":2,"page_size":2}`, total - 2},
				{`{"page":{"number":2,"size":2}}`, total - 2},
				{`{"page[number]":2,"page[size]":2}`, total - 2},
			}
			args := []string{"iterations"}
			for _, q := range queries {
				args = append(args, q.query)
			}
			var lists [][]string
			if err := json.Unmarshal(run(t, env, "deliveries.mjs", args...), &lists); err != nil || len(lists) != len(queries) {
				t.Fatalf("%d lists, %v", len(lists), err)
			}
			for i, q := range queries {
				ids := slices.Clone(lists[i])
				slices.Sort(ids)
				if distinct := len(slices.Compact(ids)); len(lists[i]) != q.want || distinct != q.want {
					t.Errorf("%s: %d records, %d distinct, want %d", q.query, len(lists[i]), distinct, q.want)
				}
			}
		})
	}
	for _, tt := range []struct {
		name, key string
		args      []string
		want      clientError
		codes     string
	}{
		{"not found", "KEY0123", []string{"retrieve", "NOWHERE"}, clientError{Name: "NotFoundError", Status: 404}, "10005"},
		{"not finished", "KEY0123", []string{"retrieve", "WAITING"}, clientError{Name: "NotFoundError", Status: 404}, "10005"},
		{"bad parameters", "KEY0123", []string{"list", `{"page[size]":0,"filter":{"status":{"eq":"pending"}}}`}, clientError{Name: "UnprocessableEntityError", Status: 422}, "10027 10027"},
		{"wrong key", "KEY9999", []string{"list"}, clientError{Name: "AuthenticationError", Status: 401}, "10009"},
	} {
		t.Run("the client's error for "+tt.name, func(t *testing.T) {
			env := []string{"TELNYX_API_KEY=" + tt.key, "TELNYX_BASE_URL=" + server.URL + "/v2"}
			var got struct {
				clientError
				Errors []struct{ Code string }
			}
			out := run(t, env, "deliveries.mjs", append([]string{"error"}, tt.args...)...)
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			var codes []string
			for _, e := range got.Errors {
				codes = append(codes, e.Code)
			}
			if diff := cmp.Diff(tt.want, got.clientError); diff != "" || strings.Join(codes, " ") != tt.codes {
				t.Errorf("codes %q, error (-want +got):\n%s", codes, diff)
			}
		})
	}
}

// clientError is how the official client presents a failure.
type clientError struct {
	Name   string
	Status int
}
