package lint

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzRead: whatever a file holds, it is read, and what is found is there.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"telnyx t == 'message.delivered'", "telnyx %w[message.failed].include?(t)", "```\ntelnyx case \"fax.sent\":\n```", "`\"\"\"'''/*<!--", "telnyx é == \"message.failed\"",
	} {
		for _, name := range []string{"a.py", "a.md", "a.rb", "a.rs", "a"} {
			f.Add(name, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		lines := bytes.Split(text, []byte("\n"))
		for _, found := range findings([]*source{read(name, text)}) {
			line := []rune(string(lines[found.Line-1]))
			rest := strings.TrimLeft(string(line[found.Column-1:]), "\"'`") // it begins with its quotes
			if !strings.HasPrefix(rest, found.Name) {
				t.Errorf("%+v is not in %q", found, string(line))
			}
		}
	})
}
