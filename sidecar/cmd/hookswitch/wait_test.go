package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// waiting runs a test in which time is not real.
func waiting(t *testing.T, name string, test func(*testing.T, *fakeSidecar, *waiter)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeSidecar{t: t, bodies: make(map[string]string), removed: make(map[string]bool)}
			w := &waiter{
				connect: func() (*client, error) {
					return &client{name: "it", http: &http.Client{Transport: f}, base: "http://it"}, nil
				},
				types: []string{"call.hangup"}, timeout: 30 * time.Second, notes: io.Discard, seen: make(map[string]sighting),
			}
			test(t, f, w)
		})
	})
}

// finds runs w, which must print the event with this id within a time.
func finds(t *testing.T, w *waiter, id string, within time.Duration) {
	t.Helper()
	var out bytes.Buffer
	start := time.Now()
	if err := w.run(t.Context(), &out); err != nil || !strings.HasPrefix(out.String(), id+" call.hangup 2000-01-01T00:") {
		t.Errorf("%q, %v, want %s", &out, err, id)
	}
	if took := time.Since(start); took > within {
		t.Errorf("it took %v, want %v at most", took, within)
	}
}

// fails runs w, which must end with an exit code and a text.
func fails(t *testing.T, w *waiter, code int, says ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	err := w.run(t.Context(), &out)
	if got := conclude(err, &errs); got != code || out.Len() > 0 {
		t.Errorf("exit %d, want %d: %q", got, code, &out)
	}
	for _, text := range says {
		if !strings.Contains(errs.String(), text) {
			t.Errorf("%q is not in:\n%s", text, &errs)
		}
	}
}

// TestWaitMissesNothing stores an event at every moment around each of the first
// requests: the lists, and the stream, which begins between them.
func TestWaitMissesNothing(t *testing.T) {
	once := func(f *fakeSidecar, k int) func(int, string) {
		return func(n int, _ string) {
			if n == k {
				f.store("new", "{}")
			}
		}
	}
	for k := 1; k <= 4; k++ { // the fifth is the list after a second
		if k > 2 { // the second request is the list of what was there before
			waiting(t, fmt.Sprintf("before %d", k), func(t *testing.T, f *fakeSidecar, w *waiter) {
				f.store("old", "{}")
				f.before = once(f, k)
				finds(t, w, "new", 0)
			})
		}
		if k > 1 {
			waiting(t, fmt.Sprintf("after %d", k), func(t *testing.T, f *fakeSidecar, w *waiter) {
				f.store("old", "{}")
				f.after = once(f, k)
				finds(t, w, "new", 0)
			})
		}
		waiting(t, fmt.Sprintf("since, before %d", k), func(t *testing.T, f *fakeSidecar, w *waiter) {
			w.since, f.before = "1m", once(f, k)
			finds(t, w, "new", 0)
		})
	}
}

// TestWaitSince: of several events that are there the first counts, and none before.
func TestWaitSince(t *testing.T) {
	stored := func(f *fakeSidecar) {
		for i := range 7 {
			f.store(fmt.Sprintf("0000%d", i), fmt.Sprintf(`{"data":{"event_type":"call.hangup","payload":{"even":%v}}}`, i%2 == 0))
			time.Sleep(time.Second)
		}
	}
	for since, want := range map[string]string{
		"1m": "00000", "4500ms": "00003", "2000-01-01T00:00:02Z": "00002", "2000-01-01T02:00:02+02:00": "00002",
		"00000": "00001", "0000": "00000", "d-00004": "00005", "00006": "later", "": "later",
	} {
		waiting(t, since, func(t *testing.T, f *fakeSidecar, w *waiter) {
			stored(f)
			if since == "0000" { // of no event: some begin with it
				w.since = since
				fails(t, w, exitNothing, `7 events begin with "0000": give more of the id`)
				return
			}
			w.since = since
			time.AfterFunc(10*time.Second, func() { f.store("later", "{}") })
			finds(t, w, want, 10*time.Second)
		})
	}
	waiting(t, "match", func(t *testing.T, f *fakeSidecar, w *waiter) {
		stored(f)
		w.since, w.matches = "1m", []match{{"even", "false"}}
		f.removed["d-00001"] = true // between the list and the look
		finds(t, w, "00003", 0)
	})
	waiting(t, "whole", func(t *testing.T, f *fakeSidecar, w *waiter) {
		stored(f)
		w.since, w.whole = "00005", true
		var out bytes.Buffer
		if err := w.run(t.Context(), &out); err != nil || !strings.HasPrefix(out.String(), `{"id":"00006"`) {
			t.Errorf("%q, %v", &out, err)
		}
	})
	waiting(t, "neither", func(t *testing.T, f *fakeSidecar, w *waiter) {
		w.since = "yestrday"
		fails(t, w, exitUsage, `--since: nothing here has the id "yestrday", and it is not a time`)
	})
}

