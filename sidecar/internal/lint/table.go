package lint

import (
	"regexp"
	"unicode"
)

var (
	setters = "set put setdefault Store putIfAbsent"
	adders  = "append push add"
	holders = regexp.MustCompile(`(?i)handle|hook|listen|callback|route|dispatch|event|type|map$`)
	// shown is a text for people, which an event's name is shown as.
	shown = regexp.MustCompile(`^\p{Lu}\p{Ll}[^\\.:@]*$|\s`)
)

// keyed recognises keys of tables whose values may be handlers: what is shown
// to people, or counted, is not one.
func (r *reader) keyed(i int) (how, int) {
	value, among := r.value(i)
	if value == 0 || r.at(value).kind == str && shown.MatchString(r.at(value).text) {
		return 0, 0
	}
	return key, among
}

// value returns where the value of a key is, or 0, and among which keys it is.
func (r *reader) value(i int) (at, among int) {
	before, after, in := r.at(i-1), r.at(i+1), r.in[i]
	switch {
	case after.is(op, "=>"),
		after.is(op, ":") && (before.is(op, "{ ,") || before.line < r.tokens[i].line && !before.is(op, "?")):
		return i + 2, 1 + in
	case after.is(op, "(") && (before.is(op, "{ ,") || before.is(word, "async")): // {"…"() {}}
		return i + 1, 1 + in
	case before.is(op, "(") && r.at(i-2).is(word, setters) && holds(r.at(i-4)):
		return i + 2, 0
	case after.is(op, ",") && in == i-1 && r.row(in) && !plain(r.at(i+2)):
		return i + 2, 1 + r.in[in]
	case !before.is(op, "[") || !after.is(op, "]"):
		return 0, 0
	case r.at(i+2).is(op, ":") && r.at(i-2).is(op, "{ ,"): // {["…"]: f}
		return i + 3, 1 + r.in[in]
	case holds(r.at(i - 2)):
		return r.stored(i + 2), 0
	}
	return 0, 0
}

// row reports whether a bracket is that of a row of a table, new Map([["…", f],
// ["…", g]]), in which Telnyx's names are.
func (r *reader) row(bracket int) bool {
	if !r.at(bracket-1).is(op, ", [ { (") {
		return false
	}
	table := r.in[bracket]
	return r.at(table).is(op, "[ {") && r.knows(table, max(table, r.pair[table]))
}

// holds reports whether a table holds handlers, by its name.
func holds(table *token) bool {
	return table.kind == word && holders.MatchString(table.text) && !otherBus.MatchString(table.text)
}

// plain reports whether a value is a number or a truth.
func plain(t *token) bool {
	return t.is(word, "true false True False") || t.kind == word && unicode.IsDigit(rune(t.text[0]))
}

// stored returns where the value is that is stored under an index, or 0: = f,
// << f, [] = f, .append(f).
func (r *reader) stored(i int) int {
	if r.at(i).is(op, "[") && r.at(i+1).is(op, "]") {
		i += 2
	}
	switch value := r.at(i + 1); {
	case r.at(i).is(op, "<") && value.is(op, "<"), r.at(i).is(op, ".") && value.is(word, adders):
		return i + 2
	case !r.at(i).is(op, "=") || plain(value):
		return 0
	}
	return i + 1
}
