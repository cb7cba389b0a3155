package pluginhost

import (
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// remember records the ready program, and drops copies older than those kept.
func (s *supervisor) remember(out outcome) {
	if out.build.StandIn {
		return // the update that failed stays on record
	}
	if err := s.h.catalog.Ready(out.build, out.proc.About.GetVersion()); err != nil {
		s.log.Warn("the running program is not remembered: a failed update, or a rollback, may not find it", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}

// rememberFile records that the running program is in another file now.
func (s *supervisor) rememberFile(b *catalog.Build) {
	if b.StandIn {
		return
	}
	if err := s.h.catalog.Renamed(b); err != nil {
		s.log.Warn("the file of a plugin is not remembered: of two for this plugin the next start may take the other", "code", telemetry.CodePluginUnremembered, "file", b.Path, "error", err)
	}
}

// keepOld records that an update did not come up.
func (s *supervisor) keepOld(o order, out outcome) {
	u := Update{Reason: out.err.Error(), At: time.Now()}
	if out.build != nil {
		u.Digest = out.build.Digest
	}
	s.p.setStatus(func(st *Status) { st.Update = &u })
	s.log.Error("plugin could not be updated: the old process keeps running", "code", telemetry.CodePluginUpdate, "digest", short(u.Digest), "error", out.err)
	var err error
	if o.rollback { // nothing to fall back to
		err = s.h.catalog.EndRollback(o.file.Name)
	} else {
		err = s.h.catalog.Failed(o.file.Name, out.build, catalog.Failure(u))
	}
	if err != nil {
		s.log.Warn("a failed update is not remembered: it is tried again after a restart", "code", telemetry.CodePluginUnremembered, "error", err)
	}
}

// release drops the copy that was tried before, if this is another one. The last one
// is held: after a failure it is tried again, without being written again.
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
