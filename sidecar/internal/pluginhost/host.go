// Package pluginhost runs plugins: programs in a directory that handle events
// in processes of their own. Each is a target for the dispatcher.
//
// Start with [New], which looks at the directory, then [Host.Run]. Events go
// to [Plugin.Deliver].
//
// The host promises that no plugin can hurt it: not by crashing, by hanging,
// by what it prints or how much, by what it claims in the handshake, or by
// processes it leaves behind. A plugin that ends is started again, at once and
// then ever more slowly, for as long as the host runs. When the host ends,
// in whatever way, its plugins end too. One exception: a process that calls
// setsid escapes the kill, and ends only if it watches its lifeline.
//
// While it runs it follows the directory: plugins come, go and change. What
// runs is a private copy; a new program or new settings run beside the old
// until they have shown that they can take events. If they cannot, the old
// keeps running.
//
// It decides when a process is started, and for how long it is kept. What is in
// the directory is known by package catalog, one process by package process, and
// the way of an event to it by package link.
//
// plugins/PROTOCOL.md describes what passes between the two.
package pluginhost

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Host runs the plugins of a directory. Its methods are safe for concurrent
// use.
type Host struct {
	cfg     Config
	catalog *catalog.Catalog
	timings timings
	launch  process.Launcher // its RunDir is empty if there are no plugins, and will be none

	stopping chan struct{} // closed by stop
	stop     func()

	mu       sync.Mutex
	plugins  []*Plugin        // sorted by the path of the file; replaced, never changed
	run      *process.RunDir  // set by the first Start
	started  bool             // Start has been called
	startErr error            // what the first Start returned
	misfits  []catalog.Misfit // of the plugin directory
	left     []catalog.Misfit
	known    map[string]*sighting
	firsts   sync.WaitGroup // plugins whose first start is not decided
	wait     sync.WaitGroup // supervisors, the watcher and removals; not added to after stop
}

// New looks for plugins. It starts none of them and changes nothing on disk. It
// returns an error if the directory or the configuration cannot work.
func New(cfg Config) (*Host, error) {
	h := &Host{cfg: cfg.withDefaults(), timings: defaultTimings(), stopping: make(chan struct{}), known: make(map[string]*sighting)}
	h.stop = sync.OnceFunc(func() { close(h.stopping) })
	h.launch.Env, h.launch.Environ, h.launch.WorkDir = h.cfg.Env, h.cfg.Environ, h.cfg.WorkDir
	h.launch.StartTimeout, h.launch.Timings = h.cfg.StartTimeout, process.DefaultTimings()
	list, err := h.look()
	if err != nil {
		return nil, fmt.Errorf("pluginhost: %w", err)
	}
	h.note(list)
	if h.launch.RunDir == "" {
		return h, nil
	}
	if h.launch.Resources, err = cfg.resources(); err != nil {
		return nil, &UserError{err}
	}
	if h.launch.Resources.Account != nil {
		h.catalog.Share()
	}
	for _, f := range list.Plugins {
		if err := h.launch.Resources.Permit(f); err != nil {
			return nil, &UserError{err}
		}
		p := newPlugin(h, f)
		h.plugins = append(h.plugins, p)
		h.known[f.Name] = &sighting{plugin: p, taken: h.catalog.Stamp(f)}
	}
	return h, nil
}

// look checks the configuration and looks at the plugin directory. It leaves
// the run directory empty if there are no plugins, and will be none.
func (h *Host) look() (list catalog.Listing, err error) {
	if err := process.CheckEnv(h.cfg.Env); err != nil {
		return list, err
	}
	if h.catalog, err = catalog.New(h.cfg.Dir, h.cfg.StateDir, h.cfg.Trust, h.cfg.Log); err != nil {
		return list, err
	}
	if list, err = h.catalog.Scan(nil); err != nil || len(list.Plugins) == 0 && (!h.cfg.Watch || h.cfg.Dir == "") {
		return list, err
	}
	if h.launch.RunDir, err = process.CheckRunDir(h.cfg.RunDir); err != nil {
		return list, err
	}
	if err := h.catalog.Open(); err != nil {
		return list, err
	}
	if len(list.Misfits) > 0 { // of two files for one plugin, the one that ran before stays
		return h.catalog.Scan(h.catalog.LastFiles())
	}
	return list, nil
}

// Plugins returns all plugins, sorted by the names of their files. The slice
// must not be changed.
func (h *Host) Plugins() []*Plugin {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plugins
}

