package process

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// Greeting is the output of an executable up to its handshake.
type Greeting struct {
	Line  string        // empty if there was none
	Noise []string      // lines on stdout before it
	Took  time.Duration // from the start; 0 if it failed
}

// NoiseLines is how many lines are tolerated on stdout before the handshake.
const NoiseLines = 64

// noiseBytes is how many bytes are.
const noiseBytes = 64 << 10

// handshakeLine is the form that go-plugin prescribes. What does not look like
// it is taken for ordinary output, which programs like to print at start.
var handshakeLine = regexp.MustCompile(`^\d+\|\d+\|(unix|tcp)\|`)

// IsHandshake reports whether a line that a program printed is a handshake.
func IsHandshake(line []byte) bool { return handshakeLine.Match(line) }

// readStdout passes the line of the handshake on to go-plugin and everything
// else to the log, until the end.
func (r *runner) readStdout(f *os.File) {
	lines, size := 0, 0
	link.ReadLines(f, lineMax, func(line []byte, truncated bool) {
		if r.toPlugin == nil {
			r.out.stdout(line, truncated)
			return
		}
		if !truncated && handshakeLine.Match(line) {
			r.mu.Lock()
			r.greeted.Line = cutFields(string(line))
			r.mu.Unlock()
			_, _ = io.WriteString(r.toPlugin, cutFields(string(line))+"\n")
			r.toPlugin.Close()
			r.toPlugin = nil
			return
		}
		r.out.stdout(line, truncated)
		r.mu.Lock()
		r.greeted.Noise = append(r.greeted.Noise, strings.ToValidUTF8(string(line), "\uFFFD"))
		r.mu.Unlock()
		lines, size = lines+1, size+len(line)
		if lines >= NoiseLines || size >= noiseBytes {
			r.out.note(fmt.Sprintf("%d lines on stdout and no handshake among them", lines))
			r.toPlugin.Close()
			r.toPlugin = nil
		}
	})
	if r.toPlugin != nil {
		r.toPlugin.Close()
		r.toPlugin = nil
	}
}

// cutFields keeps the first five fields of the handshake. The sixth is the
// certificate of a plugin that speaks TLS, which the host did not ask for, and
// on which go-plugin would panic.
func cutFields(line string) string {
	fields := strings.SplitN(strings.TrimSpace(line), "|", 6)
	return strings.Join(fields[:min(len(fields), 5)], "|")
}

// greeting returns what was seen of the handshake so far.
func (r *runner) greeting() Greeting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.greeted
}

// PluginToHost refuses addresses that are not the plugin's own: a handshake can
// name any, and the host would send events there.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	switch network {
	case "unix":
		clean := filepath.Clean(address)
		if filepath.Dir(clean) != filepath.Clean(r.socket) {
			return "", "", fmt.Errorf("plugin names the socket %q, which is not in its directory %q", address, r.socket)
		}
		info, err := os.Lstat(clean)
		if err != nil {
			return "", "", fmt.Errorf("find the plugin's socket: %w", err)
		}
		if info.Mode().Type() != os.ModeSocket {
			return "", "", fmt.Errorf("plugin names %q, which is not a socket", address)
		}
		return network, clean, nil
	case "tcp":
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !ap.Addr().IsLoopback() || ap.Port() == 0 {
			return "", "", fmt.Errorf("plugin names the address %q: only a loopback IP address and a port will do", address)
		}
		return network, address, nil
	}
	return "", "", net.UnknownNetworkError(network)
}

// HostToPlugin is for go-plugin's broker, which is not used.
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// Stdout returns the pipe from which go-plugin reads the handshake.
func (r *runner) Stdout() io.ReadCloser { return r.handshake }

// Stderr is empty: go-plugin panics on some lines that it takes for JSON.
func (r *runner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }
