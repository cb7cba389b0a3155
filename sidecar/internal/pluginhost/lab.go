package pluginhost

import (
	"os"
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// lab is where a process works that is only tried.
type lab struct {
	base string // removed in the end
	run  string // for the socket
	work string
}

// openLab makes the directories.
func openLab(work string) (*lab, error) {
	base, err := os.MkdirTemp("", "hookswitch")
	if err == nil {
		if _, long := process.CheckRunDir(filepath.Join(base, "run")); long != nil {
			_ = os.Remove(base) // empty
			base, err = os.MkdirTemp("/tmp", "hookswitch")
		}
	}
	if err != nil {
		return nil, err
	}
	l := &lab{base: base, run: filepath.Join(base, "run"), work: filepath.Join(base, "work")}
	if work != "" {
		if l.work, err = filepath.Abs(work); err != nil {
			l.close()
			return nil, err
		}
	}
	for _, dir := range []string{l.run, l.work} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *lab) close() { _ = os.RemoveAll(l.base) } // in the system's place for what may stay
