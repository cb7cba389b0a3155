package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// TestLargePayloadsAreNotShared: whoever keeps one text of a large payload keeps
// no more than that.
func TestLargePayloadsAreNotShared(t *testing.T) {
	for size, shared := range map[int]bool{2: true, maxShared: true, maxShared + 1: false} {
		var r reader
		if b := bytes.Repeat([]byte(" "), size); !r.begin(b) || (r.s != "") != shared {
			t.Errorf("the texts of %d bytes share memory: %v, want %v", size, r.s != "", shared)
		}
	}
}

// FuzzReader holds the fast ways against encoding/json.
func FuzzReader(f *testing.F) {
	for _, s := range []string{`[]`, `[ ]`, `[{"phone_number":"+1","carrier":"a\\"b"},"x",null, [1,"]"],{"a":{"b":[]}}]`,
		`[{"phone_number" : "+1" , "status":"\u0041"}]`, `[{"phone_number":1,"carrier":"c"}]`, `[{}]`, `[{"Carrier":"x"}]`, `[1,2.5e3,true]`,
		`[{"carrier":"a","carrier":null,"error_code":1,"error_code":null}]`, `[null,"",{"status":"b" , "extra":{"a":["}"]}}]`, `[{"status":"a","STATUS":"b"}]`,
		`[{"error_code":true},{"error_code":{}},{"carrier":[]}]`, "[{\"carrier\":\"\xff\"}]"} {
		f.Add([]byte(s))
	}
	type slowEndpoint Endpoint
	f.Fuzz(func(t *testing.T, b []byte) {
		var want []json.RawMessage
		if json.Unmarshal(b, &want) != nil || want == nil {
			return
		}
		var got []json.RawMessage
		var list List[Endpoint]
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		trimmed := json.RawMessage(nil)
		if err := json.Unmarshal(b, &trimmed); err != nil {
			t.Fatal(err)
		}
		for r := (reader{b: trimmed, i: 1}); r.peek() != 0 && r.peek() != ']'; r.closed(',') {
			e, _ := r.skip()
			got = append(got, e)
		}
		if len(got) != len(want) || len(list) != len(want) {
			t.Fatalf("%d elements, and a list of %d, want %d", len(got), len(list), len(want))
		}
		for i := range want {
			if string(got[i]) != string(want[i]) {
				t.Fatalf("element %d is %s, want %s", i, got[i], want[i])
			}
			if want[i][0] != '{' {
				continue
			}
			var slow slowEndpoint
			_ = json.Unmarshal(want[i], &slow)
			if !reflect.DeepEqual(Endpoint(slow), list[i]) {
				t.Fatalf("%s decodes to %+v, slowly to %+v", want[i], list[i], slow)
			}
		}
	})
}
