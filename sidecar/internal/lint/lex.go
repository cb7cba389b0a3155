package lint

import (
	"bytes"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is a word, a string literal or an operator.
type token struct {
	kind kind
	text string // of a string: what is between its quotes
	at   int    // where it begins, in bytes
	line int    // counted from 1
}

type kind byte

const (
	word kind = iota + 1
	str
	op
)

// A syntax is all that the lexer knows of a language. The zero value is for
// languages with neither comments nor strings of many lines.
type syntax struct {
	hash   bool // # begins a comment
	slash  bool // // and /* do
	dash   bool // -- does
	triple bool // """ and ''' delimit strings of many lines
	char   bool // ' delimits a character, or a lifetime
	ruby   bool // %w[a b] is a list of strings, and a call needs no brackets
	golang bool // a constant may begin with a small letter
	fenced bool // only what is between lines of ``` is code
}

// syntaxOf returns the syntax of a file, by its name. A language that it does
// not know has the comments of both families, as most have.
func syntaxOf(name string) syntax {
	switch end := strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")); {
	case oneOf(end, "py pyi pyw"):
		return syntax{hash: true, triple: true}
	case oneOf(end, "rb erb rake ru"):
		return syntax{hash: true, ruby: true}
	case oneOf(end, "ex exs"):
		return syntax{hash: true, triple: true}
	case oneOf(end, "sh bash zsh pl pm r jl nim cr tcl"):
		return syntax{hash: true}
	case oneOf(end, "php phtml"):
		return syntax{hash: true, slash: true}
	case oneOf(end, "rs hs ml elm fs clj scm lisp"):
		return syntax{slash: true, char: true}
	case oneOf(end, "js jsx mjs cjs ts tsx mts cts vue svelte cs c h cc cpp hpp m zig d"):
		return syntax{slash: true}
	case oneOf(end, "go"):
		return syntax{slash: true, golang: true}
	case oneOf(end, "java kt kts scala swift groovy dart"):
		return syntax{slash: true, triple: true}
	case oneOf(end, "lua sql vhdl ada"):
		return syntax{dash: true}
	case oneOf(end, "md mdx markdown rst adoc"):
		return syntax{hash: true, slash: true, fenced: true}
	case oneOf(end, "html htm"):
		return syntax{slash: true}
	}
	return syntax{hash: true, slash: true}
}

// longOps are the operators of several characters that matter here.
var longOps = []string{"===", "!==", "<=>", "==", "!=", "=>", "->", "<>", "&&", "||", "::", "?."}

type lexer struct {
	syntax
	text []byte
	line int
	odd  bool // a backquote was not closed, so no later one is
	out  []token
}

// lex returns the tokens of a text, without its comments. It reads whatever
// comes: a quote that is not closed in its line is an operator.
func lex(text []byte, s syntax) []token {
	l := lexer{syntax: s, text: text, line: 1}
	if s.fenced {
		l.text = code(text)
	}
	for at := 0; at < len(l.text); {
		next := l.token(at)
		l.line += bytes.Count(l.text[at:next], []byte("\n"))
		at = next
	}
	return l.out
}

// code returns a document in which only the code is left, at its place.
func code(text []byte) []byte {
	inside, clean := false, make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		trimmed := bytes.TrimSpace(line)
		fence := bytes.HasPrefix(trimmed, []byte("```")) || bytes.HasPrefix(trimmed, []byte("~~~"))
		if inside && !fence {
			clean = append(clean, line...)
		} else {
			clean = append(clean, bytes.Repeat([]byte(" "), len(bytes.TrimRight(line, "\n")))...)
			if bytes.HasSuffix(line, []byte("\n")) {
				clean = append(clean, '\n')
			}
		}
		inside = inside != fence
	}
	return clean
}

