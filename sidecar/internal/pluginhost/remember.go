//go:build unix

package pluginhost

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// remember notes what is ready, and forgets copies that are older than those
// that are kept.
func (s *supervisor) remember(out outcome) {
	b := out.build
	if b.note != "" {
		return // it stands in for an update that failed; that stays on record
	}
	letGo, err := s.h.keepSettings(b)
	defer letGo()
	err = errors.Join(err, s.h.registry.update(b.name, func(r *pluginRecord) {
		r.ran(b.record(), out.proc.about.GetVersion(), time.Now())
		r.File = filepath.Base(b.path)
	}), s.h.copies.sweep(s.h.registry.needed))
	if err != nil {
		s.log.Warn("what runs is not remembered: an update that fails, and a rollback, may not find it", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}

// rememberFile notes that what runs is in another file now.
func (s *supervisor) rememberFile(b *build) {
	name := filepath.Base(b.path)
	if b.note != "" || s.h.registry.get(b.name).File == name {
		return
	}
	if err := s.h.registry.update(b.name, func(r *pluginRecord) { r.File = name }); err != nil {
		s.log.Warn("the file of a plugin is not remembered: of two for this plugin the next start may take the other", "code", telemetry.CodePluginUnremembered, "file", b.path, "error", err)
	}
}

// keepOld notes that an update did not come up.
func (s *supervisor) keepOld(o order, out outcome) {
	u := &Update{Reason: out.err.Error(), At: time.Now()}
	if out.build != nil {
		u.Digest = out.build.digest
	}
	s.p.setStatus(func(st *Status) { st.Update = u })
	s.log.Error("plugin could not be updated: the old one goes on", "code", telemetry.CodePluginUpdate, "digest", short(u.Digest), "error", out.err)
	err := s.h.registry.update(o.file.name, func(r *pluginRecord) {
		if o.rollback || r.Rollback != nil && out.build != nil && out.build.rollback {
			r.Rollback = nil // there is no way back
			return
		}
		r.Failed = &failedRecord{Reason: u.Reason, At: u.At}
		if out.build != nil {
			r.Failed.buildRecord = out.build.record()
		}
	})
	if err != nil {
		s.log.Warn("an update that failed is not remembered: it is tried again after a restart", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}

// release lets the copy go that was tried before, if this is another one. The
// last one is held: after a failure it is tried again, and need not be written
// again for that.
func (s *supervisor) release(b *build) {
	if b == nil || b.held == "" {
		return
	}
	before := s.tried
	s.tried = b.held
	if before == "" {
		return
	}
	s.h.copies.letGo(before)
	if before == b.held {
		return
	}
	if err := s.h.copies.sweep(s.h.registry.needed); err != nil {
		s.log.Warn("copies of programs that are not needed could not be removed", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}
