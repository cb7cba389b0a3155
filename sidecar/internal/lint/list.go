package lint

import (
	"regexp"
	"strings"
)

var (
	collections = "set frozenset Set HashSet of asList listOf setOf arrayOf vec new tuple list string freeze array Array Object"
	listName    = regexp.MustCompile(`(?i)event|hook|type|trigger|deliver|status|handle`)
	typed       = "Literal enum picklist literal"
)

// listed recognises an element of a list in which an event type is looked for.
func (r *reader) listed(i int) (how, int) {
	open := r.in[i]
	if open < 0 || r.pair[open] == 0 || !r.at(i-1).is(op, "( [ { ,") || !r.at(i+1).is(op, ") ] } ,") {
		return 0, 0
	}
	if f := r.function(open); f >= 0 && !r.at(f).is(word, collections) && !r.at(f).is(word, typed) {
		return 0, 0
	}
	among := 1 + open
	// What the list is wrapped in, such as new Set([…]) or []string{…}.
	j := open - 1
	for open-j < 20 && (r.at(j).is(op, "( [ ] . { < > ! & :: * ?") || r.at(j).is(word, collections) || r.joined(j) > 0) {
		j -= 1 + r.joined(j)
	}
	end := r.pair[open] + 1
	for r.at(end).is(op, ")") && r.pair[end] > j {
		end++
	}
	if r.at(j).is(word, "in") && !r.loops(j) || r.at(end).is(word, "in contains") ||
		r.at(end).is(op, ". ?. ->") && r.at(end+1).is(word, contains) {
		return compared, among
	}
	if j < 0 {
		return 0, 0
	}
	if how := r.looksFor(j); how != 0 {
		return how, among
	}
	if how := r.looksFor(r.function(r.in[j])); how != 0 {
		return how, among
	}
	if r.at(j).is(word, typed) {
		if r.knows(open, r.pair[open]) || r.ofEvents(j) {
			return compared, among
		}
		return 0, 0
	}
	return r.named(j, open)
}

// named recognises the elements of a list with a name, RETRIES = {"a", "b"}. It
// is one of event types if its name or another element says so; that of a
// field, events: ["a", "b"], both.
func (r *reader) named(j, open int) (how, int) {
	name := r.declaration(j)
	switch t := r.at(j); {
	case t.is(op, "="):
		if listName.MatchString(name.text) || r.knows(j, r.pair[open]) {
			return compared, 1 + open
		}
	case t.is(op, ": =>") && listName.MatchString(name.text) && r.knows(open, r.pair[open]):
		return compared, 1 + open
	}
	return 0, 0
}

// joined returns how many tokens an operand has that another list is joined to,
// before its operator: OTHERS + […], (…) | {…}.
func (r *reader) joined(operator int) int {
	switch before := r.at(operator - 1); {
	case !r.at(operator).is(op, "+ | -"):
	case before.kind == word:
		return 1
	case before.is(op, ") ] }"):
		return operator - r.pair[operator-1]
	}
	return 0
}

// loops reports whether "in" is that of for x in ….
func (r *reader) loops(in int) bool {
	return r.at(in-2).is(word, "for const let var foreach") || r.at(in-2).is(op, ",") && r.at(in-4).is(word, "for")
}

// knows reports whether a name that Telnyx sends is among some tokens.
func (r *reader) knows(from, to int) bool { return r.sent[to] > r.sent[from] }

// ofEvents reports whether something is declared to be an event type.
func (r *reader) ofEvents(i int) bool {
	for j := i; j >= 0 && i-j < 8 && r.tokens[j].line == r.tokens[i].line; j-- {
		if mentions(strings.ToLower(r.tokens[j].text), eventType) {
			return true
		}
	}
	return false
}

// united recognises a part of a type of TypeScript, type T = "a" | U | "b". It
// is one of event types if another part or a field's name says so.
func (r *reader) united(i int) (how, int) {
	part := func(t *token) bool { return t.kind == str || t.kind == word || t.is(op, "| .") }
	if !r.at(i-1).is(op, "|") && !r.at(i+1).is(op, "|") {
		return 0, 0
	}
	first, last := i, i+1
	for first > 0 && i-first < reach && part(r.at(first-1)) {
		first--
	}
	for last-i < reach && part(r.at(last)) && !r.at(last).is(word, "export type interface") {
		last++
	}
	equal := r.at(first - 1)
	if equal.is(op, "=") && r.at(first-3).is(word, "type") || equal.is(op, ":") && r.at(first-2).kind == word || equal.is(op, "< ,") && r.at(last).is(op, "> ,") {
		if r.knows(first, last) || equal.text == ":" && r.ofEvents(first-2) {
			return compared, -first
		}
	}
	return 0, 0
}
