package untrusted

import (
	"encoding/json"
	"strings"
	"testing"
)

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestEmbeddable(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"nothing", ``, false},
		{"broken", `{"a":`, false},
		{"a number", `1`, true},
		{"an object", `{"a":[{"b":1}]}`, true},
		{"as deep as may be", nested(maxDepth), true},
		{"deeper", nested(maxDepth + 1), false},
		{"as deep as encoding/json reads", nested(10000), false},
		{"deeper than encoding/json reads", nested(20000), false},
		{"wide", "[" + strings.Repeat("[],", 2*maxDepth) + "[]]", true},
		{"brackets in texts", `{"` + strings.Repeat("[", maxDepth) + `":"\"` + strings.Repeat("{", maxDepth) + `\\"}`, true},
		{"deep behind a text", `{"a\\":` + nested(maxDepth) + `}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Embeddable([]byte(tt.text)); got != tt.want {
				t.Fatalf("embeddable: %v", got)
			}
			if !tt.want {
				return
			}
			text, err := json.Marshal(map[string]any{"data": []any{map[string]any{"body": json.RawMessage(tt.text)}}})
			if err != nil {
				t.Fatal(err)
			}
			var back struct {
				Data []struct{ Body json.RawMessage }
			}
			if err := json.Unmarshal(text, &back); err != nil || len(back.Data[0].Body) == 0 {
				t.Error(err)
			}
		})
	}
}
