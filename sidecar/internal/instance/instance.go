// Package instance finds the sidecar running on a data directory: the commands use
// run.json and paths derived from the directory. It does not prevent a second
// sidecar: a lock does.
package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/internal/durable"
)

// File is in the data directory while a sidecar runs on it.
const File = "run.json"

// Info holds the addresses of a running sidecar. With it the other commands find the
// sidecar of a data directory, whatever its ports.
type Info struct {
	PID      int    `json:"pid"`
	Webhooks string `json:"webhooks"` // URL that webhooks are POSTed to
	Admin    string `json:"admin"`    // base URL of the admin listener
	Socket   string `json:"socket"`   // path of the admin socket
	Metrics  string `json:"metrics"`  // URL of the metrics
	Dev      bool   `json:"dev"`      // it accepts events signed with the development key
}

// Find returns the sidecar that runs on the data directory dir. The error is
// fs.ErrNotExist if none does. A sidecar that was killed leaves its file behind,
// so the sidecar found may be gone.
func Find(dir string) (Info, error) {
	var i Info
	text, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		return i, fmt.Errorf("find sidecar: %w", err)
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, fmt.Errorf("find sidecar: %s: %w", filepath.Join(dir, File), err)
	}
	return i, nil
}

// IsOther reports whether i is a running sidecar other than own.
func (i Info) IsOther(own Info) bool {
	if i.Admin == own.Admin {
		return false
	}
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(i.Admin, "http://"), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Remove removes i from where Find looks, unless another sidecar has replaced it
// there.
func (i Info) Remove(dir string) {
	if have, err := Find(dir); err == nil && !have.IsOther(i) {
		_ = os.Remove(filepath.Join(dir, File)) // it may have gone meanwhile
	}
}

// Write puts i where Find looks, whole or not at all.
func (i Info) Write(dir string) error {
	text, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, File), append(text, '\n'))
}

// BaseURL returns the URL of a listener for use on this machine.
func BaseURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// maxRunDir is the longest path of a directory for sockets that leaves room for their
// names: the path of a socket is limited to about a hundred bytes.
const maxRunDir = 64

// RunDir returns the directory for the sockets of plugins: in the data directory, or,
// if its path is too long for that, always the same place under the system's
// temporary directory.
func RunDir(dir string) string {
	abs, err := filepath.Abs(dir)
	if err == nil && len(filepath.Join(abs, "run")) <= maxRunDir {
		return filepath.Join(abs, "run")
	}
	sum := sha256.Sum256([]byte(abs))
	name := fmt.Sprintf("hookswitch-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6]))
	if tmp := filepath.Join(os.TempDir(), name); len(tmp) <= maxRunDir {
		return tmp
	}
	return filepath.Join("/tmp", name)
}

// AdminSocket returns the default path of the commands' socket: beside the directory
// of the plugins' sockets, which is cleared at every start.
func AdminSocket(dir string) string {
	run := RunDir(dir)
	return filepath.Join(filepath.Dir(run), strings.TrimPrefix(filepath.Base(run)+"-admin.sock", "run-"))
}
