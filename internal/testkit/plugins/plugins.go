//go:build unix

// Package plugins has plugins for tests of what runs them: good ones of every
// kind, and ones that break each rule. The processes in those tests are real: a
// test binary that calls [Main] is also the plugins, under whose names [Put] puts
// it in a directory.
package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the plugin whose name the program was started by, or one of more, and
// reports whether there is one. TestMain calls it first.
func Main(more map[string]func()) bool {
	name := filepath.Base(os.Args[0])
	run, ok := more[name]
	if !ok {
		run, ok = programs[name]
	}
	if ok {
		// Go ends a program all of which waits for ever, unless it has a timer or
		// threads of C: those that hang are to hang however they are compiled.
		time.AfterFunc(24*time.Hour, func() { panic("left behind for a day") })
		run()
	}
	return ok
}

// Put makes a plugin of the name of path's last element: a script that becomes the
// test binary under that name. A host reads a program twice when it starts it, and
// copies it: with the test binary itself, 25 MB with the race detector, that was
// half of what the tests of package pluginhost took. See [PutBinary] for those for
// which a script will not do.
func Put(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, Script(t, filepath.Base(path)), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Script returns the program that [Put] puts somewhere, of a name. What is appended
// to it makes another program of it, and is not run.
func Script(t testing.TB, name string) []byte {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	PutBinary(t, program)
	return fmt.Appendf(nil, "#!/bin/sh\nunset PWD OLDPWD SHLVL _\nexec '%s' \"$@\"\n", program)
}

// PutBinary puts the test binary itself somewhere under another name, by which it is
// one of the programs.
func PutBinary(t testing.TB, path string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Link(exe, path) == nil {
		return
	}
	text, err := os.ReadFile(exe) // another file system
	if err == nil {
		err = os.WriteFile(path, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// programs are the plugins that the test binary can be, by file name.
var programs = map[string]func(){
	"good":                   func() { good(0) },
	"hookswitch-plugin-good": func() { good(0) },
	"twin":                   func() { good(0) },
	"twin-copy":              func() { good(0) },
	"twin-eu":                func() { good(0) },
	"single":                 func() { good(1) },
	"fussy":                  fussy,
	"exits":                  exits,
	"silent":                 func() { select {} },
	"chatty":                 chatty,
	"noisy":                  noisy,
	"future":                 func() { shake("1|99|unix|/nowhere|grpc") },
	"netrpc":                 func() { shake("1|1|tcp|127.0.0.1:1|netrpc") },
	"elsewhere":              func() { shake("1|1|tcp|192.0.2.1:443|grpc") },
	"outside":                func() { shake("1|1|unix|/tmp/other.sock|grpc") },
	"cert":                   func() { unaryOnly("|" + strings.Repeat("A", 200)) },
	"unary":                  func() { unaryOnly("") },
	"rogue":                  rogue,
	"mute":                   func() { mute(8) },
	"stingy":                 func() { mute(0) },
	"nothing":                func() { describeOnly() },
	"badpattern":             func() { describeOnly("message.*.sent") },
	"wide":                   func() { good(256) },
	"widestream":             wideStream,
	"wideunary":              wideUnary,
	"quick":                  quick,
	"httpd":                  httpd,
	"hogger":                 hog,
	"foreign":                foreign,
	"bomb":                   bomb,
	"slowpoke":               slowpoke,
	"newer":                  newer,
	"dialer":                 dialer,
	"lines":                  lines,
	"plain":                  plain,
	"far":                    far,
	"panics":                 func() { panic("no DSN") },
	"stranger":               stranger,
	"falls":                  falls,
	"faulty":                 faulty,
}

// Foreign returns the test binary as if it had been built for another
// processor.
func Foreign(t testing.TB) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if string(text[:4]) != "\x7fELF" {
		t.Skip("programs of this system are not ELF")
	}
	text[0x12], text[0x13] = 0xb7, 0 // e_machine: AArch64
	if runtime.GOARCH == "arm64" {
		text[0x12] = 0x3e // x86-64
	}
	return text
}
