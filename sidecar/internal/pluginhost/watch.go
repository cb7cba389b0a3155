package pluginhost

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// watcher follows the plugin directory while the host runs. The system's notices
// only make it look sooner: they are lost when the directory is created again, do
// not come through links, and do not say when a file is complete. One goroutine
// owns its fields.
type watcher struct {
	h       *Host
	known   map[string]*sighting // Host.known, which is the watcher's as soon as it runs
	notices *fsnotify.Watcher    // nil if the system has none
	asked   []string             // directories that notices were asked of, as far as they can be had
	told    string               // the last problem of the directory that was logged
	sums    string               // stamp of the list of trusted programs
	lonely  map[string]time.Time // scripts without a manifest that are not reported yet, by path: since when
}

// sighting is the watcher's knowledge of one plugin's files.
type sighting struct {
	plugin  *Plugin   // nil until it has been there long enough
	taken   string    // stamp of what the plugin was told of
	seen    string    // stamp of what is there now, if that is something else
	since   time.Time // of seen
	gone    time.Time // since when it is not there
	limiter changeLimiter
}

// watch follows the directory until the host stops.
func (h *Host) watch() {
	w := &watcher{h: h, known: h.known, sums: h.catalog.TrustStamp()}
	var err error
	if w.notices, err = fsnotify.NewWatcher(); err != nil {
		h.cfg.Log.Warn("changes of the plugin directory are found late: the system gives no notice of them", "code", telemetry.CodePluginDirectory, "error", err)
	} else {
		defer w.notices.Close()
	}
	for {
		// Notices come first: what happens while it looks is among them.
		w.subscribe()
		wait := w.look(time.Now())
		if slices.ContainsFunc(w.dirs(), func(dir string) bool { return !slices.Contains(w.asked, dir) }) {
			wait = min(wait, w.h.timings.lookAgain) // a link leads to another directory
		}
		if !w.sleep(wait) {
			return
		}
	}
}

// sleep waits for a notice or the time, and then for a moment more: notices
// come in crowds. It returns false when the host stops.
func (w *watcher) sleep(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if w.notices != nil {
		events, errs = w.notices.Events, w.notices.Errors
	}
	prompted := false
	for {
		select {
		case e := <-events:
			if !prompted && w.concerns(e.Name) {
				prompted = true
				timer.Reset(w.h.timings.lookAgain / 2)
			}
		case <-errs: // such as an overflow: something has happened
			timer.Reset(w.h.timings.lookAgain / 2)
		case <-timer.C:
			return true
		case <-w.h.stopping:
			return false
		}
	}
}

// concerns reports whether a notice is of interest: of the directory above, only
// those of the directory are.
func (w *watcher) concerns(path string) bool {
	return filepath.Dir(path) != filepath.Dir(w.h.catalog.Dir) || path == w.h.catalog.Dir
}

// dirs returns the directories to have notices of: that of the plugins, or the
// one above while it is not there, and those that links in it lead to.
func (w *watcher) dirs() []string {
	want := []string{w.h.catalog.Dir}
	if _, err := os.Stat(w.h.catalog.Dir); err != nil {
		want = []string{filepath.Dir(w.h.catalog.Dir)}
	}
	for _, k := range w.known {
		if k.plugin == nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(k.plugin.orders.get().file.Path); err == nil && !slices.Contains(want, filepath.Dir(real)) {
			want = append(want, filepath.Dir(real))
		}
	}
	return want
}

// subscribe asks for notices of the directories, also of those that it has asked
// for: one created again under the same name is another one.
func (w *watcher) subscribe() {
	want := w.dirs()
	if w.notices != nil {
		for _, dir := range w.asked {
			if !slices.Contains(want, dir) {
				_ = w.notices.Remove(dir)
			}
		}
		for _, dir := range want {
			_ = w.notices.Add(dir) // without it changes are found late, and it is asked again
		}
	}
	w.asked = want
}

