package lint

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A place is a string literal where event types are compared, or made.
type place struct {
	token
	how   how
	among int // the bracket or union whose other names are of the same kind; 0 if only lines tell
}

type how byte

const (
	compared   how = iota + 1 // type == "…", "…".equals(type), case "…", one of a list
	begins                    // startsWith("…"), for which a part of a name is right
	key                       // of a table: {"…": handler}, handlers["…"] = handler
	registered                // on("…", handler)
	constant                  // MESSAGE_SENT = "…", to be compared elsewhere
	made                      // returned, emitted, assigned: a name of the program's own
)

var (
	comparisons = "== === != !== <> eq ne is"
	equals      = "equals Equals equalsIgnoreCase EqualFold eql casecmp isEqualTo isEqualToString contentEquals strcmp strcasecmp hash_equals"
	contains    = "includes contains Contains include has Has indexOf IndexOf in_array any member containsKey ContainsKey has_key array_key_exists strpos str_contains"
	starts      = regexp.MustCompile(`^(?i:str_?)?(?i:(starts?|begins?)_?with|has_?prefix|cut_?prefix)$`)
	registers   = regexp.MustCompile(`^(?i:on|once|listen|add_?((event_?)?listener|handler)|subscribe|handles?|handler|handle_?func|register(_?(event|webhook))?(_?handler)?|on_?(webhook_?)?event|event_?(handler|listener)|as_?event_?listener|define|webhook)$`)
	emits       = regexp.MustCompile(`^(?i:event|instrument|(emit|publish|fire|dispatch|broadcast|trigger|notify|raise|send|enqueue)(_?\w*))$`)
	otherBus    = regexp.MustCompile(`(?i)(bus|emitter|socket|queue|pusher|redis|broker|nats|kafka|process|stream|ipc|signal|ably|channel|room|store)$`)
	ownKey      = regexp.MustCompile(`^(?i:type|event|name|action|topic|kind|subject|metric)$`)
	// conditions have values such as call_hangup, which was the name of an event, too.
	conditions = regexp.MustCompile(`(?i)(status|state|reason|cause|result)$`)
	asserting  = regexp.MustCompile(`^(?i:assert|expect|should|must|require)`)
)

// reach is how many tokens, or brackets, are looked at in each direction.
const reach = 200

// reader finds the places in a text.
type reader struct {
	syntax
	tokens []token
	in     []int // of each token, the bracket that it is in, or -1
	pair   []int // of each bracket, the other one; 0 if there is none
	sent   []int // before each token, how many names are that Telnyx sends
}

// places returns the string literals in places where event types are compared or
// made.
func places(tokens []token, s syntax) (list []place) {
	r := newReader(tokens, s)
	for i, t := range tokens {
		if t.kind != str || len(t.text) > 100 || !strings.ContainsAny(t.text, "._") || strings.ContainsAny(t.text, " /\n") || r.asserted(i) || !strings.Contains(t.text, ".") && conditions.MatchString(r.subject(i)) {
			continue
		}
		if how, among := r.place(i); how != 0 {
			list = append(list, place{t, how, among})
		}
	}
	return list
}

// newReader pairs the brackets of a text. One that nothing closes, as in a
// regular expression, ends with the bracket around it.
func newReader(tokens []token, s syntax) *reader {
	r := &reader{s, tokens, make([]int, len(tokens)), make([]int, len(tokens)), make([]int, len(tokens)+1)}
	open := []int{-1}
	for i, t := range tokens {
		if t.is(op, ") ] }") {
			opening := "([{"[strings.Index(")]}", t.text)]
			for n := len(open) - 1; n > max(0, len(open)-reach); n-- {
				if at := open[n]; tokens[at].text[0] == opening {
					open, r.pair[at], r.pair[i] = open[:n], i, at
					break
				}
			}
		}
		r.in[i], r.sent[i+1] = open[len(open)-1], r.sent[i]
		if t.kind == str && known(t.text) {
			r.sent[i+1]++
		}
		if t.is(op, "( [ {") {
			open = append(open, i)
		}
	}
	return r
}

