//go:build unix

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
	limits  limits
	res     resources
	plugins []*Plugin
	runPath string // of the run directory, checked

	stopping chan struct{} // closed by stop
	stop     func()

	mu       sync.Mutex
	run      *runDir        // set by the first Start
	started  bool           // Start has been called
	startErr error          // what the first Start returned
	firsts   sync.WaitGroup // plugins whose first start is not decided
	wait     sync.WaitGroup // supervisors
}

// New looks for plugins. It starts none of them and changes nothing on disk. It
// returns an error when the directory or the configuration cannot work.
func New(cfg Config) (*Host, error) {
	h := &Host{cfg: cfg.withDefaults(), limits: defaultLimits(), stopping: make(chan struct{})}
	h.stop = sync.OnceFunc(func() { close(h.stopping) })
	if err := CheckEnv(cfg.Env); err != nil {
		return nil, fmt.Errorf("pluginhost: %w", err)
	}
	files, err := scan(cfg.Dir, h.cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("pluginhost: %w", err)
	}
	if len(files) == 0 {
		return h, nil
	}
	if h.runPath, err = checkRunDir(cfg.RunDir); err != nil {
		return nil, fmt.Errorf("pluginhost: %w", err)
	}
	if h.res, err = cfg.resources(); err != nil {
		return nil, &UserError{err}
	}
	for _, f := range files {
		if err := h.res.permit(f); err != nil {
			return nil, &UserError{err}
		}
		h.plugins = append(h.plugins, newPlugin(h, f))
	}
	return h, nil
}

// Plugins returns all plugins, sorted by the names of their files. The slice
// must not be changed.
func (h *Host) Plugins() []*Plugin { return h.plugins }

// Status returns what each plugin is doing, sorted by name.
func (h *Host) Status() []Status {
	list := make([]Status, 0, len(h.plugins))
	for _, p := range h.plugins {
		list = append(list, p.Status())
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return list
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
	if len(h.plugins) == 0 {
		return nil
	}
	if err := h.res.account.own(h.cfg.WorkDir); err != nil {
		h.startErr = fmt.Errorf("pluginhost: %w", err)
		return h.startErr
	}
	run, err := openRunDir(h.runPath, h.res.account)
	if err != nil {
		h.startErr = fmt.Errorf("pluginhost: %w", err)
		return h.startErr
	}
	h.run = run
	for _, p := range h.plugins {
		h.firsts.Add(1)
		h.wait.Go(func() { p.supervise(sync.OnceFunc(h.firsts.Done)) })
	}
	return nil
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
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wait.Wait()
	if h.run != nil {
		h.run.close()
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

// configPath returns where the settings of a plugin would be.
func (h *Host) configPath(f found) string {
	if f.settings != "" {
		return f.settings
	}
	return filepath.Join(filepath.Dir(f.path), f.name+".json")
}