// token reads what is at a place, and returns the place after it.
func (l *lexer) token(at int) int {
	rest := l.text[at:]
	r, size := utf8.DecodeRune(rest)
	switch {
	case unicode.IsSpace(r):
		return at + size
	case l.comment(at) > 0:
		return at + l.comment(at)
	case (r == '@' || r == '$') && len(rest) > 1 && rest[1] == '"': // C#
		return at + 1
	case isWord(r):
		n := bytes.IndexFunc(rest, func(r rune) bool { return !isWord(r) })
		if n < 0 {
			n = len(rest)
		}
		// f"…", b'…', R"…" of Python and others: the prefix is part of the string.
		if n > 2 || n == len(rest) || rest[n] != '"' && rest[n] != '\'' || bytes.ContainsAny(rest[:n], "_$acdegijkmnopqsvwxyz0123456789") {
			l.add(word, string(rest[:n]), at)
		}
		return at + n
	case r == '"' || r == '`' || r == '\'' && !l.char:
		return l.quoted(at, byte(r))
	case l.ruby && r == '%' && len(rest) > 2 && (rest[1] == 'w' || rest[1] == 'i') && bytes.IndexByte([]byte("[({"), rest[2]) >= 0:
		return l.wordList(at)
	}
	for _, long := range longOps {
		if bytes.HasPrefix(rest, []byte(long)) {
			l.add(op, long, at)
			return at + len(long)
		}
	}
	l.add(op, string(rest[:size]), at)
	return at + size
}

func isWord(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func (l *lexer) add(k kind, text string, at int) {
	l.out = append(l.out, token{k, text, at, l.line})
}

// comment returns the length of the comment at a place, or 0.
func (l *lexer) comment(at int) int {
	rest := l.text[at:]
	until := func(end string) int {
		if i := bytes.Index(rest[1:], []byte(end)); i >= 0 {
			return i + 1 + len(end)
		}
		return len(rest)
	}
	switch {
	case l.slash && bytes.HasPrefix(rest, []byte("/*")):
		return until("*/")
	case l.slash && bytes.HasPrefix(rest, []byte("//")) && (at == 0 || l.text[at-1] != ':'), // a URL
		l.dash && bytes.HasPrefix(rest, []byte("--")),
		l.hash && rest[0] == '#' && !bytes.HasPrefix(rest, []byte("#[")): // an attribute of PHP
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			return i
		}
		return len(rest)
	case bytes.HasPrefix(rest, []byte("<!--")):
		return until("-->")
	}
	return 0
}

// quoted reads a string.
func (l *lexer) quoted(at int, quote byte) int {
	rest := l.text[at:]
	if delimiter := strings.Repeat(string(quote), 3); l.triple && bytes.HasPrefix(rest, []byte(delimiter)) {
		end := bytes.Index(rest[3:], []byte(delimiter))
		if end < 0 {
			return len(l.text)
		}
		l.add(str, string(rest[3:3+end]), at)
		return at + 3 + end + 3
	}
	for i := 1; i < len(rest) && !(quote == '`' && l.odd); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '\n':
			if quote != '`' {
				l.add(op, string(quote), at)
				return at + 1
			}
		case quote:
			l.add(str, string(rest[1:i]), at)
			return at + i + 1
		}
	}
	l.odd = l.odd || quote == '`'
	l.add(op, string(quote), at)
	return at + 1
}

// wordList reads %w[a b].
func (l *lexer) wordList(at int) int {
	closing := map[byte]byte{'[': ']', '(': ')', '{': '}'}[l.text[at+2]]
	end := bytes.IndexByte(l.text[at:], closing)
	if end < 0 {
		return at + 1
	}
	l.add(op, "[", at+2)
	place := at + 3
	for field := range bytes.FieldsSeq(l.text[at+3 : at+end]) {
		place += bytes.Index(l.text[place:], field)
		l.add(str, string(field), place)
		l.add(op, ",", place)
		place += len(field)
	}
	l.add(op, "]", at+end)
	return at + end + 1
}