// Status returns the status of each plugin, and of each file of the directory that
// cannot be a plugin, sorted by name.
func (h *Host) Status() []Status {
	h.mu.Lock()
	plugins, misfits := h.plugins, h.misfits
	h.mu.Unlock()
	var list []Status
	for _, p := range plugins {
		list = append(list, p.Status())
	}
	for _, m := range misfits {
		list = append(list, Status{Name: filepath.Base(m.Path), File: m.Path, Misfit: true, State: StateFailed, Enabled: true, LastError: m.Reason})
	}
	slices.SortStableFunc(list, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// note records the files that are not plugins, and logs the new ones.
func (h *Host) note(l catalog.Listing) {
	h.mu.Lock()
	misfits, left := h.misfits, h.left
	h.misfits, h.left = l.Misfits, l.Left
	h.mu.Unlock()
	for _, m := range l.Misfits {
		if !slices.Contains(misfits, m) {
			h.cfg.Log.Error("a file of the plugin directory cannot be a plugin; the others run", "code", telemetry.CodePluginDirectory, "file", m.Path, "error", m.Reason)
		}
	}
	for _, m := range l.Left {
		if !slices.Contains(left, m) {
			h.cfg.Log.Info("an executable of the plugin directory is skipped", "file", m.Path, "reason", m.Reason)
		}
	}
}

// Start starts all plugins at the same time, and returns when each of them is
// ready or has failed for the first time, or when ctx ends. A plugin that fails
// is not an error: it is logged, and started again later. An error means that no
// plugin can be started, and is final. Calls after the first one only wait.
//
// Plugins run until [Host.Stop], which must be called.
func (h *Host) Start(ctx context.Context) error {
	if err := h.startAll(); err != nil {
		return err
	}
	decided := make(chan struct{})
	go func() {
		h.firsts.Wait() // bounded by StartTimeout
		close(decided)
	}()
	select {
	case <-decided:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (h *Host) startAll() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started {
		return h.startErr
	}
	h.started = true
	if h.isStopping() {
		h.startErr = ErrStopped
		return h.startErr
	}
	if h.launch.RunDir == "" {
		return nil // there are no plugins, and there will be none
	}
	if h.startErr = h.open(); h.startErr != nil {
		h.startErr = fmt.Errorf("pluginhost: %w", h.startErr)
		return h.startErr
	}
	for _, p := range h.plugins {
		h.firsts.Add(1)
		h.supervise(p, sync.OnceFunc(h.firsts.Done))
	}
	if h.cfg.Watch {
		h.wait.Go(h.watch)
	}
	return nil
}

func (h *Host) open() (err error) {
	if err := h.catalog.Prepare(); err != nil {
		return err
	}
	if err := h.launch.Resources.Account.Own(h.cfg.WorkDir); err != nil {
		return err
	}
	h.run, err = process.OpenRunDir(h.launch.RunDir, h.launch.Resources.Account)
	return err
}

// supervise starts the supervisor of a plugin. first is called when its first
// start is decided. The caller holds the lock.
func (h *Host) supervise(p *Plugin, first func()) {
	h.wait.Go(func() {
		defer close(p.ended)
		p.supervise(first)
	})
}

// Run starts the plugins if [Host.Start] has not, keeps them running until ctx
// ends, then stops them. It returns nil after an orderly end.
func (h *Host) Run(ctx context.Context) error {
	defer h.Stop()
	if err := h.startAll(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// Stop stops all plugins at the same time and returns when no process and no
// socket is left. Plugins may finish the events that they have, within
// DrainTimeout; a plugin that does not comply may cost about ten seconds more.
// It may be called more than once.
func (h *Host) Stop() {
	h.mu.Lock()
	h.stop() // under the lock: nobody is welcomed after it
	h.mu.Unlock()
	h.wait.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.run != nil {
		h.run.Close()
		h.run = nil
	}
}

func (h *Host) isStopping() bool { return isClosed(h.stopping) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// welcome starts a plugin that has appeared while the host runs. It returns nil if
// it may not be started.
func (h *Host) welcome(f catalog.Entry) *Plugin {
	p := newPlugin(h, f)
	if h.cfg.OnAdd != nil {
		if err := h.cfg.OnAdd(p); err != nil {
			h.cfg.Log.Error("a new plugin cannot be used", "code", telemetry.CodePluginDirectory, "plugin", f.Name, "file", f.Path, "error", err)
			return nil
		}
	}
	h.cfg.Log.Info("plugin found", "plugin", f.Name, "file", f.Path)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isStopping() {
		return nil
	}
	h.plugins = append(slices.Clone(h.plugins), p)
	slices.SortFunc(h.plugins, func(a, b *Plugin) int { return strings.Compare(a.file.Path, b.file.Path) })
	h.supervise(p, func() {}) // Start does not wait for it
	return p
}

// dismiss stops a plugin whose file has gone, and forgets it.
func (h *Host) dismiss(p *Plugin) {
	h.cfg.Log.Info("the plugin's file is gone: it is stopped", "plugin", p.file.Name, "file", p.file.Path)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plugins = slices.DeleteFunc(slices.Clone(h.plugins), func(q *Plugin) bool { return p == q })
	if h.isStopping() {
		return
	}
	h.setClaim(p, claim{})
	h.wait.Go(func() {
		if h.cfg.OnRemove != nil {
			h.cfg.OnRemove(p)
		}
		p.remove()
		<-p.ended
		h.mu.Lock()
		back := slices.ContainsFunc(h.plugins, func(q *Plugin) bool { return q.file.Name == p.file.Name })
		h.mu.Unlock()
		if back {
			return
		}
		if err := h.catalog.Forget(p.file.Name); err != nil {
			h.cfg.Log.Warn("a plugin that is gone is not forgotten", "code", telemetry.CodePluginUnremembered, "plugin", p.file.Name, "error", err)
		}
	})
}
