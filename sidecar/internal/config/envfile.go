package config

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// readEnvFile reads a file of variables. Later files have precedence.
func (l *loaded) readEnvFile(path string, problem *Error) {
	text, err := os.ReadFile(path)
	if err != nil {
		problem.Problems = append(problem.Problems, Problem{Variable: path, Text: "cannot be read: " + cause(err) + ": give the path of a file of NAME=VALUE lines"})
		return
	}
	if !utf8.Valid(text) {
		problem.Problems = append(problem.Problems, Problem{Variable: path, Text: "is not UTF-8 text: save it as that"})
		return
	}
	seen := make(map[string]int)
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	for i, line := range lines {
		at := fmt.Sprintf("%s:%d:", path, i+1)
		name, value, err := envLine(line)
		switch {
		case err != nil:
			problem.Problems = append(problem.Problems, Problem{Variable: at, Text: err.Error()})
		case name == "":
		case seen[name] > 0:
			problem.Problems = append(problem.Problems, Problem{Variable: at, Text: fmt.Sprintf("%s is already set in line %d: remove one of them", name, seen[name])})
		default:
			seen[name] = i + 1
			l.values[name], l.sources[name] = value, source{Kind: "file", Name: path}
		}
	}
}

// envLine reads a line of a file of variables: NAME=VALUE, perhaps after
// "export"; nothing; or a comment. A value in single quotes is taken as it is.
// In double quotes \n, \r, \t, \", \\ and \$ have their usual meaning. Without
// quotes it ends at the end of the line or before " #".
// Nothing is expanded. The libraries for this cut a token at any "#", or
// replace "$" in it. Errors do not repeat the value.
func envLine(line string) (name, value string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	name, value, found := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if rest, ok := strings.CutPrefix(name, "export "); ok {
		name = strings.TrimSpace(rest)
	}
	switch {
	case !found:
		return "", "", fmt.Errorf("has no \"=\": write NAME=VALUE, or # before a comment")
	case !isVariableName(name):
		return "", "", fmt.Errorf("has no variable name before \"=\": use letters, digits and underscores")
	}
	value = strings.TrimSpace(value)
	if value == "" || value[0] != '"' && value[0] != '\'' {
		if i := strings.Index(" "+value, " #"); i >= 0 {
			value = strings.TrimSpace(value[:max(i-1, 0)])
		}
		return name, value, nil
	}
	value, rest, err := unquote(value)
	if err == nil && rest != "" && rest[0] != '#' {
		err = fmt.Errorf("has text behind the closing quote")
	}
	if err != nil {
		return "", "", fmt.Errorf("%s %w", name, err)
	}
	return name, value, nil
}

// unquote returns what the quotes at the beginning of s hold, and what follows.
func unquote(s string) (value, rest string, err error) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return b.String(), strings.TrimSpace(s[i+1:]), nil
		case s[i] == '\\' && quote == '"':
			i++
			if i == len(s) {
				return "", "", fmt.Errorf("ends in a backslash: write it twice")
			}
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$':
				b.WriteByte(s[i])
			default:
				return "", "", fmt.Errorf("has a backslash before a character that needs none: write the backslash twice, or use single quotes")
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("has no closing %c: end the value with it in the same line", quote)
}

func isVariableName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