// at returns the token at a place, or one without a kind.
func (r *reader) at(i int) *token {
	if i < 0 || i >= len(r.tokens) {
		return &token{}
	}
	return &r.tokens[i]
}

// is reports whether a token is of a kind, and one of some texts.
func (t *token) is(k kind, texts string) bool {
	return t.kind == k && oneOf(t.text, texts)
}

// place returns what a literal is there for, and among which others.
func (r *reader) place(i int) (how, int) {
	before, after := r.at(i-1), r.at(i+1)
	if isComparison(before) || isComparison(after) && after.text != "is" ||
		after.is(word, "in") && !r.ruby || after.is(word, "not") && r.at(i+2).is(word, "in") ||
		after.is(op, ". ?.") && r.at(i+2).is(word, equals) || r.pattern(i) {
		return compared, 0
	}
	callee := r.callee(i)
	if how := r.looksFor(callee); how != 0 {
		return how, 0
	}
	how, among := r.listed(i)
	if how == 0 {
		how, among = r.united(i)
	}
	if how == 0 {
		how, among = r.branch(i)
	}
	if how == 0 {
		how, among = r.keyed(i)
	}
	if how != 0 {
		return how, among
	}
	if r.first(i) && registers.MatchString(r.at(callee).text) {
		if r.at(callee-1).is(op, ". -> ?. ::") && otherBus.MatchString(r.at(callee-2).text) {
			return 0, 0
		}
		return registered, 0
	}
	if emits.MatchString(r.at(callee).text) {
		return made, 0
	}
	return r.assigned(i), 0
}

func isComparison(t *token) bool { return t.kind != str && oneOf(t.text, comparisons) }

// asserted reports whether a test expects the literal.
func (r *reader) asserted(i int) bool {
	line := r.tokens[i].line
	for j := i; j >= 0 && i-j < 40 && r.tokens[j].line == line; j-- {
		if t := r.tokens[j]; t.kind == word && asserting.MatchString(t.text) {
			return true
		}
	}
	return false
}

// subject returns the last name before == or {, which is that of what a literal
// is compared with there.
func (r *reader) subject(i int) string {
	before := i - 1
	if !isComparison(r.at(before)) {
		before = r.in[i]
	}
	for j := before - 1; j >= 0 && before-j < 4; j-- {
		if t := r.tokens[j]; t.kind != op {
			return t.text
		}
	}
	return ""
}

// function returns where the name of the function is whose arguments a bracket
// begins, or -1.
func (r *reader) function(bracket int) int {
	if !r.at(bracket).is(op, "(") {
		return -1
	}
	name := bracket - 1
	switch t := r.at(name); {
	case t.is(op, "? !"): // of Ruby
		name--
	case t.is(word, "in"):
		return -1
	}
	if r.at(name).kind != word {
		return -1
	}
	return name
}

// callee returns where the name of the function is whose argument a literal is,
// or -1.
func (r *reader) callee(i int) int {
	switch before := r.at(i - 1); {
	case r.ruby && before.kind == word: // on "…"
		return i - 1
	case r.ruby && before.is(op, "? !") && r.at(i-2).kind == word: // include? "…"
		return i - 2
	}
	return r.function(r.in[i])
}

// first reports whether nothing but names is before an argument.
func (r *reader) first(i int) bool {
	for n := 0; n < reach && r.at(i-1).is(op, ",") && r.at(i-2).kind == str && strings.Contains(r.at(i-2).text, "."); n++ {
		i -= 2
	}
	return r.at(i-1).is(op, "(") || r.ruby && r.at(i-1).kind == word
}

// looksFor returns what a function does with a name, if it looks for one.
func (r *reader) looksFor(function int) how {
	switch t := r.at(function); {
	case t.is(word, equals), t.is(word, contains), t.is(word, "in") && r.at(function+1).is(op, "?"):
		return compared
	case t.kind == word && starts.MatchString(t.text):
		return begins
	}
	return 0
}

