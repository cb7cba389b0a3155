package pluginhost

import (
	"os"
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// UserError says why plugins cannot run as Config.User wants it.
type UserError struct{ err error }

func (e *UserError) Error() string { return "pluginhost: " + e.err.Error() }

// Unwrap returns the cause.
func (e *UserError) Unwrap() error { return e.err }

// resources returns what the configuration lets plugins have, or why it cannot
// be.
func (c Config) resources() (process.Resources, error) {
	a, err := process.LookUpAccount(c.User)
	if err != nil {
		return process.Resources{}, err
	}
	for _, path := range []string{c.RunDir, c.WorkDir, filepath.Join(c.StateDir, "copy", "program")} {
		// Of the directory itself the host makes what it has to be.
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
