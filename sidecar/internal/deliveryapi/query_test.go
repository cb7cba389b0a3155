package deliveryapi

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi/deliverytest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func TestFilters(t *testing.T) {
	at := func(s string) time.Time {
		t.Helper()
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		name, query string
		want        store.Filter
	}{
		{"status", "filter[status][eq]=failed", store.Filter{Status: "failed"}},
		{"status without an operator", "filter[status]=delivered", store.Filter{Status: "delivered"}},
		{"status in another case", "filter[status][eq]=FAILED", store.Filter{Status: "failed"}},
		{"both of the two states", "filter[status]=delivered,failed", store.Filter{}},
		{"the same status twice", "filter[status]=failed&filter[status][eq]=failed", store.Filter{Status: "failed"}},

		{"one event type", "filter[event_type]=message.sent", store.Filter{EventTypes: []string{"message.sent"}}},
		{"a list of event types", "filter[event_type]=call_initiated,%20call.initiated,", store.Filter{EventTypes: []string{"call_initiated", "call.initiated"}}},
		{"a repeated event type", "filter[event_type][]=a&filter[event_type][]=b", store.Filter{EventTypes: []string{"a", "b"}}},
		{"numbered event types", "filter[event_type][0]=a&filter[event_type][1]=b", store.Filter{EventTypes: []string{"a", "b"}}},
		{"an event type with an operator", "filter[event_type][eq]=a", store.Filter{EventTypes: []string{"a"}}},

		{"text in the webhook", "filter[webhook][contains]=call.initiated", store.Filter{WebhookContains: "call.initiated"}},
		{"text in the attempts", "filter[attempts][contains]=https://fallback.example.com/webhooks", store.Filter{AttemptsContains: "https://fallback.example.com/webhooks"}},
		{"text is taken as it is", "filter[attempts][contains]=+75404%20", store.Filter{AttemptsContains: " 75404 "}},

		{"from a time on", "filter[started_at][gte]=2019-03-29T11:10:00Z", store.Filter{StartedFrom: at("2019-03-29T11:10:00Z")}},
		{"a time is included with all of its millisecond", "filter[started_at][lte]=2020-08-10T14:00:05.595Z", store.Filter{StartedTo: at("2020-08-10T14:00:05.595999999Z")}},
		{"a time with an offset", "filter[finished_at][gte]=2019-03-29T11:10:00%2B02:00", store.Filter{FinishedFrom: at("2019-03-29T09:10:00Z")}},
		{"a time whose plus was not escaped", "filter[finished_at][gte]=2019-03-29T11:10:00+02:00", store.Filter{FinishedFrom: at("2019-03-29T09:10:00Z")}},
		{"a time with an offset without a colon", "filter[finished_at][gte]=2019-03-29T11:10:00-0200", store.Filter{FinishedFrom: at("2019-03-29T13:10:00Z")}},
		{"a time without an offset is UTC", "filter[finished_at][gte]=2019-03-29T11:10:00.25", store.Filter{FinishedFrom: at("2019-03-29T11:10:00.25Z")}},
		{"a time with a space", "filter[finished_at][gte]=2019-03-29%2011:10:00z", store.Filter{FinishedFrom: at("2019-03-29T11:10:00Z")}},
		{"a time to the minute", "filter[finished_at][gte]=2019-03-29T11:10Z", store.Filter{FinishedFrom: at("2019-03-29T11:10:00Z")}},
		{"from a day on", "filter[started_at][gte]=2024-01-01", store.Filter{StartedFrom: at("2024-01-01T00:00:00Z")}},
		{"until the end of a day", "filter[finished_at][lte]=2024-02-29", store.Filter{FinishedTo: at("2024-02-29T23:59:59.999999999Z")}},
		{"a time before all times is not no time", "filter[started_at][lte]=0001-01-01", store.Filter{StartedTo: at("1970-01-01T00:00:00Z")}},
		{"a time after all times", "filter[started_at][gte]=9999-12-31", store.Filter{StartedFrom: at("2262-01-01T00:00:00Z")}},

		{"a page", "page[number]=3&page[size]=50", store.Filter{Offset: 100, Limit: 50}},
		{"a page as untyped clients spell it", "page_number=2&page_size=250", store.Filter{Offset: 250, Limit: 250}},
		{"a page that an iterator has added", "page_number=1&page_size=2&page[number]=3", store.Filter{Offset: 4, Limit: 2}},
		{"one that it has put first", "page%5Bnumber%5D=3&page_number=1&page_size=2", store.Filter{Offset: 4, Limit: 2}},
		{"one after the caller's own", "page[number]=1&page[size]=2&page[number]=3", store.Filter{Offset: 4, Limit: 2}},
		{"one after many", "page_number=1&page[number]=2&page.number=9&page[number]=3&page_number=4&page[size]=2", store.Filter{Offset: 4, Limit: 2}},
		{"the last of two aliases", "page_number=1&page.number=3&page_size=2", store.Filter{Offset: 4, Limit: 2}},
		{"a size of its own", "page_size=50&page[size]=2&page[number]=3", store.Filter{Offset: 4, Limit: 2}},
		{"escaped brackets", "filter%5Bstatus%5D%5Beq%5D=failed&page%5Bsize%5D=1", store.Filter{Status: "failed", Limit: 1}},
		{"dots for brackets", "filter.status.eq=failed&page.size=1", store.Filter{Status: "failed", Limit: 1}},
		{"parameters that choose nothing", "foo=bar&filt=1&sort=-created_at", store.Filter{}},
		{"all at once", "filter[status][eq]=failed&filter[event_type]=a,b&filter[webhook][contains]=w&filter[attempts][contains]=t" +
			"&filter[started_at][gte]=2024-01-01&filter[started_at][lte]=2024-01-02T00:00:00Z" +
			"&filter[finished_at][gte]=2024-01-03&filter[finished_at][lte]=2024-01-04T00:00:00Z&page[number]=2&page[size]=7",
			store.Filter{Status: "failed", EventTypes: []string{"a", "b"}, WebhookContains: "w", AttemptsContains: "t",
				StartedFrom: at("2024-01-01T00:00:00Z"), StartedTo: at("2024-01-02T00:00:00.000999999Z"),
				FinishedFrom: at("2024-01-03T00:00:00Z"), FinishedTo: at("2024-01-04T00:00:00.000999999Z"),
				Offset: 7, Limit: 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &records{}
			w := get(t, newAPI(t, Config{Store: s}), "/v2/webhook_deliveries?"+tt.query)
			if w.Code != 200 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if tt.want.Limit == 0 {
				tt.want.Limit = 20
			}
			if diff := cmp.Diff(tt.want, s.filter); diff != "" {
				t.Errorf("filter (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadParameters(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		parameters  string // at fault, separated by spaces
		detail      string // of the first
	}{
		{"an unknown status", "filter[status][eq]=pending", "filter[status][eq]", `"pending" is not a status`},
		{"an unknown status among others", "filter[status]=failed,dead", "filter[status]", `"dead" is not a status`},
		{"an empty status", "filter[status][eq]=", "filter[status][eq]", `"" is not a status`},
		{"two different states in two parameters", "filter[status]=failed&filter[status][eq]=delivered", "filter[status][eq]", `"failed" and "delivered"`},
		{"no event type", "filter[event_type]=,", "filter[event_type]", "names no event type"},
		{"a time that is none", "filter[started_at][gte]=yesterday", "filter[started_at][gte]", `"yesterday" is not an ISO 8601 time`},
		{"a day that is none", "filter[finished_at][lte]=2023-02-29", "filter[finished_at][lte]", "is not an ISO 8601 time"},
		{"a time without an operator", "filter[started_at]=2024-01-01", "filter[started_at]", "[gte] and [lte]"},
		{"an unknown operator", "filter[started_at][gt]=2024-01-01", "filter[started_at][gt]", "[gte] and [lte]"},
		{"an unknown filter", "filter[id]=1", "filter[id]", "no such filter"},
		{"a misspelt filter", "filters[status]=failed", "filters[status]", "no such filter"},
		{"a filter with an underscore", "filter_status=failed", "filter_status", "no such filter"},
		{"page zero", "page[number]=0", "page[number]", "counted from 1"},
		{"a negative page", "page[number]=-1", "page[number]", "counted from 1"},
		{"a page that is no number", "page[number]=two", "page[number]", "counted from 1"},
		{"a page beyond all numbers", "page[number]=99999999999999999999", "page[number]", "is too large for a page number. There is no page after 9223372036854775807"},
		{"a page before all numbers", "page[number]=-99999999999999999999", "page[number]", "counted from 1"},
		{"a page size beyond all numbers", "page[size]=99999999999999999999", "page[size]", "between 1 and 250"},
		{"a page size of zero", "page[size]=0", "page[size]", "between 1 and 250"},
		{"a page size over the limit", "page_size=251", "page_size", "between 1 and 250"},
		{"another kind of paging", "page[after]=x", "page[after]", "page[number] and page[size]"},
		{"the last of two pages", "page[number]=1&page[number]=0", "page[number]", "counted from 1"},
		{"all at once", "page[size]=0&filter[status]=x&page[number]=x&filter[nope]=&filter[started_at][lte]=x",
			"filter[nope] filter[started_at][lte] filter[status] page[number] page[size]", "no such filter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			errs := failure(t, get(t, newAPI(t, Config{Store: &records{}}), "/v2/webhook_deliveries?"+tt.query), 422)
			var parameters []string
			for _, e := range errs {
				if e.Code != "10027" || e.Source == nil {
					t.Fatalf("got %+v", e)
				}
				parameters = append(parameters, e.Source.Parameter)
			}
			if got := strings.Join(parameters, " "); got != tt.parameters {
				t.Errorf("parameters %q, want %q", got, tt.parameters)
			}
			if !strings.Contains(errs[0].Detail, tt.detail) {
				t.Errorf("detail %q lacks %q", errs[0].Detail, tt.detail)
			}
		})
	}

	t.Run("a query that cannot be read", func(t *testing.T) {
		for _, query := range []string{"filter[status]=%zz", "filter[status]=failed;page[size]=1"} {
			errs := failure(t, get(t, newAPI(t, Config{Store: &records{}}), "/v2/webhook_deliveries?"+query), 422)
			if !strings.Contains(errs[0].Detail, "cannot be read") {
				t.Errorf("detail %q", errs[0].Detail)
			}
		}
	})
	t.Run("so many that they are not all told", func(t *testing.T) {
		var query strings.Builder
		for i := range 500 {
			query.WriteString("filter[" + strings.Repeat("x", i) + "]=1&")
		}
		w := get(t, newAPI(t, Config{Store: &records{}}), "/v2/webhook_deliveries?"+query.String())
		if errs := failure(t, w, 422); len(errs) != maxProblems || w.Body.Len() > 20_000 {
			t.Errorf("%d errors in %d bytes", len(errs), w.Body.Len())
		}
	})
}

// FuzzList sends any query: the answer is a page or a refusal, always JSON,
// and what reaches the store is within bounds.
func FuzzList(f *testing.F) {
	for _, seed := range []string{
		"",
		"filter%5Bstatus%5D%5Beq%5D=failed&filter%5Bevent_type%5D=call_initiated%2Ccall.initiated&page%5Bnumber%5D=1",
		"filter[started_at][gte]=2019-03-29T11:10:00+02:00&page_size=250",
		"filter[finished_at][lte]=9999-12-31T23:59:60Z&page[number]=9223372036854775807",
		"filter[webhook][contains]=%ff%00\"<&page[number]=x;",
		"filter[[[status]]]..eq=delivered&filter[event_type][][0]=,a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s := &records{deliveries: []store.Delivery{*deliverytest.Documented()}, total: 1000}
		r := httptest.NewRequest("GET", "/v2/webhook_deliveries", nil)
		r.URL = &url.URL{Path: "/v2/webhook_deliveries", RawQuery: query}
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		newAPI(t, Config{Store: s}).Handler().ServeHTTP(w, r)

		if w.Code == 422 {
			failure(t, w, 422)
			return
		}
		var got page
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
		}
		if got.Data == nil || got.Meta.PageNumber < 1 || got.Meta.TotalResults != 1000 ||
			got.Meta.TotalPages != (1000+got.Meta.PageSize-1)/got.Meta.PageSize {
			t.Errorf("page %s", w.Body)
		}
		if f := s.filter; f.Offset < 0 || f.Limit < 1 || f.Limit > 250 || f.Status != "" && f.Status != "delivered" && f.Status != "failed" {
			t.Errorf("filter %+v", f)
		}
	})
}