// TestWaitGaps: what is stored while the stream is interrupted, has lost messages, or
// does not know of is found by a list.
func TestWaitGaps(t *testing.T) {
	waiting(t, "restart", func(t *testing.T, f *fakeSidecar, w *waiter) {
		time.AfterFunc(3*time.Second, f.stop)
		time.AfterFunc(20*time.Second, func() { f.elsewhere("new", "{}"); f.start() })
		finds(t, w, "new", 22*time.Second)
	})
	waiting(t, "restart, long before", func(t *testing.T, f *fakeSidecar, w *waiter) {
		w.timeout = 0
		time.AfterFunc(3*time.Second, f.stop)
		time.AfterFunc(4*time.Second, func() { f.elsewhere("new", "{}") })
		time.AfterFunc(10*time.Minute, f.start)
		finds(t, w, "new", 10*time.Minute+2*time.Second)
	})
	waiting(t, "lost", func(t *testing.T, f *fakeSidecar, w *waiter) {
		time.AfterFunc(3500*time.Millisecond, func() { f.elsewhere("new", "{}"); f.tell(live.Message{Kind: live.Lost, Lost: 3}) })
		finds(t, w, "new", 3500*time.Millisecond)
	})
	waiting(t, "another sidecar", func(t *testing.T, f *fakeSidecar, w *waiter) {
		time.AfterFunc(3500*time.Millisecond, func() { f.elsewhere("new", "{}") })
		finds(t, w, "new", 3500*time.Millisecond+lookEvery)
	})
	waiting(t, "another sidecar, slowly", func(t *testing.T, f *fakeSidecar, w *waiter) {
		time.AfterFunc(10*time.Second, func() {
			f.elsewhere("new", "{}")
			f.mu.Lock()
			defer f.mu.Unlock()
			received := time.Now().Add(-5 * time.Second)
			f.events[0].ReceivedAt = &received
		})
		finds(t, w, "new", 10*time.Second+lookEvery)
	})
	waiting(t, "at the end", func(t *testing.T, f *fakeSidecar, w *waiter) {
		time.AfterFunc(29999*time.Millisecond, func() { f.elsewhere("new", "{}") }) // after the list of the 29th second
		finds(t, w, "new", 30*time.Second)
	})
}

// TestWaitRemembersLittle: a wait without an end does not remember every event.
func TestWaitRemembersLittle(t *testing.T) {
	waiting(t, "", func(t *testing.T, f *fakeSidecar, w *waiter) {
		w.timeout, w.matches = 0, []match{{"id", "this"}}
		go func() {
			for i := range 500 { // the first after it has begun
				time.Sleep(time.Second)
				f.store(strconv.Itoa(i), `{"data":{"id":"other"}}`)
			}
			time.Sleep(time.Second)
			f.store("this", `{"data":{"id":"this"}}`)
		}()
		finds(t, w, "this", 503*time.Second)
		if n := len(w.seen); n > 100 || w.missed.count != 500 {
			t.Errorf("it remembers %d events, and has looked at %d of 500", n, w.missed.count)
		}
	})
}

