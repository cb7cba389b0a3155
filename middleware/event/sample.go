package event

import (
	"embed"
	"io/fs"
	"strings"
)

// samples has one body for each modelled event type, and a few of other
// shapes. They were written for this project.
//
//go:embed testdata/*.json
var samples embed.FS

// Sample returns an example of the body that Telnyx sends for an event type,
// pretty-printed as Telnyx does, and whether there is one. It is what
// "hookswitch trigger" and package webhooktest start from.
func Sample(eventType string) ([]byte, bool) {
	body, err := samples.ReadFile("testdata/" + eventType + ".json")
	return body, err == nil
}

// Samples returns the event types for which there is a [Sample], in
// alphabetical order.
func Samples() []string {
	files, err := fs.Glob(samples, "testdata/*.json")
	if err != nil {
		panic(err) // only a malformed pattern can fail
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "testdata/"), ".json")
	}
	return files
}