// pattern reports whether a literal is a part of what a case is matched with,
// such as case {"event_type": "…"}.
func (r *reader) pattern(i int) bool {
	if r.at(i+1).is(op, ": =>") {
		return false
	}
	for at, n := r.in[i], 0; at >= 0 && n < reach; at, n = r.in[at], n+1 {
		if t := r.at(at - 1); t.is(word, "case") || r.ruby && t.is(word, "in") && r.at(at-2).line < t.line {
			return true
		}
	}
	return false
}

// branch recognises case "a", "b": and "a" | "b" => in their many spellings.
func (r *reader) branch(i int) (how, int) {
	first, last := r.run(i, -1), r.run(i, 1)
	before, after := r.at(first-1), r.at(last+1)
	switch {
	case before.is(word, "case when Case is"), before.is(word, "in") && r.ruby && r.at(first-2).line < before.line:
		return compared, 1 + r.in[i]
	case after.is(op, "=>") && r.matching(r.in[i]):
		return compared, 1 + r.in[i]
	case after.is(op, "->") && !before.is(op, "=> : = -> ?"):
		return compared, 1 + r.in[i]
	}
	return 0, 0
}

// run returns the other end of a row of alternatives: "a", B.C | "d".
func (r *reader) run(i, step int) int {
	for n := 0; n < reach && (r.at(i+step).is(op, ", | ||") || r.at(i+step).is(word, "or")); n++ {
		if i += 2 * step; r.at(i).is(op, "*") { // *LIST
			i += step
		}
		for r.at(i+step).is(op, ". ::") {
			i += 2 * step
		}
		if r.at(i+step).is(op, "*") {
			i += step
		}
	}
	return i
}

// matching reports whether a bracket is that of a match of PHP or Rust, or a
// switch of C#.
func (r *reader) matching(bracket int) bool {
	for j := bracket - 1; j >= 0 && bracket-j < 40 && !r.tokens[j].is(op, "; { }"); j-- {
		if r.tokens[j].is(word, "match switch") {
			return true
		}
	}
	return false
}

// declaration returns the name of what is declared or extended before an = or
// a colon: name: Type<T> =, name := and name |=.
func (r *reader) declaration(i int) *token {
	if !r.at(i).is(op, "=") {
		return r.at(i - 1)
	}
	for j := i - 1; j >= 0 && i-j < 20 && r.tokens[j].line == r.tokens[i].line; j-- {
		switch t := r.tokens[j]; {
		case t.is(op, ":"):
			return r.at(j - 1)
		case t.kind == str, t.kind == op && !t.is(op, "[ ] < > . | + - ,"):
			j = 0
		}
	}
	if r.at(i-1).is(op, "| + -") {
		i--
	}
	return r.at(i - 1)
}

// declared reports whether a literal is that of a constant of Go.
func (r *reader) declared(i int) bool {
	before := i - 1
	for before > i-4 && !r.at(before).is(word, "const") { // const name string =
		before--
	}
	return r.golang && (r.at(before).is(word, "const") || r.at(r.in[i]-1).is(word, "const"))
}

// assigned recognises constants, and literals that the program itself makes.
func (r *reader) assigned(i int) how {
	if r.golang && r.function(i-1) > 0 && r.at(i+1).is(op, ")") { // EventType("…")
		i -= 2
	}
	before, name := r.at(i-1), r.declaration(i-1)
	switch {
	case before.is(word, "return yield"), before.is(op, "?"), before.is(op, ":") && r.at(i-3).is(op, "?"):
		return made
	case before.is(op, "= : =>") && name.kind != op && name.text != "":
		first, _ := utf8.DecodeRuneInString(name.text)
		if ownKey.MatchString(name.text) {
			return made
		}
		if before.text != "=>" && name.kind == word && (unicode.IsUpper(first) || r.declared(i)) {
			if r.at(i+1).is(op, "|") || r.at(i-3).is(word, "type") { // a type of TypeScript
				return 0
			}
			return constant
		}
		if before.text == "=" && !r.at(r.in[i]).is(op, "(") { // not f(name="…")
			return made
		}
	}
	return 0
}
