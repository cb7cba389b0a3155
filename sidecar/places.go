package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// placesEvery is how often the files by which others find this sidecar are
// looked at.
const placesEvery = 2 * time.Second

// places are the files beside the store that this sidecar keeps while it runs.
// All of it belongs to Run.
type places struct {
	s    *Sidecar
	here instance.Info
	made *adminapi.Socket // the last that was made again, or nil

	lost map[string]string // by file: what was said about it, until it is well again
}

// intact is what a store with files of its own says about them.
type intact interface{ Intact() error }

// needPlaces makes readiness need that the store's files are where they should
// be. What a database has elsewhere it knows by itself.
func (s *Sidecar) needPlaces(store any) {
	files, ok := store.(intact)
	if !ok {
		return
	}
	s.health.NeedReady("data", func(context.Context) error {
		if err := files.Intact(); err != nil {
			return telemetry.Replaced{Err: err}
		}
		return nil
	})
}

// keepPlaces makes again what others have removed, until ctx ends: the admin
// socket, without which no command finds the sidecar and the service manager
// takes it for dead; run.json; and the lock.
func (s *Sidecar) keepPlaces(ctx context.Context, here instance.Info) error {
	p := &places{s: s, here: here, lost: make(map[string]string)}
	t := time.NewTicker(placesEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			p.look()
		}
	}
}

func (p *places) look() {
	p.keepSocket()
	dir := p.s.dir
	if p.s.lock != nil { // else the store's
		if retaken, err := p.s.lock.Keep(); err != nil {
			p.failed("lock", "the lock of the data directory was removed or replaced, and cannot be taken again", err)
		} else if retaken {
			p.restored("lock", filepath.Join(dir, "lock"))
		} else {
			delete(p.lost, "lock")
		}
	}
	if _, err := os.Stat(dir); err == nil {
		p.keepInstance(filepath.Join(dir, instance.File))
	}
	p.lookAtKey(filepath.Join(dir, keyfile.Forward))
}

func (p *places) keepSocket() {
	path := p.s.socketPath
	if p.s.place.Present() {
		delete(p.lost, path)
		return
	}
	if p.s.homeless() {
		p.failed(path, "the data directory is gone: commands do not find this sidecar until the same directory is back", fs.ErrNotExist)
		return
	}
	l, err := adminapi.ListenSocket(path)
	if err != nil {
		p.failed(path, "the admin socket was removed or replaced, and cannot be made again: commands and the service manager do not find this sidecar", err)
		return
	}
	// The first stays open, or the server would be taken to have failed; local
	// closes what is open when it is shut down. Those in between have done their
	// work: nobody can reach them.
	if p.made != nil {
		_ = p.made.Close()
	}
	p.s.place, p.made = l, l
	go func() { _ = p.s.local.Serve(p.s.socketPool.Listener(l)) }()
	p.restored(path, path)
}

// homeless reports whether the admin socket went with the data directory. That
// is not made again: who has moved it away could not move it back, but would
// move it into the new one.
func (s *Sidecar) homeless() bool {
	if filepath.Dir(s.socketPath) != s.dir {
		return false
	}
	_, err := os.Stat(s.dir)
	return errors.Is(err, fs.ErrNotExist)
}

func (p *places) keepInstance(path string) {
	have, err := instance.Find(p.s.dir)
	switch {
	case err == nil && have == p.here:
		delete(p.lost, instance.File)
		return
	case err == nil && have.IsOther(p.here):
		// Two that replace each other's file would do so for ever.
		p.failed(instance.File, "run.json is that of another sidecar, which runs on a directory that has taken the place of this one's: commands do not find this sidecar", nil)
		return
	}
	if err := p.here.Write(p.s.dir); err != nil {
		p.failed(instance.File, "run.json was removed or replaced, and cannot be made again: commands do not find this sidecar", err)
		return
	}
	p.restored(instance.File, path)
}

// lookAtKey compares the file of the key with what is in use. It is not made
// again: whoever removed it may want another one at the next start.
func (p *places) lookAtKey(path string) {
	using := p.s.ForwardKey()
	if using == "" || p.s.Config().ForwardKey != "" {
		return
	}
	key, err := keyfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.replaced(path, "the key that signs forwarded requests was removed: it stays in use until the next start, which makes another one that the app does not trust")
	case err != nil:
		p.replaced(path, "the key that signs forwarded requests cannot be read any more: it stays in use, but the next start fails")
	case keyfile.PublicText(key) != using:
		p.replaced(path, "the file of the key that signs forwarded requests holds another key, which the next start or reload uses: give the app its public key")
	default:
		delete(p.lost, path)
	}
}

// failed warns of a file that cannot be made again.
func (p *places) failed(what, text string, err error) {
	if !p.news(what, text) {
		return
	}
	log := p.s.log
	if err != nil {
		log = log.With("error", err)
	}
	log.Warn(text, "code", telemetry.CodeFileRestored, "data", p.s.dir)
}

// replaced warns of a key that is not what is in use.
func (p *places) replaced(path, text string) {
	if p.news(path, text) {
		p.s.log.Warn(text, "code", telemetry.CodeKeyReplaced, "path", path)
	}
}

// news reports whether something was not the last that was said about a file.
func (p *places) news(what, text string) bool {
	if p.lost[what] == text {
		return false
	}
	p.lost[what] = text
	return true
}

func (p *places) restored(what, path string) {
	delete(p.lost, what)
	p.s.log.Warn("a file that the sidecar keeps while it runs was removed or replaced; it was made again", "code", telemetry.CodeFileRestored, "path", path)
}
