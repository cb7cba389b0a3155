package main

import (
	"bytes"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// TestManual: every command and flag is in the manual page, whatever is added, and
// the page is one that man shows without a complaint.
func TestManual(t *testing.T) {
	var page, errs bytes.Buffer
	if code := run(t.Context(), []string{"hookswitch", "man"}, &page, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	root, _ := newCommand(io.Discard, io.Discard)
	if err := root.Run(t.Context(), []string{"hookswitch"}); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(page.String(), `\-`, "-")
	var walk func(c *cli.Command)
	walk = func(c *cli.Command) {
		if c != root && !strings.Contains(text, ".SS "+c.FullName()) {
			t.Errorf("%s is not there", c.FullName())
		}
		for _, f := range c.VisibleFlags() {
			if name := f.Names()[0]; name != "help" && name != "version" && !strings.Contains(text, dashed(name)) {
				t.Errorf("%s %s is not there", c.FullName(), dashed(name))
			}
		}
		for _, sub := range c.VisibleCommands() {
			if sub.Name != "help" {
				walk(sub)
			}
		}
	}
	walk(root)
	known := regexp.MustCompile(`^\.(\\"|TH|SH|SS|TP|B|PP|nf|fi|RS|RE)( |$)`)
	for line := range strings.Lines(page.String()) {
		if line = strings.TrimRight(line, "\n"); strings.HasPrefix(line, ".") && !known.MatchString(line) || strings.HasPrefix(line, "'") {
			t.Errorf("a text looks like a macro: %s", line)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("whether man shows it: groff is not installed")
	}
	cmd := exec.Command(groff, "-man", "-Kutf8", "-Tutf8", "-P-c", "-ww")
	cmd.Stdin = &page
	var warnings bytes.Buffer
	cmd.Stderr = &warnings
	shown, err := cmd.Output()
	shown = regexp.MustCompile(`.\x08`).ReplaceAll(shown, nil) // bold letters are printed twice
	if err != nil || warnings.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, &warnings)
	}
	if !bytes.Contains(shown, []byte("GLOBAL OPTIONS")) {
		t.Errorf("shown:\n%.500s", shown)
	}
}
