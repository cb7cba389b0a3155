package lint

import (
	"regexp"
	"slices"
	"strings"
)

// A place is a string literal where event types are compared, or made.
type place struct {
	token
	how how
}

type how byte

const (
	compared   how = iota + 1 // type == "…", "…".equals(type), case "…", one of a list
	key                       // of a table: {"…": handler}
	registered                // on("…", handler)
	constant                  // MESSAGE_SENT = "…", to be compared elsewhere
	made                      // returned, emitted, assigned: a name of the program's own
)

var (
	comparisons = []string{"==", "===", "!=", "!==", "<>", "eq", "ne", "is"}
	equals      = []string{"equals", "Equals", "equalsIgnoreCase", "eql", "isEqualTo", "isEqualToString", "contentEquals", "strcmp", "strcasecmp", "hash_equals"}
	contains    = []string{"includes", "contains", "Contains", "include", "has", "Has", "indexOf", "IndexOf", "in_array", "any", "member", "containsKey", "ContainsKey", "has_key", "array_key_exists"}
	collections = []string{"set", "frozenset", "Set", "HashSet", "of", "asList", "listOf", "setOf", "arrayOf", "vec", "new", "tuple", "list", "string", "freeze"}
	registers   = regexp.MustCompile(`^(?i:on|once|add_?(event_?)?listener|subscribe|handles?|handler|handle_?func|register(_?(event|webhook))?(_?handler)?|on_?(webhook_?)?event|event_?(handler|listener)|as_?event_?listener|define|webhook)$`)
	emits       = regexp.MustCompile(`^(?i:emit|publish|fire|dispatch|broadcast|trigger|notify|raise|send|enqueue)(_?\w*)$`)
	otherBus    = regexp.MustCompile(`(?i)(bus|emitter|socket|queue|pusher|redis|broker|nats|kafka|process|stream|ipc|signal|ably|channel|room|store)$`)
	ownKey      = regexp.MustCompile(`^(?i:type|event|name|action|topic|kind|subject|metric)$`)
	listName    = regexp.MustCompile(`(?i)event|hook|type|trigger|deliver|status|handle`)
	asserting   = regexp.MustCompile(`^(?i:assert|expect|should|must|require)`)
)

// reach is how many tokens a list is followed in each direction.
const reach = 400

type reader struct {
	tokens []token
	golang bool // whose constants may begin with a small letter
}

// places returns the string literals in places where event types are compared or
// made.
func places(tokens []token, golang bool) (list []place) {
	r := reader{tokens, golang}
	for i, t := range tokens {
		if t.kind != str || len(t.text) > 100 || !strings.ContainsAny(t.text, "._") || strings.ContainsAny(t.text, " /\n") {
			continue
		}
		if how := r.place(i); how != 0 {
			list = append(list, place{t, how})
		}
	}
	return list
}

// at returns the token at a place, or none.
func (r reader) at(i int) token {
	if i < 0 || i >= len(r.tokens) {
		return token{}
	}
	return r.tokens[i]
}

func (t token) is(k kind, texts ...string) bool { return t.kind == k && slices.Contains(texts, t.text) }

func (r reader) place(i int) how {
	before, after := r.at(i-1), r.at(i+1)
	callee := r.at(i - 2)
	if callee.is(op, "?") { // of Ruby
		callee = r.at(i - 3)
	}
	call := before.is(op, "(")
	switch {
	case r.asserted(i):
		return 0
	case isComparison(before), isComparison(after) && after.text != "is",
		call && callee.is(word, equals...), call && callee.is(word, contains...),
		after.is(op, ".", "?.") && r.at(i+2).is(word, equals...),
		before.is(op, ",") && r.callee(i).is(word, equals...),
		r.listed(i):
		return compared
	}
	if how := r.branch(i); how != 0 {
		return how
	}
	switch {
	case after.is(op, ":") && (before.is(op, "{", ",") || before.line < r.tokens[i].line && !before.is(op, "?")):
		return key
	case call && callee.kind == word && registers.MatchString(callee.text):
		if r.at(i-3).is(op, ".", "->", "?.") && otherBus.MatchString(r.at(i-4).text) {
			return 0
		}
		return registered
	}
	return r.assigned(i)
}

func isComparison(t token) bool {
	return (t.kind == op || t.kind == word) && slices.Contains(comparisons, t.text)
}

// asserted reports whether a test expects the literal.
func (r reader) asserted(i int) bool {
	line := r.tokens[i].line
	for j := i; j >= 0 && i-j < 40 && r.tokens[j].line == line; j-- {
		if t := r.tokens[j]; t.kind == word && asserting.MatchString(t.text) {
			return true
		}
	}
	return false
}

