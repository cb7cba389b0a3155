package pluginhost

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// claim identifies a plugin among others: its program, and its description of
// itself. A copy of a program under another name makes the same claim, and would
// handle each event a second time.
type claim struct {
	digest   string
	about    string
	settings string // digest, empty if there are none
}

func claimOf(b *catalog.Build, about *pluginpb.DescribeResponse) claim {
	a := proto.CloneOf(about)
	if b.Kind != catalog.KindExec || a.GetName() == b.Name {
		a.Name = "" // it is the file's, by which copies differ
	}
	text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(a) // of what was unmarshalled
	return claim{digest: b.Digest, about: string(text), settings: b.SettingsDigest}
}

// same reports whether two plugins are the same except for their settings.
func (c claim) same(other claim) bool {
	return c.digest != "" && c.digest == other.digest && c.about == other.about
}

// claimPoll is between looks at a plugin that is being started.
const claimPoll = 10 * time.Millisecond

// claim returns an error if another plugin is the same. When both are being
// started it waits a moment for the one that comes first, so that it is the same
// one after every start of the host.
func (h *Host) claim(ctx context.Context, p *Plugin, b *catalog.Build, about *pluginpb.DescribeResponse) error {
	c := claimOf(b, about)
	patience := time.NewTimer(h.cfg.StartTimeout / 4)
	defer patience.Stop()
	for waiting := true; ; {
		h.mu.Lock()
		rival, unsure := h.rival(p, c)
		switch {
		case rival != nil:
			p.rival = rival
		case !unsure || !waiting:
			p.rival = nil
			h.setClaim(p, c)
		}
		h.mu.Unlock()
		if rival != nil {
			return catalog.Final(fmt.Errorf("it is the same program as the plugin %s (%s), and would handle each event a second time: remove one of them, or give this one settings of its own in %s",
				rival.file.Name, rival.orders.get().file.Path, b.SettingsPath()))
		}
		if !unsure || !waiting {
			return nil
		}
		select {
		case <-time.After(claimPoll):
		case <-patience.C:
			waiting = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rival looks for a plugin that is the same. unsure means that one being started may
// be, and comes first. The caller holds the lock.
func (h *Host) rival(p *Plugin, c claim) (rival *Plugin, unsure bool) {
	for _, q := range h.plugins {
		switch o := q.orders.get(); {
		case q == p || !o.enabled || q.rival == p:
		case c.same(q.claim) && (c.settings == q.claim.settings || c.settings == "" && h.precedes(q, p)):
			return q, false // one that has settings of its own is there on purpose
		case q.claim == claim{} && !q.orders.isDecided(o.gen) && h.precedes(q, p):
			q.mu.Lock()
			digest := q.status.Digest
			q.mu.Unlock()
			unsure = unsure || digest == "" || digest == c.digest
		}
	}
	return nil, unsure
}

// precedes reports which of two equal plugins runs: one that has run before, then the
// one with the shorter name.
func (h *Host) precedes(q, p *Plugin) bool {
	ranQ, ranP := h.catalog.HasRun(q.file.Name), h.catalog.HasRun(p.file.Name)
	if ranQ != ranP {
		return ranQ
	}
	if a, b := len(q.file.Name), len(p.file.Name); a != b {
		return a < b
	}
	return q.file.Name < p.file.Name
}

// setClaim changes the claim of a plugin. Plugins refused because of its old claim try
// again. The caller holds the lock.
func (h *Host) setClaim(p *Plugin, c claim) {
	if p.claim == c {
		return
	}
	p.claim = c
	for _, q := range h.plugins {
		if q.rival == p {
			q.rival = nil
			q.orders.give(func(*order) {})
		}
	}
}

// reclaim resets the claim of a plugin that was stopped on purpose, or whose start
// was cancelled after it had made one: to that of the running process, if there is
// one.
func (h *Host) reclaim(p *Plugin, current *running) {
	var c claim
	if current != nil {
		c = claimOf(current.build, current.About)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p.rival = nil
	h.setClaim(p, c)
}
