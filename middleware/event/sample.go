package event

import (
	"embed"
	"path"
	"slices"
)

// samples has one body for each event type. They were written for this
// project, except for message.sent, which is the example of Telnyx's
// documentation.
//
//go:embed testdata/*.json testdata/*.form
var samples embed.FS

// The media types of samples, by the end of the file's name.
var sampleTypes = map[string]string{
	".json": "application/json",
	".form": "application/x-www-form-urlencoded",
}

// Sample returns an example of the body that Telnyx sends for an event type,
// JSON pretty-printed as Telnyx does, and whether there is one. See
// [SampleContentType] for formats other than JSON. It is the basis of "hookswitch
// trigger" and package webhooktest.
func Sample(eventType string) ([]byte, bool) {
	for ext := range sampleTypes {
		if body, err := samples.ReadFile("testdata/" + eventType + ext); err == nil {
			return body, true
		}
	}
	return nil, false
}

// SampleContentType returns the content type of the [Sample] of an event type:
// "application/x-www-form-urlencoded" for TeXML callbacks and else
// "application/json", or "" if there is no sample.
func SampleContentType(eventType string) string {
	for ext, contentType := range sampleTypes {
		if _, err := samples.ReadFile("testdata/" + eventType + ext); err == nil {
			return contentType
		}
	}
	return ""
}

// Samples returns the event types for which there is a [Sample], in
// alphabetical order.
func Samples() []string {
	files, err := samples.ReadDir("testdata")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		ext := path.Ext(f.Name())
		if sampleTypes[ext] != "" {
			names = append(names, f.Name()[:len(f.Name())-len(ext)])
		}
	}
	slices.Sort(names)
	return names
}
