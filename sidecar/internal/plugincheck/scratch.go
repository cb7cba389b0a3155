package plugincheck

import (
	"os"
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// scratch is the directories of a process that is only tried.
type scratch struct {
	base string // removed by close
	run  string // for the socket
	work string
}

// newScratch creates the directories.
func newScratch(work string) (*scratch, error) {
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
	s := &scratch{base: base, run: filepath.Join(base, "run"), work: filepath.Join(base, "work")}
	if work != "" {
		if s.work, err = filepath.Abs(work); err != nil {
			s.close()
			return nil, err
		}
	}
	for _, dir := range []string{s.run, s.work} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *scratch) close() { _ = os.RemoveAll(s.base) } // if it fails, the system clears its temporary files