// TestWaitInVain: the text says what came instead.
func TestWaitInVain(t *testing.T) {
	waiting(t, "others", func(t *testing.T, f *fakeSidecar, w *waiter) {
		f.store("old", "{}")
		f.rejected = []adminapi.Rejected{{ID: "r_old"}}
		w.matches = []match{{"call_control_id", "v3:a"}, {"payload.hangup_cause", "busy"}}
		time.AfterFunc(time.Second, func() {
			f.store("one", `{"data":{"event_type":"call.hangup","payload":{"call_control_id":"v3:a","hangup_cause":"timeout"}}}`)
			f.store("two", `{"data":{"event_type":"call.hangup","payload":{"call_control_id":"v3:b"}}}`)
			f.tell(live.Message{Kind: live.Duplicate, DeliveryID: "d-old"})
			f.tell(live.Message{Kind: live.Duplicate, DeliveryID: "d-one"})
			f.mu.Lock()
			defer f.mu.Unlock()
			f.rejected = slices.Insert(f.rejected, 0, adminapi.Rejected{ID: "r_new", Reason: "bad_signature"})
		})
		fails(t, w, exitFailed,
			"hookswitch: no call.hangup with call_control_id=v3:a and payload.hangup_cause=busy came in 30s\n",
			"\n  2 of that type came with other values; the nearest: call.hangup one has payload.hangup_cause=timeout\n",
			"\n  1 of that type came that had been stored before",
			"\n  events of other types came: fax.received 7, call.answered 2\n",
			"\n  1 requests were rejected meanwhile, the latest because of bad_signature: \"hookswitch verify --event r_new\"",
		)
	})
	waiting(t, "any", func(t *testing.T, _ *fakeSidecar, w *waiter) {
		w.types, w.since, w.timeout = []string{"*"}, "5s", 1500*time.Millisecond
		fails(t, w, exitFailed, "no event came in 1.5s, nor before, since 5s\n  nothing else came either")
	})
	waiting(t, "gone", func(t *testing.T, f *fakeSidecar, w *waiter) {
		time.AfterFunc(10500*time.Millisecond, f.stop)
		fails(t, w, exitUnreachable, "no call.hangup came in 30s, as far as is known: the sidecar has not answered for 19s: the sidecar does not answer")
	})
	waiting(t, "never there", func(t *testing.T, f *fakeSidecar, w *waiter) {
		f.down = true
		fails(t, w, exitUnreachable, "hookswitch: the sidecar does not answer")
	})
	waiting(t, "too many", func(t *testing.T, f *fakeSidecar, w *waiter) {
		for i := range 50 {
			f.store(strconv.Itoa(i), "{}")
		}
		w.since, w.matches = "1m", []match{{"id", "this"}}
		f.before = func(_ int, path string) {
			if strings.HasSuffix(path, "/payload") {
				time.Sleep(time.Second)
			}
		}
		fails(t, w, exitFailed, "no call.hangup with id=this came in 30s, but there are ", " events that were not looked at in time: give a longer --timeout, or a later --since")
	})
	waiting(t, "silent", func(t *testing.T, f *fakeSidecar, w *waiter) {
		f.before = func(int, string) { time.Sleep(time.Minute) }
		fails(t, w, exitUnreachable, "no call.hangup came in 30s: its first answer took longer")
	})
}

// TestFieldOf has the forms of a path, and what is said of one that leads nowhere.
func TestFieldOf(t *testing.T) {
	const body = `{"data":{"event_type":"x","id":"e1","payload":{"id":"p1","to":[{"status":"sent"}],"n":1.50,"ok":true,"none":null,"big":12345678901234567890}},"meta":{"attempt":1}}`
	for _, tt := range []struct{ condition, instead string }{
		{"id=e1", ""}, {"data.id=e1", ""}, {"payload.id=p1", ""}, {"data.payload.id=p1", ""}, {"meta.attempt=1", ""},
		{"n=1.50", ""}, {"n=1.5", "n=1.50"}, {"ok=true", ""}, {"none=null", ""}, {"none=", "none=null"}, {"big=12345678901234567890", ""},
		{"to.0.status=sent", ""}, {"payload.to.0.status=failed", "payload.to.0.status=sent"},
		{"to=sent", "a list in to: name an element, such as to.0"}, {"to.1.status=sent", "no to.1.status: to is a list of 1"},
		{"to.0=sent", "an object in to.0: name a field of it, such as to.0.status"},
		{"id.x=1", "no id.x: id is a plain value"}, {"ide=1", `no ide: did you mean "id"?`}, {"payload.stauts=1", "no payload.stauts"},
		{"nothing.like.it=1", "no nothing.like.it"},
	} {
		list, err := parseMatches([]string{tt.condition})
		if err != nil {
			t.Fatal(err)
		}
		if got := list[0].differs(webhook.Decode("application/json", []byte(body))); got != tt.instead {
			t.Errorf("%s: %q, want %q", tt.condition, got, tt.instead)
		}
	}
	for _, tt := range []struct{ contentType, body, condition, instead string }{
		{"application/x-www-form-urlencoded", "CallSid=a&CallSid=b&From=%2B1555", "CallSid=b", ""},
		{"application/x-www-form-urlencoded", "CallSid=a&From=%2B1555", "From=+1555", ""},
		{"application/x-www-form-urlencoded", "CallSid=a&From=%2B1555", "CallSi=a", `no CallSi: did you mean "CallSid"?`},
		{"application/json", `{"CallSid":"a"}`, "CallSid=a", ""},
		{"application/json", `{"event_type":"call_hangup","payload":{"state":"x"}}`, "state=x", ""},
		{"application/json", `[1]`, "state=x", "a body that is not a JSON object"},
		{"text/plain", `hello`, "state=x", "a body that is not a JSON object"},
		{"application/json", `{"id":"a","id":"b"}`, "id=b", "a body that can be read in two ways: "},
	} {
		list, _ := parseMatches([]string{tt.condition})
		if got := list[0].differs(webhook.Decode(tt.contentType, []byte(tt.body))); got != tt.instead && (!strings.HasSuffix(tt.instead, ": ") || !strings.HasPrefix(got, tt.instead)) {
			t.Errorf("%s in %s: %q, want %q", tt.condition, tt.body, got, tt.instead)
		}
	}
}
