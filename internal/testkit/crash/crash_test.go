package crash_test

import (
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/crash"
)

func TestJudge(t *testing.T) {
	const begin = `{"kind":"targets","targets":["a","b"]}
{"kind":"acked","id":"1"}
{"kind":"acked","id":"2"}
{"kind":"kill","in_flight":1}
{"kind":"took","target":"a","id":"1"}
{"kind":"took","target":"a","id":"2"}
{"kind":"took","target":"b","id":"1"}
`
	const rest = `{"kind":"took","target":"b","id":"2"}` + "\n"
	const again = `{"kind":"took","target":"a","id":"1"}` + "\n"
	for _, tt := range []struct {
		name, ledger string
		want         bool
	}{
		{"all is there", begin + rest, true},
		{"what was not acknowledged may arrive", begin + rest + `{"kind":"took","target":"a","id":"3"}`, true},
		{"one repetition per kill", begin + rest + again, true},
		{"one more", begin + rest + again + again, false},
		{"an event that one target never took", begin, false},
		{"nothing was acknowledged", `{"kind":"targets","targets":["a"]}` + "\n" + `{"kind":"kill","in_flight":1}`, false},
		{"nobody was killed", `{"kind":"targets","targets":["a"]}` + "\n" + `{"kind":"acked","id":"1"}` + "\n" + `{"kind":"took","target":"a","id":"1"}`, false},
	} {
		v, err := crash.Judge(strings.NewReader(tt.ledger))
		if err != nil || v.OK() != tt.want {
			t.Errorf("%s: %v, %v; want OK %v", tt.name, v, err, tt.want)
		}
	}
	for _, ledger := range []string{"no JSON", `{"kind":"other"}`, `{"kind":"took","target":"c","id":"1"}`} {
		if _, err := crash.Judge(strings.NewReader(ledger)); err == nil {
			t.Errorf("ledger %s was read", ledger)
		}
	}
}
