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
// in whatever way, its plugins end too. Except by setsid: a process that
// leaves the plugin's process group escapes the kill, though not the end of
// its lifeline if it reads it.
//
// While it runs it follows the directory: plugins come, go and change. What
// runs is a private copy; a new program or new settings run beside the old
// until they have shown that they can take events, and otherwise the old goes
// on.
//
// plugins/PROTOCOL.md describes what passes between the two.
package pluginhost

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config is what a [Host] is made from.
type Config struct {
	// Dir has the plugins: every executable file in it is one. Its name,
	// without the prefix "hookswitch-plugin-", is the plugin's name. Empty,
	// or a directory that does not exist: no plugins. A file NAME.json
	// beside a plugin has its settings.
	Dir string

	// RunDir is where the sockets are made. It is created with mode 0700 if
	// it does not exist, must not be open to others, and is used by one host
	// at a time. Its path may have about 70 bytes. Required if there are
	// plugins. Prefer a place that nothing sweeps, such as /run/hookswitch,
	// to /tmp.
	RunDir string

	// StateDir is where private copies of the plugins are kept, and what is
	// remembered of them: the programs that ran, what operators have chosen.
	// It belongs to one host. Required if there are plugins.
	StateDir string

	// Trust says which programs are run.
	Trust catalog.Trust

	// Watch makes the host follow the directory while it runs. Without it
	// only [Host.Reload] looks there again.
	Watch bool

	// OnAdd, if set, is called with a plugin that has come while the host
	// runs, before it is started. If it returns an error the plugin is not
	// started.
	OnAdd func(*Plugin) error

	// OnRemove, if set, is called with a plugin whose file has gone. When it
	// returns the plugin is stopped.
	OnRemove func(*Plugin)

	// WorkDir is the working directory of plugins. Empty: that of the host.
	WorkDir string

	// Env names the environment variables that are passed to plugins,
	// besides a few such as PATH. They inherit nothing else.
	Env []string

	// Environ is where the variables are taken from, in the form of
	// os.Environ. Empty: plugins have no PATH either.
	Environ []string

	// Memory is how many bytes a plugin may have, with the processes that it
	// has started. One that has more is killed. 0 means no limit. Only Linux
	// can measure it.
	Memory int64

	// OpenFiles is how many files each process of a plugin may have open, on
	// Linux. 0 means as many as the host's own.
	OpenFiles int

	// User is whom plugins run as: a name, or "user:group", or numbers. It
	// takes a host that runs as root. Empty: as the host does. The user must
	// be able to reach WorkDir, which is given to it, RunDir and Dir.
	User string

	// RefuseRoot keeps a host of root from starting plugins as root, unless
	// User says "root".
	RefuseRoot bool

	// Timeout is how long a plugin may take for one event. 0 means 30 s.
	Timeout time.Duration

	// Attempts watches attempts. nil: nothing does.
	Attempts *telemetry.Attempts

	// StartTimeout is how long a plugin may take from the start of its
	// process to the first event that it could take. 0 means 10 s.
	StartTimeout time.Duration

	// DrainTimeout is how long a plugin may take, when it is stopped, to
	// finish the events that it has. 0 means 20 s.
	DrainTimeout time.Duration

	// OnDescribe, if set, is called with the name of the target, such as
	// "plugin:archive", and the event types that it wants, each time that a
	// plugin declares others than before, and before it gets any event. It
	// may be called from several goroutines.
	OnDescribe func(target string, patterns []string)

	// Log gets what the host does and what the plugins print. Nil means
	// slog.Default.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	orDefault := func(d *time.Duration, or time.Duration) {
		if *d <= 0 {
			*d = or
		}
	}
	orDefault(&c.Timeout, 30*time.Second)
	orDefault(&c.StartTimeout, 10*time.Second)
	orDefault(&c.DrainTimeout, 20*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

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
// returns an error when the directory or the configuration cannot work.
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
	if len(list.Misfits) > 0 { // of two files for one plugin the one goes on that ran before
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

// Status returns what each plugin is doing, sorted by name, and what files of the
// directory cannot be plugins.
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

// note takes note of the files that are not plugins, and logs what is new.
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
			h.cfg.Log.Info("an executable of the plugin directory is passed over", "file", m.Path, "reason", m.Reason)
		}
	}
}

// Start starts all plugins at the same time, and returns when each of them is
// ready or has failed for the first time, or when ctx ends. A plugin that fails
// is no error: it is logged, and started again later. An error means that no
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
// socket is left. Plugins finish the events that they have, for at most
// DrainTimeout; with what a plugin that does not comply may take, Stop takes at
// most about ten seconds longer. It may be called more than once.
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

func (h *Host) isStopping() bool {
	select {
	case <-h.stopping:
		return true
	default:
		return false
	}
}

// welcome starts a plugin that has come while the host runs. It returns nil if
// it may not.
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
