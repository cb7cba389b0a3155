package pluginhost

import (
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// remember notes what is ready, and forgets copies that are older than those
// that are kept.
func (s *supervisor) remember(out outcome) {
	if out.build.StandIn {
		return // the update that failed stays on record
	}
	if err := s.h.catalog.Ready(out.build, out.proc.About.GetVersion()); err != nil {
		s.log.Warn("what runs is not remembered: an update that fails, and a rollback, may not find it", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}

// rememberFile notes that what runs is in another file now.
func (s *supervisor) rememberFile(b *catalog.Build) {
	if b.StandIn {
		return
	}
	if err := s.h.catalog.Renamed(b); err != nil {
		s.log.Warn("the file of a plugin is not remembered: of two for this plugin the next start may take the other", "code", telemetry.CodePluginUnremembered, "file", b.Path, "error", err)
	}
}

// keepOld notes that an update did not come up.
func (s *supervisor) keepOld(o order, out outcome) {
	u := Update{Reason: out.err.Error(), At: time.Now()}
	if out.build != nil {
		u.Digest = out.build.Digest
	}
	s.p.setStatus(func(st *Status) { st.Update = &u })
	s.log.Error("plugin could not be updated: the old one goes on", "code", telemetry.CodePluginUpdate, "digest", short(u.Digest), "error", out.err)
	var err error
	if o.rollback { // nothing to fall back to
		err = s.h.catalog.EndRollback(o.file.Name)
	} else {
		err = s.h.catalog.Failed(o.file.Name, out.build, catalog.Failure(u))
	}
	if err != nil {
		s.log.Warn("an update that failed is not remembered: it is tried again after a restart", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}

// release lets the copy go that was tried before, if this is another one. The
// last one is held: after a failure it is tried again, and need not be written
// again for that.
func (s *supervisor) release(b *catalog.Build) {
	if b == nil || b.Held == "" {
		return
	}
	before := s.tried
	s.tried = b.Held
	if before == "" {
		return
	}
	s.h.catalog.Release(before)
	if before == b.Held {
		return
	}
	if err := s.h.catalog.Sweep(); err != nil {
		s.log.Warn("copies of programs that are not needed could not be removed", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}
