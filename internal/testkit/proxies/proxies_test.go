// Package proxies runs the sidecar behind nginx, Caddy and HAProxy, with the files
// of examples/proxies and TLS, and by itself with a certificate of its own. Webhooks
// of all sizes must arrive byte for byte, with the address of their sender on
// record, and a restart of the sidecar under load must lose none and deliver none
// twice.
//
//	make proxies
//
// Without HOOKSWITCH_PROXIES, which make proxies sets, the tests are skipped. A
// proxy that is not installed is skipped, unless it is set to "require", as CI does.
package proxies

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	root = "../../.."

	// sender is the address that webhooks come from. It is one of loopback, but not
	// the one that the proxies connect from.
	sender = "127.0.0.2"

	// mebibyte is the limit on bodies, of the sidecar and in the files.
	mebibyte = 1 << 20
)

// A proxy is a program that stands before the sidecar.
type proxy struct {
	name string
	file string // in examples/proxies

	// change returns what makes of the file one that a test can run: other
	// ports, a certificate, no privileges. Each text must be there once.
	change func(p place) map[string]string

	command func(p place) []string
	check   []string // a command that reads the file and starts nothing; of the same program
}

// place is where a proxy runs.
type place struct{ dir, port, backend, config string }

var all = []proxy{
	{
		name: "nginx", file: "nginx.conf",
		change: func(p place) map[string]string {
			return map[string]string{
				"upstream hookswitch {": "daemon off;\nmaster_process off;\npid " + p.dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n" +
					"client_body_temp_path " + p.dir + "/body;\nproxy_temp_path " + p.dir + "/proxy;\nfastcgi_temp_path " + p.dir + "/f;\n" +
					"uwsgi_temp_path " + p.dir + "/u;\nscgi_temp_path " + p.dir + "/s;\nupstream hookswitch {",
				"server 127.0.0.1:8080;":          "server 127.0.0.1:" + p.backend + ";",
				"    listen 443 ssl;":             "    listen 127.0.0.1:" + p.port + " ssl;",
				"    listen [::]:443 ssl;\n":      "",
				"server_name hooks.example.com;":  "server_name localhost;",
				"/etc/ssl/hooks.example.com.crt;": p.dir + "/tls.crt;",
				"/etc/ssl/hooks.example.com.key;": p.dir + "/tls.key;",
				"        return 404;\n    }\n}\n": "        return 404;\n    }\n}\n}\n",
			}
		},
		command: func(p place) []string { return []string{"nginx", "-e", "stderr", "-p", p.dir, "-c", p.config} },
		check:   []string{"-t"},
	},
	{
		name: "caddy", file: "Caddyfile",
		change: func(p place) map[string]string {
			return map[string]string{
				"hooks.example.com {": "{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system " + p.dir + "\n}\nhttps://127.0.0.1:" + p.port + " {",
				"#tls /etc/ssl/hooks.example.com.crt /etc/ssl/hooks.example.com.key": "tls " + p.dir + "/tls.crt " + p.dir + "/tls.key",
				"reverse_proxy 127.0.0.1:8080 {":                                     "reverse_proxy 127.0.0.1:" + p.backend + " {",
			}
		},
		command: func(p place) []string {
			return []string{"caddy", "run", "--adapter", "caddyfile", "--config", p.config}
		},
	},
	{
		name: "haproxy", file: "haproxy.cfg",
		change: func(p place) map[string]string {
			return map[string]string{
				"bind :443 ssl crt /etc/ssl/hooks.example.com.pem": "bind 127.0.0.1:" + p.port + " ssl crt " + p.dir + "/tls.pem",
				"server sidecar 127.0.0.1:8080":                    "server sidecar 127.0.0.1:" + p.backend,
			}
		},
		command: func(p place) []string { return []string{"haproxy", "-db", "-f", p.config} },
		check:   []string{"-c"},
	},
}

func TestProxies(t *testing.T) {
	mode := os.Getenv("HOOKSWITCH_PROXIES")
	if mode == "" {
		t.Skip("needs nginx, Caddy and HAProxy: run it with make proxies")
	}
	if runtime.GOOS != "linux" {
		t.Skip("sends from " + sender + ", which only Linux has without being told")
	}
	hookswitch := build(t)
	t.Parallel() // they wait more than they compute
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		story(t, hookswitch, nil)
	})
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			if _, err := lookPath(p.name); err != nil {
				if mode == "require" {
					t.Fatalf("%v: install it, on Debian with \"apt-get install nginx-light caddy haproxy\"", err)
				}
				t.Skipf("%v: install it, on Debian with \"apt-get install nginx-light caddy haproxy\"", err)
			}
			t.Parallel()
			story(t, hookswitch, &p)
		})
	}
}

// story is what happens before and behind a proxy, or without one.
func story(t *testing.T, hookswitch string, p *proxy) {
	s := newStage(t, hookswitch)
	s.startSidecar(p == nil)
	if p != nil {
		s.startProxy(*p)
	}
	s.until("an answer", s.reachable)
	s.sizes(p)
	s.addresses(p)
	s.onlyWebhooks(p)
	s.keepsAlive(p)
	s.restartUnderLoad(p == nil)
	s.stopSidecar()
}

// startProxy writes the file of a proxy as a test needs it, has the proxy check it
// if it can, and starts the proxy.
func (s *stage) startProxy(p proxy) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples/proxies", p.file))
	if err != nil {
		s.t.Fatal(err)
	}
	at := place{dir: s.dir, port: s.port, backend: s.backend, config: filepath.Join(s.dir, p.file)}
	config := string(text)
	for old, now := range p.change(at) {
		if n := strings.Count(config, old); n != 1 {
			s.t.Fatalf("%s has %q %d times", p.file, old, n)
		}
		config = strings.Replace(config, old, now, 1)
	}
	if err := os.WriteFile(at.config, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	command := p.command(at)
	if command[0], err = lookPath(command[0]); err != nil {
		s.t.Fatal(err)
	}
	if p.check != nil {
		check := exec.Command(command[0], append(command[1:len(command):len(command)], p.check...)...)
		if out, err := check.CombinedOutput(); err != nil || strings.Contains(string(out), "[warn]") || strings.Contains(string(out), "[WARNING]") {
			s.t.Fatalf("%s does not like its file: %v\n%s", p.name, err, out)
		}
	}
	s.start(p.name, []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}, command...)
}

// lookPath finds a program also where Debian puts what only root needs.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		if _, sbin := os.Stat("/usr/sbin/" + name); sbin == nil {
			return "/usr/sbin/" + name, nil
		}
	}
	return path, err
}

// built is the sidecar, for all tests, and the folder that it is in.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// build builds the sidecar once, since linking it takes seconds.
func build(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "proxies-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", built.dir, "./sidecar/cmd/hookswitch")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "hookswitch")
}

// patience bounds every wait. It is only spent on failure.
const patience = 60 * time.Second
