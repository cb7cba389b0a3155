package pluginhost

import (
	"slices"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// TestLonelyScriptMayWait: a script is copied before its manifest, which must not look
// like a mistake; one that stays alone is reported.
func TestLonelyScriptMayWait(t *testing.T) {
	const grace = 10 * time.Second
	script, other := catalog.Misfit{Path: "/p/crm.py", Reason: "x", Lonely: true}, catalog.Misfit{Path: "/p/a b", Reason: "y"}
	w := &watcher{h: &Host{timings: timings{goneGrace: grace}}}
	begun := time.Now()
	for _, step := range []struct {
		at      time.Duration
		misfits []catalog.Misfit
		want    []catalog.Misfit
		wait    time.Duration
	}{
		{0, []catalog.Misfit{other, script}, []catalog.Misfit{other}, grace},
		{time.Second, []catalog.Misfit{other, script}, []catalog.Misfit{other}, grace - time.Second},
		{2 * time.Second, []catalog.Misfit{other}, []catalog.Misfit{other}, 0}, // its manifest is there
		{3 * time.Second, []catalog.Misfit{script}, nil, grace},                // and has gone again
		{3*time.Second + grace, []catalog.Misfit{script}, []catalog.Misfit{script}, 0},
		{4*time.Second + grace, []catalog.Misfit{script}, []catalog.Misfit{script}, 0},
	} {
		list := catalog.Listing{Misfits: slices.Clone(step.misfits)}
		wait := w.await(&list, begun.Add(step.at))
		if wait != step.wait || !slices.Equal(list.Misfits, step.want) {
			t.Errorf("after %v: %v, again in %v; want %v, %v", step.at, list.Misfits, wait, step.want, step.wait)
		}
		w.h.misfits = list.Misfits
	}
}
