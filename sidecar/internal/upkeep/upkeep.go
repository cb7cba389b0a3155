// Package upkeep keeps the files by which others find a running sidecar: the admin
// socket, run.json and the lock of the data directory. It restores those that were
// removed or replaced, except the data directory and the key: it only reports that
// they are gone, since new ones would not be the same.
package upkeep

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// lookEvery is how often the files are checked.
const lookEvery = 2 * time.Second

// Config configures a Keeper.
type Config struct {
	Dir  string        // the data directory
	Here instance.Info // the content of run.json, including the path of the socket
	Lock *dirlock.Lock // of Dir; nil if the store has it

	// Serve serves a restored admin socket until it is closed.
	Serve func(net.Listener)

	// Key returns the public half of the key in use if it is the one in Dir, and
	// "" otherwise.
	Key func() string

	Log *slog.Logger
}

// Keeper keeps the files. Run has it to itself while it runs.
type Keeper struct {
	Config
	socket *adminapi.Socket // at Here.Socket
	made   *adminapi.Socket // the last restored one, or nil

	lost map[string]string // by file: the last warning, until the file is back
}

// New returns a Keeper, which listens on the admin socket.
func New(c Config) (*Keeper, error) {
	l, err := adminapi.ListenSocket(c.Here.Socket)
	if err != nil {
		return nil, err
	}
	return &Keeper{Config: c, socket: l, lost: make(map[string]string)}, nil
}

// Socket returns the listener on the admin socket.
func (k *Keeper) Socket() net.Listener { return k.socket }

// Close closes the admin socket.
func (k *Keeper) Close() error { return k.socket.Close() }

// Run restores the files that others have removed, until ctx ends. Without the admin
// socket no command finds the sidecar, and the service manager takes it for dead.
func (k *Keeper) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			k.look()
		}
	}
}

func (k *Keeper) look() {
	k.keepSocket()
	dir := k.Dir
	if k.Lock != nil { // otherwise the store has it
		if retaken, err := k.Lock.Keep(); err != nil {
			k.failed("lock", "the lock of the data directory was removed or replaced, and cannot be taken again", err)
		} else if retaken {
			k.restored("lock", filepath.Join(dir, "lock"))
		} else {
			delete(k.lost, "lock")
		}
	}
	if _, err := os.Stat(dir); err == nil {
		k.keepInstance(filepath.Join(dir, instance.File))
	}
	k.lookAtKey(filepath.Join(dir, keyfile.Forward))
}

func (k *Keeper) keepSocket() {
	path := k.Here.Socket
	if k.socket.Present() {
		delete(k.lost, path)
		return
	}
	if k.Homeless() {
		k.failed(path, "the data directory is gone: commands do not find this sidecar until the same directory is back", fs.ErrNotExist)
		return
	}
	l, err := adminapi.ListenSocket(path)
	if err != nil {
		k.failed(path, "the admin socket was removed or replaced, and cannot be made again: commands and the service manager do not find this sidecar", err)
		return
	}
	// The first stays open, or the server would seem to have failed; its
	// shutdown closes all open ones. Those in between are useless: nobody can
	// reach them.
	if k.made != nil {
		_ = k.made.Close()
	}
	k.socket, k.made = l, l
	go k.Serve(l)
	k.restored(path, path)
}

// Homeless reports whether the admin socket went with the data directory. The
// directory is not created again: a person who moved it away could then not move it
// back, only into the new one.
func (k *Keeper) Homeless() bool {
	if filepath.Dir(k.Here.Socket) != k.Dir {
		return false
	}
	_, err := os.Stat(k.Dir)
	return errors.Is(err, fs.ErrNotExist)
}

func (k *Keeper) keepInstance(path string) {
	have, err := instance.Find(k.Dir)
	switch {
	case err == nil && have == k.Here:
		delete(k.lost, instance.File)
		return
	case err == nil && have.IsOther(k.Here):
		// Two sidecars that replace each other's file would do so for ever.
		k.failed(instance.File, "run.json is that of another sidecar, which runs on a directory that has taken the place of this one's: commands do not find this sidecar", nil)
		return
	}
	if err := k.Here.Write(k.Dir); err != nil {
		k.failed(instance.File, "run.json was removed or replaced, and cannot be made again: commands do not find this sidecar", err)
		return
	}
	k.restored(instance.File, path)
}

// lookAtKey compares the key file with the key in use. The file is not restored: the
// person who removed it may want another key at the next start.
func (k *Keeper) lookAtKey(path string) {
	using := k.Key()
	if using == "" {
		return
	}
	key, err := keyfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.replaced(path, "the key that signs forwarded requests was removed: it stays in use until the next start, which makes another one that the app does not trust")
	case err != nil:
		k.replaced(path, "the key that signs forwarded requests cannot be read any more: it stays in use, but the next start fails")
	case keyfile.PublicText(key) != using:
		k.replaced(path, "the file of the key that signs forwarded requests holds another key, which the next start or reload uses: give the app its public key")
	default:
		delete(k.lost, path)
	}
}

// failed warns of a file that cannot be restored.
func (k *Keeper) failed(what, text string, err error) {
	if !k.news(what, text) {
		return
	}
	log := k.Log
	if err != nil {
		log = log.With("error", err)
	}
	log.Warn(text, "code", telemetry.CodeFileRestored, "data", k.Dir)
}

// replaced warns of a key that is not the one in use.
func (k *Keeper) replaced(path, text string) {
	if k.news(path, text) {
		k.Log.Warn(text, "code", telemetry.CodeKeyReplaced, "path", path)
	}
}

// news reports whether text differs from the last warning about a file, and records
// it.
func (k *Keeper) news(what, text string) bool {
	if k.lost[what] == text {
		return false
	}
	k.lost[what] = text
	return true
}

func (k *Keeper) restored(what, path string) {
	delete(k.lost, what)
	k.Log.Warn("a file that the sidecar keeps while it runs was removed or replaced; it was made again", "code", telemetry.CodeFileRestored, "path", path)
}
