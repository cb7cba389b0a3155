package sidecar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// instanceFile stands in the data directory while a sidecar runs on it.
const instanceFile = "run.json"

// Instance tells where a running sidecar can be reached. It is how the other
// commands find the sidecar of a data directory, on whatever ports it runs.
type Instance struct {
	PID      int    `json:"pid"`
	Webhooks string `json:"webhooks"` // URL that webhooks are POSTed to
	Admin    string `json:"admin"`    // base URL of the admin listener
	Socket   string `json:"socket"`   // path of the admin socket
	Metrics  string `json:"metrics"`  // URL of the metrics
	Dev      bool   `json:"dev"`      // it accepts events signed with the development key
}

// FindInstance returns the sidecar that runs on the data directory dir. The
// error is fs.ErrNotExist if none does. A sidecar that was killed leaves its
// file behind, so an instance may be gone.
func FindInstance(dir string) (Instance, error) {
	var i Instance
	text, err := os.ReadFile(filepath.Join(dir, instanceFile))
	if err != nil {
		return i, fmt.Errorf("find sidecar: %w", err)
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, fmt.Errorf("find sidecar: %s: %w", filepath.Join(dir, instanceFile), err)
	}
	return i, nil
}

// isOther reports whether i is a sidecar that runs, and not the one given.
func (i Instance) isOther(own Instance) bool {
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

// remove takes i away from where FindInstance looks, unless another sidecar has
// taken its place there.
func (i Instance) remove(dir string) {
	if have, err := FindInstance(dir); err == nil && !have.isOther(i) {
		_ = os.Remove(filepath.Join(dir, instanceFile)) // it may have gone meanwhile
	}
}

// write puts i where FindInstance looks, whole or not at all. It is a
// convenience that a restart renews, so nothing is synced.
func (i Instance) write(dir string) error {
	text, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".run-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, instanceFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// baseURL returns the URL of a listener as this machine reaches it.
func baseURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// maxRunDir is the longest path of a directory for sockets that leaves room
// for their names: the path of a socket is limited to about a hundred bytes.
const maxRunDir = 64

// runDir returns where the sockets of plugins are made: in the data directory,
// or, if its path is too long for that, always the same place under the
// system's directory for temporary files.
func runDir(dir string) string {
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

// adminSocket returns where the socket of the commands is by default: beside
// the directory of the plugins' sockets, which is swept at every start.
func adminSocket(dir string) string {
	run := runDir(dir)
	return filepath.Join(filepath.Dir(run), strings.TrimPrefix(filepath.Base(run)+"-admin.sock", "run-"))
}