// look compares the directory with what is known and tells plugins what is new.
// It returns when to look again.
func (w *watcher) look(now time.Time) time.Duration {
	l := w.h.timings
	list, err := w.h.catalog.Scan(w.paths())
	if err != nil {
		if text := err.Error(); text != w.told {
			w.told = text
			w.h.cfg.Log.Error("changes of the plugin directory are not followed: running plugins are not affected", "code", telemetry.CodePluginDirectory, "error", err)
		}
		return l.rescan
	}
	w.told = ""
	again := l.rescan + rand.N(l.rescan/2)
	if wait := w.await(&list, now); wait > 0 {
		again = min(again, wait)
	}
	w.h.note(list)
	files := list.Plugins
	sums := w.h.catalog.TrustStamp()
	for _, f := range files {
		if wait := w.found(f, now); wait > 0 {
			again = min(again, wait)
		}
		if k := w.known[f.Name]; sums != w.sums && k.plugin != nil && k.seen == "" {
			k.plugin.orders.give(func(o *order) { o.file = f }) // it may be trusted now
		}
	}
	w.sums = sums
	for name, k := range w.known {
		if slices.ContainsFunc(files, func(f catalog.Entry) bool { return f.Name == name }) {
			continue
		}
		switch {
		case k.plugin == nil:
			delete(w.known, name)
		case k.gone.IsZero():
			k.gone, k.seen = now, ""
			w.h.cfg.Log.Debug("plugin file is gone: the plugin keeps running for a moment, since many programs replace a file this way", "plugin", name)
			again = min(again, l.goneGrace)
		case now.Sub(k.gone) >= l.goneGrace:
			w.h.dismiss(k.plugin)
			delete(w.known, name)
		default:
			again = min(again, l.goneGrace-now.Sub(k.gone))
		}
	}
	return max(again, time.Millisecond)
}

// await takes scripts that have not lacked a manifest for long from the misfits, and
// returns when to look again, or 0.
func (w *watcher) await(list *catalog.Listing, now time.Time) (wait time.Duration) {
	lonely := make(map[string]time.Time)
	w.h.mu.Lock()
	noted := w.h.misfits
	w.h.mu.Unlock()
	list.Misfits = slices.DeleteFunc(list.Misfits, func(m catalog.Misfit) bool {
		if !m.Lonely || slices.Contains(noted, m) {
			return false
		}
		since, seen := w.lonely[m.Path]
		if !seen {
			since = now
		}
		lonely[m.Path] = since
		left := w.h.timings.goneGrace - now.Sub(since)
		if left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
		return left > 0
	})
	w.lonely = lonely
	return wait
}

// paths returns the files of the plugins that there are, by their names.
func (w *watcher) paths() map[string]string {
	paths := make(map[string]string)
	for name, k := range w.known {
		if k.plugin != nil {
			paths[name] = k.plugin.orders.get().file.Path
		}
	}
	return paths
}

// found takes note of a plugin that is there. If it is in the middle of a change,
// it returns when to look again, and 0 otherwise.
func (w *watcher) found(f catalog.Entry, now time.Time) time.Duration {
	l := w.h.timings
	k := w.known[f.Name]
	if k == nil {
		k = new(sighting)
		w.known[f.Name] = k
	}
	k.gone = time.Time{}
	stamp := w.h.catalog.Stamp(f)
	switch {
	case k.plugin != nil && stamp == k.taken:
		k.seen = ""
		return 0
	case stamp != k.seen:
		k.seen, k.since = stamp, now
		return l.lookAgain
	case now.Sub(k.since) < l.stable:
		return l.lookAgain
	case catalog.IsOpenForWriting(f.Path):
		k.since = now // the writer may have stopped for a while
		w.h.cfg.Log.Debug("plugin file is open for writing: it is complete when it is closed", "plugin", f.Name)
		return l.lookAgain
	}
	if wait := k.limiter.wait(now, l.changePause); wait > 0 {
		if !k.limiter.told {
			k.limiter.told = true
			w.h.cfg.Log.Warn("a plugin's file or settings change again and again: the next change is taken after a pause",
				"code", telemetry.CodePluginUnsettled, "plugin", f.Name, "file", f.Path, "pause", wait.Round(time.Millisecond))
		}
		return wait
	}
	k.limiter.told = k.limiter.told && k.limiter.changes > 1
	k.taken, k.seen = stamp, ""
	if k.plugin != nil {
		k.plugin.orders.give(func(o *order) { o.file = f })
		return 0
	}
	k.plugin = w.h.welcome(f)
	return 0
}
