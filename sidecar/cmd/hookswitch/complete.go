package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// completionScripts ask this program what may come next: "hookswitch __complete" and
// the words so far prints it, a value and its meaning on each line. The scripts of
// the library know only commands and flags, and take "forward:default" apart.
//
//go:embed completion
var completionScripts embed.FS

// completionWord begins the arguments of a completion.
const completionWord = "__complete"

// completeTimeout bounds the questions to a sidecar: somebody is typing.
const completeTimeout = time.Second

// candidate is a word that may come next.
type candidate struct{ word, meaning string }

// typing is a command line that is not finished.
type typing struct {
	c      *cli.Command      // the innermost command
	args   []string          // its arguments before the last word
	flag   string            // whose value the last word is, or ""
	prefix string            // of the last word, before that value: --flag= or what a comma ends
	word   string            // the last word, without the prefix
	values map[string]string // of flags, by name
	rest   bool              // "--" was there: what follows is somebody else's
}

// complete prints what may stand for the last of words. There is nobody to read an
// error.
func complete(ctx context.Context, root *cli.Command, words []string, out io.Writer) int {
	root.Action = func(ctx context.Context, c *cli.Command) error {
		ctx, cancel := context.WithTimeout(ctx, completeTimeout)
		defer cancel()
		t := readTyping(c, words)
		seen := make(map[string]bool)
		for _, next := range t.candidates(ctx) {
			if strings.HasPrefix(next.word, t.word) && !seen[next.word] && !slices.Contains(t.args, next.word) {
				seen[next.word] = true
				fmt.Fprintf(out, "%s%s\t%s\n", t.prefix, oneLine(next.word), oneLine(next.meaning))
			}
		}
		return nil
	}
	// Which sidecar is asked is decided by flags of the words.
	args := []string{root.Name}
	for name, value := range readTyping(root, words).values {
		if slices.Contains([]string{"addr", "token-file", "env-file"}, name) {
			args = append(args, "--"+name, value)
		}
	}
	if root.Run(ctx, args) != nil {
		return exitFailed
	}
	return exitOK
}

// readTyping finds out what is being typed.
func readTyping(root *cli.Command, words []string) typing {
	t := typing{c: root, values: make(map[string]string)}
	if len(words) == 0 {
		words = []string{""}
	}
	last := len(words) - 1
	for _, word := range words[:last] {
		name, value, has := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case t.rest:
		case t.flag != "":
			t.values[t.flag], t.flag = word, ""
		case word == "--":
			t.rest = true
		case strings.HasPrefix(word, "-") && has:
			t.values[t.named(name)] = value
		case strings.HasPrefix(word, "-"):
			t.flag = t.named(name)
		case len(t.args) == 0 && t.c.Command(word) != nil:
			t.c = t.c.Command(word)
		default:
			t.args = append(t.args, word)
		}
	}
	t.word = words[last]
	if name, value, has := strings.Cut(t.word, "="); has && t.flag == "" && strings.HasPrefix(name, "--") {
		t.flag, t.prefix, t.word = t.named(strings.TrimLeft(name, "-")), name+"=", value
	}
	separator := map[string]string{"type": ",", "filter": " "}[t.flag]
	if i := strings.LastIndex(t.word, separator); separator != "" && i >= 0 {
		t.prefix, t.word = t.prefix+t.word[:i+1], t.word[i+1:]
	}
	return t
}

// flags returns those that the command takes.
func (t *typing) flags() []cli.Flag {
	return slices.Concat(t.c.VisibleFlags(), t.c.VisiblePersistentFlags(), t.c.Root().Flags)
}

// named returns the first name of a flag that takes a value, or "".
func (t *typing) named(name string) string {
	for _, f := range t.flags() {
		if _, is := f.(*cli.BoolFlag); !is && slices.Contains(f.Names(), name) {
			return f.Names()[0]
		}
	}
	return ""
}

// candidates returns what may come next, whatever its beginning.
func (t *typing) candidates(ctx context.Context) (list []candidate) {
	switch {
	case t.rest:
		return nil
	case t.flag != "":
		return t.flagValues(ctx)
	case strings.HasPrefix(t.word, "-"):
		for _, f := range t.flags() {
			if doc, ok := f.(cli.DocGenerationFlag); ok && f.Names()[0] != "help" {
				list = append(list, candidate{dashed(f.Names()[0]), strings.ReplaceAll(doc.GetUsage(), "`", "")})
			}
		}
		return append(list, candidate{"--help", "show the help of the command"})
	}
	if len(t.args) == 0 {
		for _, sub := range t.c.VisibleCommands() {
			list = append(list, candidate{sub.Name, sub.Usage})
		}
	}
	return append(list, t.arguments(ctx)...)
}

// script returns the script of a shell, or nil if the library's is used.
func script(shell string) []byte {
	text, err := completionScripts.ReadFile("completion/hookswitch." + shell)
	if err != nil {
		return nil
	}
	return text
}
