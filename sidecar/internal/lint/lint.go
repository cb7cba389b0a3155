// Package lint finds handlers that wait for ever: places in somebody's source
// where an event type is compared with a name that Telnyx never sends, or has
// renamed.
//
// It reads source of any language as words, strings and operators. What matters
// is where a string stands: beside ==, in a case, as the key of a table, in a
// list that is searched, in on("…"), in a type. A text that only mentions a name
// is not a handler, and neither is that of an event that the program makes
// itself: rather a handler is missed than a right one called wrong. The package
// does not know what a variable holds, and follows no import.
package lint

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// A Finding is a place where a program waits for a name that does not come.
type Finding struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // counted from 1
	Column int    `json:"column"` // counted from 1, in characters
	Name   string `json:"name"`   // as the program has it
	Use    string `json:"use"`    // what Telnyx sends instead; "" if nothing is known to come
	Kind   Kind   `json:"kind"`
}

// Kind says what is wrong with a name.
type Kind string

const (
	Never    Kind = "never-sent" // guides have it, Telnyx does not send it
	Renamed  Kind = "renamed"    // a name of API v1 in a program for version 2
	Misspelt Kind = "misspelt"   // almost a name
)

// String returns what is wrong, without the place.
func (f Finding) String() string {
	switch f.Kind {
	case Renamed:
		return "\"" + f.Name + "\" is a name of API v1: version 2 sends \"" + f.Use + "\""
	case Misspelt:
		return "\"" + f.Name + "\" is not an event type: use \"" + f.Use + "\""
	}
	if f.Use == "" {
		return "Telnyx never sends \"" + f.Name + "\", and nothing else for it that is documented"
	}
	text := "Telnyx never sends \"" + f.Name + "\": use \"" + f.Use + "\""
	if info, _ := event.Lookup(f.Use); info.Envelope == "resource" {
		text += ", which stands in record_type: there is no event_type"
	}
	return text
}

// A source is a file that was read: what it says by itself, before it is known
// what the rest of its program says.
type source struct {
	name     string
	telnyx   []int     // lines that speak of Telnyx, 0 for its name
	types    []int     // lines that speak of event types
	others   bool      // it speaks of another vendor of the kind
	known    []place   // names that Telnyx sends
	suspects []suspect // names that it does not
	made     []string  // what the program makes itself, right names and wrong
}

type suspect struct {
	Finding
	place place
}

// near is how many lines apart things of one handler may be.
const near = 40

var (
	telnyx    = "telnyx call_control_id messaging_profile_id"
	eventType = "event_type eventtype event.type"
	// Some of these have events of the same names.
	others = "openphone dialpad aircall twilio vonage nexmo plivo sinch messagebird ringcentral sendgrid mailgun postmark resend.com 'resend' \"resend\" mandrill sparkpost brevo intercom zendesk infobip clicksend sendbird knock.app @knocklabs svix surge.app"
	// happened is how names of events end, and those of fields do not.
	happened = regexp.MustCompile(`(ed|update|failure)$`)
)

// ignoreMark in a line keeps it from being reported.
var ignoreMark = []byte("hookswitch:ignore")

// read finds the names of events in a text.
func read(name string, text []byte) *source {
	s := &source{name: name}
	if mentions(strings.ToLower(name), telnyx) {
		s.telnyx = append(s.telnyx, 0)
	}
	lower := bytes.ToLower(text)
	line := 0
	for l := range bytes.Lines(lower) {
		if line++; mentions(string(l), telnyx) {
			s.telnyx = append(s.telnyx, line)
		}
		if mentions(string(l), eventType) {
			s.types = append(s.types, line)
		}
	}
	syntax := syntaxOf(name)
	all := places(lex(text, syntax), syntax)
	for _, p := range all {
		switch {
		case p.how == made:
			s.made = append(s.made, p.text)
		case known(p.text):
			s.known = append(s.known, p)
		}
	}
	for _, p := range all {
		use, kind := wrong(p.text)
		switch {
		case kind == "" || p.how == made:
		case s.suspicious(p, use, kind) && !bytes.Contains(lineAt(text, p.at), ignoreMark):
			column := 1 + utf8.RuneCount(text[1+bytes.LastIndexByte(text[:p.at], '\n'):p.at])
			s.suspects = append(s.suspects, suspect{Finding{name, p.line, column, p.text, use, kind}, p})
		}
	}
	s.others = len(s.suspects) > 0 && mentions(string(lower), others)
	return s
}