// callee returns the function in whose arguments a token is.
func (r reader) callee(i int) token {
	depth := 0
	for j := i - 1; j > 0 && i-j < 20; j-- {
		switch t := r.tokens[j]; {
		case t.is(op, ")", "]"):
			depth++
		case t.is(op, "[") && depth > 0:
			depth--
		case t.is(op, "(") && depth > 0:
			depth--
		case t.is(op, "("):
			return r.tokens[j-1]
		case t.is(op, ";", "{", "}"):
			return token{}
		}
	}
	return token{}
}

// branch recognises case "a", "b": and "a" | "b" => in their many spellings.
func (r reader) branch(i int) how {
	between := func(t token) bool {
		return t.kind == str && strings.ContainsAny(t.text, "._") || t.is(op, ",", "|", "||") || t.is(word, "or")
	}
	back := i - 1
	for between(r.at(back)) && i-back < reach {
		back--
	}
	switch t := r.at(back); {
	case t.is(word, "case", "when", "Case", "is"):
		return compared
	case t.is(op, "=>", ":", "=", "->", "?"): // a value, not a key
		return 0
	}
	on := i + 1
	for between(r.at(on)) && on-i < reach {
		on++
	}
	switch t := r.at(on); {
	case !t.is(op, "=>", "->"):
		return 0
	case r.matching(back):
		return compared
	}
	return key
}

// matching reports whether a token is in a match of PHP or Rust, a switch of C#.
func (r reader) matching(i int) bool {
	for j := i; j >= 0 && i-j < reach && !r.tokens[j].is(op, ";"); j-- {
		if r.tokens[j].is(word, "match", "switch") {
			return true
		}
	}
	return false
}

// listed recognises an element of a list in which an event type is looked for.
func (r reader) listed(i int) bool {
	inside := func(t token) bool { return t.kind == str || t.is(op, ",") }
	open, end := i-1, i+1
	for inside(r.at(open)) && i-open < reach {
		open--
	}
	for inside(r.at(end)) && end-i < reach {
		end++
	}
	if !r.at(open).is(op, "[", "(", "{") || !r.at(end).is(op, "]", ")", "}") {
		return false
	}
	// What the list is wrapped in, such as new Set([…]) or []string{…}.
	j := open - 1
	for open-j < 10 && (r.at(j).is(op, "(", "[", "]", ".", "{", "<", ">", "!", "&", "::", "*") || r.at(j).is(word, collections...)) {
		j--
	}
	after := r.at(end + 1)
	if r.at(j).is(word, "in") || after.is(word, "in", "contains") ||
		r.at(j).is(word, contains...) || r.callee(j+1).is(word, contains...) ||
		after.is(op, ".", "?.", "->") && r.at(end+2).is(word, contains...) {
		return true
	}
	// A list with a name, RETRIES = {"a", "b"}, is one of event types if its name
	// or another element says so.
	if !r.at(j).is(op, "=") {
		return false
	}
	name := r.at(j - 1)
	if name.is(op, ":") { // :=
		name = r.at(j - 2)
	}
	return listName.MatchString(name.text) ||
		slices.ContainsFunc(r.tokens[open:end], func(t token) bool { return t.kind == str && known(t.text) })
}

// declared reports whether a literal is that of a constant of Go.
func (r reader) declared(i int) bool {
	for j := i - 1; r.golang; j-- {
		switch t := r.at(j); {
		case t.is(word, "const"):
			return i-j <= 4 // const name string =
		case t.is(op, "("):
			return r.at(j-1).is(word, "const")
		case t.kind != word && t.kind != str && !t.is(op, "="):
			return false
		}
	}
	return false
}

// assigned recognises constants, and literals that the program itself makes.
func (r reader) assigned(i int) how {
	before, name := r.at(i-1), r.at(i-2)
	switch {
	case before.is(word, "return", "yield"), before.is(op, "?"), before.is(op, ":") && r.at(i-3).is(op, "?"):
		return made
	case before.is(op, "(") && name.kind == word && emits.MatchString(name.text):
		return made
	case before.is(op, "=", ":", "=>") && name.kind != op && name.text != "":
		if before.text != "=>" && name.kind == word && (strings.ToLower(name.text[:1]) != name.text[:1] || r.declared(i)) {
			if r.at(i+1).is(op, "|") || r.at(i-3).is(word, "type") { // a type of TypeScript
				return 0
			}
			return constant
		}
		if before.text == "=" || ownKey.MatchString(name.text) {
			return made
		}
	}
	return 0
}
