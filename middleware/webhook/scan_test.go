package webhook

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// TestPlainPrefix tries every byte at every place of a long text.
func TestPlainPrefix(t *testing.T) {
	for length := range 40 {
		for at := range length + 1 {
			for c := range 256 {
				b := bytes.Repeat([]byte{'\xc3'}, length)
				if at%2 == 0 {
					b = bytes.Repeat([]byte{'a'}, length)
				}
				want := length
				if at < length {
					b[at] = byte(c)
					if c < ' ' || c == '"' || c == '\\' {
						want = at
					}
				}
				if got := plainPrefix(b); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}

// FuzzPlainValue holds the quick way through what does not matter against the
// scan that notes everything: they agree on what is wrong with a body, and on
// where everything stands if nothing is.
func FuzzPlainValue(f *testing.F) {
	for _, name := range event.Samples() {
		if body, _ := event.Sample(name); event.SampleContentType(name) == "application/json" {
			f.Add(body)
		}
	}
	deep := func(n int) string {
		return strings.Repeat(`[{"a":`, n/2) + "1" + strings.Repeat("}]", n/2)
	}
	for _, value := range []string{
		`[]`, `{}`, `[[],{},""]`, `[ 1 , -0.5e+3 , true , false , null ]`, `{ "a" : { "b" : [ ] } }`, `["\u00e9\"\\\/\b\f\n\r\t"]`, `["\ud83c"]`,
		`[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `[1}`, `{"a":1]`, `[`, `{"a`, `["\x"]`, `["\ug234"]`, `["\u1g34"]`, `["\u12g4"]`, `["\u123g"]`, `["\u123`, "[\"\t\"]", `[01]`, `[1.]`, `[tru]`, `[nul`, `[-]`, "[\"\x7f\"]", `[1 2]`,
		deep(60), deep(62), deep(64), deep(66), `["` + strings.Repeat("a", 100) + `\n` + strings.Repeat("b", 9) + `"]`,
	} {
		f.Add([]byte(`{"a":` + value + `,"data":{"event_type":"x","payload":` + value + `}}`))
	}
	for cut := range len(`{"a":["\u00e9\n",true]}`) {
		f.Add([]byte(`{"a":["\u00e9\n",true]}`[:cut]))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var quick, slow scan
		slow.slow = true
		quick.scanBody(body)
		slow.scanBody(body)
		if quick.why != slow.why {
			t.Fatalf("%q, and the slow way %q", quick.why, slow.why)
		}
		quick.slow = true
		if quick.why == "" && !reflect.DeepEqual(quick, slow) {
			t.Fatalf("%+v\n%+v", quick, slow)
		}
	})
}