// mentions reports whether a text in lower case has one of some words in it.
func mentions(text, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// oneOf reports whether a text is one of some words.
func oneOf(text, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if text == word {
			return true
		}
	}
	return false
}

func lineAt(text []byte, at int) []byte {
	line, _, _ := bytes.Cut(text[1+bytes.LastIndexByte(text[:at], '\n'):], []byte("\n"))
	return line
}

// wrong returns what is wrong with a name, and what Telnyx sends instead. The
// kind is "" for a name that may be right.
func wrong(name string) (use string, kind Kind) {
	if use, never := event.Misnomer(name); never {
		return use, Never
	}
	if known(name) {
		return "", ""
	}
	if use = event.Canonical(name); use != name {
		return use, Renamed
	}
	if use = meant(name); use != "" {
		return use, Misspelt
	}
	return "", ""
}

func known(name string) bool { return event.NewPayload(name) != nil }

// meant returns the one event type that is almost spelt like a name, or "".
func meant(name string) (use string) {
	plain := func(name string) string {
		return strings.NewReplacer("_", ".", "-", ".").Replace(strings.ToLower(name))
	}
	product, _, ok := strings.Cut(name, ".")
	if len(name) < 8 || !ok || !slices.ContainsFunc(event.Names(), func(n string) bool { return strings.HasPrefix(n, product+".") }) {
		return ""
	}
	closest := 1 + min(2, len(name)/6)
	for _, known := range event.Names() {
		switch d := spelling.Distance(name, known); {
		case plain(known) == plain(name):
			return known
		case d < closest:
			closest, use = d, known
		case d == closest:
			use = ""
		}
	}
	return use
}

// suspicious reports whether a place speaks against a name, too. A name of API
// v1 is right in a program for v1, and beside the new name; a misspelling
// stands among names that are right, and not in a table, whose keys may be
// anything, so that a table alone says nothing either; and of a group of names,
// such as brand.*, others may be fields.
func (s *source) suspicious(p place, use string, kind Kind) bool {
	here := func(line int) bool { return distance(line, p.line) <= near }
	if p.how == begins && slices.ContainsFunc(event.Names(), func(n string) bool { return strings.HasPrefix(n, p.text) }) {
		return false
	}
	switch kind {
	case Renamed:
		product, _, _ := strings.Cut(use, ".")
		beside := slices.ContainsFunc(s.known, func(k place) bool { return k.text == use && distance(k.line, p.line) <= 3 })
		return !beside && (p.how == compared || p.how == registered) &&
			slices.ContainsFunc(s.known, func(k place) bool { return strings.HasPrefix(k.text, product+".") })
	case Misspelt:
		return slices.ContainsFunc(s.known, func(k place) bool {
			return k.how == p.how && here(k.line) && p.how != key
		})
	}
	if p.how == key && p.among != 0 && !slices.ContainsFunc(s.types, here) && !slices.ContainsFunc(s.known, p.with) {
		return false
	}
	return slices.Contains(event.Misnomers(), p.text) ||
		p.how != key && happened.MatchString(p.text) && slices.ContainsFunc(s.types, here)
}

func distance(a, b int) int { return max(a-b, b-a) }

// findings returns the suspects of a program whose handlers are for Telnyx, as
// far as its own files say so, and not for events of its own.
func findings(program []*source) (list []Finding) {
	var own []string
	speaks := false
	for _, s := range program {
		own = append(own, s.made...)
		speaks = speaks || len(s.telnyx) > 0
	}
	for _, s := range program {
		for _, f := range s.suspects {
			about := len(s.telnyx) > 0 || speaks && len(s.known) > 0
			if s.others {
				about = slices.ContainsFunc(s.telnyx, func(line int) bool { return line > 0 && distance(line, f.Line) <= near })
			}
			if about && (!slices.Contains(own, f.Name) || s.beside(f.place, own)) {
				list = append(list, f.Finding)
			}
		}
	}
	return list
}

// beside reports whether a place in a file that speaks of Telnyx, or of event
// types, is among names that Telnyx sends and the program does not: what the
// program makes under such a name goes elsewhere then. A program that turns
// events of Telnyx into its own has handlers of both.
func (s *source) beside(p place, own []string) bool {
	return len(s.telnyx)+len(s.types) > 0 && slices.ContainsFunc(s.known, func(k place) bool {
		return p.with(k) && !slices.Contains(own, k.text)
	})
}

// with reports whether another place is of the same kind, and of the same handler.
func (p place) with(k place) bool {
	if p.among == 0 {
		return k.how == p.how && distance(k.line, p.line) <= near/2
	}
	return k.how == p.how && k.among == p.among
}
