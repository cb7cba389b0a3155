//go:build unix

package pluginhost

import (
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// unspawned explains an error of the start of a process.
func (r *runner) unspawned(err error) error {
	s := catalog.Spawn{Path: r.path, Shown: r.path, Dir: r.dir, Environ: r.env}
	if filepath.IsAbs(r.args[0]) {
		s.Shown = r.args[0] // as people know it, not its private copy
	}
	if r.res.account != nil {
		s.User = r.res.account.name
	}
	return s.Explain(err)
}
