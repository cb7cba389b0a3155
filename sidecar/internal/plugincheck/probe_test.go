//go:build unix

package plugincheck

import (
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// probeFile returns a plugin directory's file: a link to the test binary, which
// is the program of that name, or a file with that content.
func probeFile(t *testing.T, name string, content []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if content != nil {
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	exe, err := os.Executable()
	if err == nil {
		err = os.Symlink(exe, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func probeConfig() Config {
	return Config{Env: []string{"GORACE"}, Environ: os.Environ(), StartTimeout: soon}
}

// probe starts a plugin and stops it.
func probe(t *testing.T, path string, cfg Config) Report {
	t.Helper()
	p := Start(t.Context(), path, cfg)
	err := p.Stop()
	if err != nil && p.Report.OK {
		t.Logf("stop: %v", err)
	}
	if p.scratch != nil {
		if _, err := os.Stat(p.scratch.base); err == nil {
			t.Errorf("%s was left", p.scratch.base)
		}
	}
	p.Report.Warnings = slices.DeleteFunc(p.Report.Warnings, ofTestEvents)
	return p.Report
}

// ofTestEvents reports whether a warning is about the event types of the tests'
// own programs, which nobody else knows.
func ofTestEvents(warning string) bool { return strings.Contains(warning, "not a known event type") }

// TestProbeSaysWhy: each way not to be a plugin has its words.
func TestProbeSaysWhy(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	script := func(lines ...string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }
	for _, test := range []struct {
		name    string
		content []byte      // nil: the program of that name
		mode    os.FileMode // 0: 0700
		timeout time.Duration
		kind    string
		what    string
		detail  string
		fix     string
	}{
		{name: "empty", content: []byte{}, kind: catalog.ProblemFormat, what: "the file is empty", fix: "copy it again"},
		{name: "text", content: script("hello"), kind: catalog.ProblemFormat, what: "does not begin with #!", fix: "#!/usr/bin/env python3"},
		{name: "app.mjs", content: script("hello"), kind: catalog.ProblemFormat, fix: "#!/usr/bin/env node"},
		{name: "bytes", content: []byte{0, 1, 2, 3}, kind: catalog.ProblemFormat, what: `it begins with "\x00\x01\x02\x03"`},
		{name: "bom", content: []byte("\xef\xbb\xbf#!/bin/sh\n"), kind: catalog.ProblemFormat, what: "byte order mark", fix: "sed -i"},
		{name: "mode", content: script("#!/bin/sh"), mode: 0o644, kind: catalog.ProblemMode, what: "not executable (mode 0644)", fix: "chmod +x "},
		{name: "text", content: script("hello"), mode: 0o600, kind: catalog.ProblemFormat},
		{name: "a b", content: script("#!/bin/sh"), kind: catalog.ProblemName, what: `its name "a b"`, fix: "rename it"},
		{name: "half", content: self[:len(self)/2], kind: catalog.ProblemFormat, what: "is not complete", fix: "copy it again"},
		{name: "half", content: self[:len(self)/2], mode: 0o600, kind: catalog.ProblemFormat, what: "is not complete"},
		{name: "stub", content: self[:100], kind: catalog.ProblemFormat, what: "is not complete"},
		{name: "wasm", content: []byte("\x00asm\x01\x00\x00\x00"), kind: catalog.ProblemPlatform, what: "WebAssembly"},
		{name: "none", content: script("#!/no/such/program"), kind: catalog.ProblemInterpreter, what: "its interpreter /no/such/program does not exist (no such file"},
		{name: "env", content: script("#!/usr/bin/env -S pyton3 -u"), kind: catalog.ProblemInterpreter, what: `its interpreter "pyton3" is in no directory of PATH`, fix: "install pyton3"},
		{name: "crlf", content: script("#!/bin/sh\r"), kind: catalog.ProblemInterpreter, what: "carriage return", fix: "sed -i"},
		{name: "blank", content: script("#!"), kind: catalog.ProblemInterpreter, what: "nothing follows the #!"},
		{name: "quits", content: script("#!/bin/sh", "exit 0"), kind: catalog.ProblemHandshake, what: "ended before the handshake, as if all were well", fix: "sdk.Serve"},
		{name: "wants", content: script("#!/bin/sh", "echo BILLING_DSN is not set >&2", "exit 4"), kind: catalog.ProblemCrash,
			what: "ended before the handshake (exit status 4)", detail: "BILLING_DSN is not set", fix: "set BILLING_DSN here, and pass it with HOOKSWITCH_PLUGIN_ENV=BILLING_DSN"},
		{name: "closes", content: script("#!/bin/sh", "exec >&-", "read x"), kind: catalog.ProblemHandshake, what: "closed its standard output"},
		{name: "core", content: script("#!/bin/sh", "echo '2|1|unix|/x|grpc'", "read x"), kind: catalog.ProblemProtocol, what: "version 2 of go-plugin's handshake, and this host version 1"},
		{name: "exits", kind: catalog.ProblemCrash, what: "exit status 3", detail: "cannot open the database"},
		{name: "panics", kind: catalog.ProblemCrash, what: "panicked before the handshake", detail: "panic: no DSN", fix: ""},
		{name: "silent", timeout: 200 * time.Millisecond, kind: catalog.ProblemSlow, what: "no handshake within 200ms"},
		{name: "chatty", kind: catalog.ProblemHandshake, what: "printed 64 lines to standard output, and no handshake", detail: "still loading"},
		{name: "stranger", kind: catalog.ProblemProtocol, what: "plugin of another program", fix: `MagicCookieKey to "HOOKSWITCH_PLUGIN"`},
		{name: "future", kind: catalog.ProblemProtocol, what: "version 99 of the plugin protocol, and this hookswitch version 1", detail: "1|99|unix"},
		{name: "netrpc", kind: catalog.ProblemProtocol, what: "does not speak gRPC", detail: "netrpc"},
		{name: "elsewhere", kind: catalog.ProblemProtocol, what: "192.0.2.1", fix: "PLUGIN_UNIX_SOCKET_DIR"},
		{name: "nothing", kind: catalog.ProblemDescribe, what: "declares 0 event types", fix: "message.*"},
		{name: "badpattern", kind: catalog.ProblemDescribe, what: `pattern "message.*.sent"`},
		{name: "fussy", kind: catalog.ProblemSettings, what: "there is no fussy.json beside it", detail: "dsn: is required", fix: "--settings"},
		{name: "stingy", timeout: time.Second, kind: catalog.ProblemSlow, what: "Credit within 1s"},
		{name: "falls", kind: catalog.ProblemCrash, what: "when it was asked to take its settings (exit status 9)", detail: "cannot take them"},
	} {
		t.Run(test.name+" "+test.what, func(t *testing.T) {
			if test.mode == 0 {
				test.mode = 0o700
			}
			cfg := probeConfig()
			if test.timeout > 0 {
				cfg.StartTimeout = test.timeout
			}
			r := probe(t, probeFile(t, test.name, test.content, test.mode), cfg)
			if r.OK || r.Problem == nil {
				t.Fatalf("no problem: %+v", r)
			}
			p := r.Problem
			if p.Kind != test.kind || !strings.Contains(p.What, test.what) || !strings.Contains(strings.Join(p.Detail, "\n"), test.detail) || !strings.Contains(p.Fix, test.fix) {
				t.Errorf("got kind  %s\nwhat   %s\ndetail %q\nfix    %s", p.Kind, p.What, p.Detail, p.Fix)
			}
		})
	}
	for path, want := range map[string]string{
		"/no/such":                             "its directory cannot be read",
		filepath.Join(t.TempDir(), "nothing"):  "there is no such file",
		t.TempDir():                            "it is a directory",
		os.DevNull:                             "it is not a regular file",
		probeFile(t, "x.bin", nil, 0) + ".bin": "there is no such file",
	} {
		if r := probe(t, path, probeConfig()); r.Problem == nil || !strings.Contains(r.Problem.What, want) {
			t.Errorf("%s: %+v", path, r.Problem)
		}
	}
}

// A manifest may ask for as many events at once as a link lets a plugin have.
func TestManifestAllowsTheWholeWindow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "far"+catalog.ManifestSuffix)
	for n, ok := range map[int]bool{link.WindowMax: true, link.WindowMax + 1: false} {
		check(t, os.WriteFile(path, fmt.Appendf(nil, `{"protocol":"remote","address":"127.0.0.1:1","max_in_flight":%d}`, n), 0o600))
		if _, err := catalog.ReadManifest(path); (err == nil) != ok {
			t.Errorf("max_in_flight %d: %v", n, err)
		}
	}
}

// TestProbeForeignBinaries: headers say what a program was built for.
func TestProbeForeignBinaries(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH == "s390x" {
		t.Skip("the binary of this test is patched, which is ELF and little-endian on Linux")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	mac := binary.LittleEndian.AppendUint32(nil, 0xfeedfacf)                 // 64 bits
	mac = binary.LittleEndian.AppendUint32(mac, 0x0100000c)                  // arm64
	mac = append(binary.LittleEndian.AppendUint32(mac, 0), 2)                // a program
	mac = append(mac, make([]byte, 100)...)                                  // without load commands
	win := append([]byte("MZ"), make([]byte, 0x5e)...)                       // the header of DOS
	win[0x3c] = 0x60                                                         // where that of Windows is
	win = append(append(win, "PE\x00\x00\x64\x86"...), make([]byte, 200)...) // amd64
	patched := func(offset int, value uint16) []byte {
		body := slices.Clone(self)
		binary.LittleEndian.PutUint16(body[offset:], value)
		return body
	}
	const machine, system = 18, 7 // offsets in the header of ELF
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"s390": {patched(machine, uint16(elf.EM_S390)), "built for linux/s390x, and this machine is linux/" + runtime.GOARCH},
		"mips": {patched(machine, uint16(elf.EM_MIPS)), "built for linux/mips"},
		"mac":  {mac, "built for darwin/arm64"},
		"win":  {win, "built for windows/amd64"},
		"obj":  {patched(16, uint16(elf.ET_REL)), "object file"},
	} {
		r := probe(t, probeFile(t, name, test.content, 0o700), probeConfig())
		if r.Problem == nil || !strings.Contains(r.Problem.What, test.want) || r.Problem.Fix == "" {
			t.Errorf("%s: %+v", name, r.Problem)
		}
	}
	// Its headers are read before it runs, so only they are of FreeBSD.
	path := probeFile(t, "bsd", patched(system, uint16(elf.ELFOSABI_FREEBSD)), 0o700)
	if _, foreign := catalog.Inspect(path, nil); foreign == nil || !strings.Contains(foreign.What, "built for freebsd/") {
		t.Errorf("bsd: %+v", foreign)
	}
}

// TestProbe: what a plugin says of itself is in the report, events reach it, and
// nothing of it is left.
func TestProbe(t *testing.T) {
	path := probeFile(t, "hookswitch-plugin-good", nil, 0)
	p := Start(t.Context(), path, probeConfig())
	t.Cleanup(func() { _ = p.Stop() })
	if r := p.Report; !r.OK || r.Name != "good" || r.Version != "1.2.3" || r.SDK != "hookswitch-go" || !r.Stream || r.InFlight == 0 ||
		r.Protocol != 1 || r.HandshakeTook <= 0 || r.StartTook < r.HandshakeTook || !slices.Contains(r.Patterns, "test.ack") ||
		len(slices.DeleteFunc(slices.Clone(r.Warnings), ofTestEvents)) > 0 {
		t.Fatalf("%+v %v", p.Report, p.Report.Problem)
	}
	for do, want := range map[string]delivery.Outcome{"ack": delivery.OutcomeDone, "after": delivery.OutcomeRetry, "permanent": delivery.OutcomeFailed, "panic": delivery.OutcomeRetry} {
		a, err := p.Deliver(t.Context(), event(do))
		if err != nil || a.Outcome != want {
			t.Errorf("%s: %+v, %v", do, a, err)
		}
	}
	if a, err := p.Deliver(t.Context(), event("exit")); err != nil || a.Outcome != delivery.OutcomeLost || !strings.Contains(a.Error, "exit status 7") {
		t.Errorf("exit: %+v, %v", a, err)
	}
	if a, err := p.Deliver(t.Context(), event("ack")); err != nil || !strings.Contains(a.Error, "exit status 7") {
		t.Errorf("after exit: %+v, %v", a, err)
	}

	t.Run("noise, settings and a name that is passed over", func(t *testing.T) {
		if r := probe(t, probeFile(t, "noisy", nil, 0), probeConfig()); !r.OK || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], `"loading part 0 | of 20", "loading part 1`) {
			t.Errorf("%+v", r)
		}
		path := probeFile(t, "fussy", nil, 0)
		beside := filepath.Join(filepath.Dir(path), "fussy.json")
		if err := os.WriteFile(beside, []byte(`{"dsn":"x"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := probe(t, path, probeConfig()); !r.OK || r.Settings != beside {
			t.Errorf("%+v", r)
		}
		cfg := probeConfig()
		cfg.Settings = filepath.Join(t.TempDir(), "other.json")
		if r := probe(t, path, cfg); r.OK || r.Problem.Kind != catalog.ProblemSettings || !strings.Contains(r.Problem.What, "no such file") {
			t.Errorf("%+v", r)
		}
		if err := os.WriteFile(cfg.Settings, []byte(`{}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := probe(t, path, cfg); r.OK || !strings.Contains(r.Problem.What, "it refuses its settings, "+cfg.Settings) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a minimal one, in JSON", func(t *testing.T) {
		text, err := json.Marshal(probe(t, probeFile(t, "unary", nil, 0), probeConfig()))
		if err != nil || !strings.Contains(string(text), `"stream":false,"in_flight":2,"patterns":["*"]`) {
			t.Errorf("%s, %v", text, err)
		}
	})
	t.Run("what a manifest declares", func(t *testing.T) {
		for text, want := range map[string]string{
			`{"protocol":"jsonl","command":["lines"],"events":["test.*"]}`: "",
			`{"protocol":"jsonl","command":["lines"]}`:                     `key "events"`,
			`{"protocol":"jsonl","command":["no-such"],"events":["*"]}`:    `"no-such"`,
			`{"protocol":"jsonl","command":["false"],"events":["*"]}`:      "the program ended at once",
			`{"protocol":"remote","address":"unix:/no/such/socket"}`:       "remote plugin at unix:/no/such/socket",
		} {
			path := filepath.Join(filepath.Dir(probeFile(t, "lines", nil, 0)), "crm.plugin.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := Start(t.Context(), path, probeConfig())
			switch r := p.Report; {
			case want != "":
				if r.OK || !strings.Contains(r.Problem.What, want) {
					t.Errorf("%s: %+v", text, r.Problem)
				}
			case !r.OK || r.Name != "crm" || !r.Stream:
				t.Errorf("%s: %+v %+v", text, r, r.Problem)
			default:
				if a, err := p.Deliver(t.Context(), event("permanent")); err != nil || a.Outcome != delivery.OutcomeFailed {
					t.Errorf("%+v, %v", a, err)
				}
			}
			if err := p.Stop(); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}
