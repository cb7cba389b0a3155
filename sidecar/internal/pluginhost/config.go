package pluginhost

import (
	"cmp"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config configures a [Host].
type Config struct {
	// Dir has the plugins: every executable file in it is one. Its name,
	// without the prefix "hookswitch-plugin-", is the plugin's name. Empty,
	// or a directory that does not exist: no plugins. A file NAME.json
	// beside a plugin has its settings.
	Dir string

	// RunDir is the directory for sockets. It is created with mode 0700 if
	// it does not exist, must not be open to others, and is used by one host
	// at a time. Its path may have about 70 bytes. Required if there are
	// plugins. Prefer a place that nothing sweeps, such as /run/hookswitch,
	// to /tmp.
	RunDir string

	// StateDir has private copies of the plugins, and the records of them: the
	// programs that ran, and operators' choices. It belongs to one host.
	// Required if there are plugins.
	StateDir string

	// Trust decides which programs are run.
	Trust catalog.Trust

	// Watch makes the host follow the directory while it runs. Without it
	// only [Host.Reload] looks there again.
	Watch bool

	// OnAdd, if set, is called with a plugin that has appeared while the host
	// runs, before it is started. If it returns an error the plugin is not
	// started.
	OnAdd func(*Plugin) error

	// OnRemove, if set, is called with a plugin whose file is gone. When it
	// returns, the plugin is stopped.
	OnRemove func(*Plugin)

	// WorkDir is the working directory of plugins. Empty: that of the host.
	WorkDir string

	// Env names the environment variables that are passed to plugins,
	// besides a few such as PATH. They inherit nothing else.
	Env []string

	// Environ is the source of the variables, in the form of os.Environ. Empty:
	// plugins have no PATH either.
	Environ []string

	// Memory is how many bytes a plugin may use, together with the processes
	// that it has started. If it uses more it is killed. 0 means no limit. It
	// is measured on Linux only.
	Memory int64

	// OpenFiles is how many files each process of a plugin may have open, on
	// Linux. 0 means as many as the host's own.
	OpenFiles int

	// User is the user that plugins run as: a name, or "user:group", or
	// numbers. The host must run as root. Empty: the host's user. The user
	// must be able to reach WorkDir, which is given to it, RunDir and Dir.
	User string

	// RefuseRoot keeps a host of root from starting plugins as root, unless
	// User says "root".
	RefuseRoot bool

	// Timeout is how long a plugin may take for one event. 0 means 30 s.
	Timeout time.Duration

	// Attempts watches attempts. It may be nil.
	Attempts *telemetry.Attempts

	// StartTimeout is how long a plugin may take from the start of its
	// process until it can take events. 0 means [process.DefaultStartTimeout].
	StartTimeout time.Duration

	// DrainTimeout is how long a plugin may take, when it is stopped, to
	// finish the events that it has. 0 means 20 s.
	DrainTimeout time.Duration

	// OnDescribe, if set, is called with the name of the target, such as
	// "plugin:archive", and the event types that it wants, whenever a plugin
	// declares other types than before, and before it gets any event. It may
	// be called from several goroutines.
	OnDescribe func(target string, patterns []string)

	// Log gets the host's own lines and what the plugins print. Nil means
	// slog.Default.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.StartTimeout = cmp.Or(c.StartTimeout, process.DefaultStartTimeout)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 20*time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

// UserError is the reason why plugins cannot run as Config.User.
type UserError struct{ err error }

func (e *UserError) Error() string { return "pluginhost: " + e.err.Error() }

// Unwrap returns the cause.
func (e *UserError) Unwrap() error { return e.err }

// resources returns the resources that the configuration gives to plugins, or an
// error if it cannot.
func (c Config) resources() (process.Resources, error) {
	a, err := process.LookUpAccount(c.User)
	if err != nil {
		return process.Resources{}, err
	}
	for _, path := range []string{c.RunDir, c.WorkDir, filepath.Join(c.StateDir, "copy", "program")} {
		// The directory itself gets its mode from the host.
		if err := a.Reaches(path); err != nil {
			return process.Resources{}, err
		}
	}
	return process.Resources{
		Memory:    c.Memory,
		OpenFiles: uint64(max(c.OpenFiles, 0)),
		Account:   a,
		NoRoot:    c.RefuseRoot && c.User == "" && os.Geteuid() == 0,
	}, nil
}
