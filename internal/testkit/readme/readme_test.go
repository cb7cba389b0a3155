//go:build unix

// Package readme runs the commands of README.md in a clean clone, as somebody
// who reads it for the first time would.
//
//	make readme
//
// A console block that is to be run stands behind a comment,
//
//	<!-- run PATH -->        its commands end; or
//	<!-- run PATH stays -->  the last one goes on, in a terminal of its own.
//
// Blocks of one PATH are run in their order. What a block shows behind a command
// must appear, in that order; … stands for anything. A command that only looks
// is repeated until it does, as a reader would.
package readme

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
)

const (
	root     = "../../.."
	patience = 60 * time.Second // also the most that a path may take
)

// block is one console block.
type block struct {
	stays    bool
	commands []command
}

// command is a command and what the page shows behind it.
type command struct {
	line  string
	shows []string
}

// looks reports whether the command changes nothing.
func (c command) looks() bool {
	return strings.HasPrefix(c.line, "curl ") || strings.Contains(c.line, " list")
}

var comment = regexp.MustCompile(`(?s)<!-- run (\w+)( stays)? -->\n` + "```console\n(.*?)```")

// blocks returns those of each path, in the order of the page.
func blocks(t *testing.T) map[string][]block {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths := make(map[string][]block)
	for _, m := range comment.FindAllStringSubmatch(string(page), -1) {
		b := block{stays: m[2] != ""}
		for line := range strings.Lines(m[3]) {
			if text, ok := strings.CutPrefix(line, "$ "); ok {
				b.commands = append(b.commands, command{line: text})
			} else if last := len(b.commands) - 1; strings.TrimSpace(line) != "" {
				b.commands[last].shows = append(b.commands[last].shows, line)
			}
		}
		paths[m[1]] = append(paths[m[1]], b)
	}
	return paths
}

func TestReadme(t *testing.T) {
	if os.Getenv("HOOKSWITCH_README") == "" {
		t.Skip("uses the ports 5000, 8080 and 9080, and Python: run it with make readme")
	}
	paths := blocks(t)
	clone := filepath.Join(t.TempDir(), "hookswitch")
	if out, err := exec.Command("git", "clone", "--quiet", "--depth", "1", "file://"+abs(t, root), clone).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	env := append(os.Environ(), "MAKEFLAGS=", "PATH="+python(t)+":"+os.Getenv("PATH"))
	if took := follow(t, clone, env, paths["build"], 10*time.Minute); !t.Failed() {
		t.Logf("%-12s %6.1f s", "build", took.Seconds())
	}
	for _, path := range []string{"middleware", "sidecar", "plugin"} {
		if len(paths[path]) == 0 {
			t.Fatalf("the README has nothing to run for %s", path)
		}
		t.Run(path, func(t *testing.T) {
			took := follow(t, clone, env, paths[path], patience)
			t.Logf("%-12s %6.1f s to the first event and what became of it", path, took.Seconds())
			if took > patience {
				t.Errorf("that is more than %v", patience)
			}
		})
	}
}

// follow does what the blocks say and returns how long it took.
func follow(t *testing.T, dir string, env []string, all []block, limit time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	for _, b := range all {
		if b.stays {
			stay(t, dir, env, b, limit)
			continue
		}
		for _, c := range b.commands {
			for {
				out := new(screen)
				cmd := start(t, dir, env, c.line, out)
				if err := wait(cmd, limit); err != nil {
					t.Fatalf("%s: %v\n%s", c.line, err, out)
				}
				err := out.check(c.shows)
				if err == nil {
					break
				}
				if !c.looks() || time.Since(begun) > limit {
					t.Fatalf("%s: %v", c.line, err)
				}
				time.Sleep(50 * time.Millisecond) // polls other processes
			}
		}
	}
	return time.Since(begun)
}

// start starts the commands in a shell, in a process group of their own.
func start(t *testing.T, dir string, env []string, script string, out *screen) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("bash", "-e", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// wait waits for the end of cmd, and kills it with all that it has started when
// that takes too long.
func wait(cmd *exec.Cmd, limit time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		return fmt.Errorf("took longer than %v", limit)
	}
}

// stay starts the commands of a block, of which the last goes on until the test
// ends, and waits until it shows what it should.
func stay(t *testing.T, dir string, env []string, b block, limit time.Duration) {
	t.Helper()
	script := ""
	for _, c := range b.commands {
		script += c.line
	}
	out := new(screen)
	cmd := start(t, dir, env, script, out)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-done
	})
	await(t, b.commands[len(b.commands)-1], out, done, limit)
}

// await waits until what stays shows what it should.
func await(t *testing.T, c command, out *screen, done chan error, limit time.Duration) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := out.check(c.shows)
		if err == nil {
			return
		}
		select {
		case ended := <-done:
			done <- ended
			t.Fatalf("%s has ended: %v\n%s", c.line, ended, out)
		case <-deadline.C:
			t.Fatalf("%s: %v", c.line, err)
		case <-tick.C:
		}
	}
}

// screen is the text that a terminal has shown.
type screen struct{ output.Buffer }

// check says which of the lines has not appeared behind the one before.
func (s *screen) check(lines []string) error {
	text := s.String()
	rest := text
	for _, line := range lines {
		var pattern strings.Builder
		for i, word := range strings.Fields(line) {
			if i > 0 {
				pattern.WriteString(`[ \t]*`)
			}
			pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(word), "…", `[^\n]*`))
		}
		at := regexp.MustCompile(pattern.String()).FindStringIndex(rest)
		if at == nil {
			return fmt.Errorf("it does not show %q:\n%s", line, text)
		}
		rest = rest[at[1]:]
	}
	return nil
}

// python returns a directory in which python3 is one that has Flask.
func python(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(candidate)
		if err == nil && exec.Command(path, "-c", "import flask, cryptography").Run() == nil {
			script := "#!/bin/sh\nexec " + path + " \"$@\"\n"
			if err := os.WriteFile(filepath.Join(dir, "python3"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	t.Fatal("no python3 here has flask and cryptography (Debian: python3-flask python3-cryptography)")
	return ""
}

func abs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
