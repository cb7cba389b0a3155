package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Spawn is a program that the system was asked to run.
type Spawn struct {
	Path    string // of the program
	Shown   string // as people know it: Path may be a private copy
	Dir     string // where it was to work
	User    string // as whom, if that is not the host's own user
	Environ []string
}

// SpawnError says why the system did not run a program, and what to do: in the
// log and the status of a host as in what "plugins check" prints.
type SpawnError struct {
	Problem *Problem
	cause   error
}

func (e *SpawnError) Error() string {
	text := e.Problem.What
	var errno syscall.Errno
	if errors.As(e.cause, &errno) && !strings.Contains(text, errno.Error()) {
		text += fmt.Sprintf(" (%v)", errno)
	}
	if e.Problem.Fix != "" {
		text += ": " + e.Problem.Fix
	}
	return text
}

// Unwrap returns the system's error.
func (e *SpawnError) Unwrap() error { return e.cause }

// Explain explains the system's error.
func (s Spawn) Explain(err error) *SpawnError {
	p := &Problem{Kind: ProblemStart, What: fmt.Sprintf("the system does not run %s", s.Shown)}
	switch {
	case errors.Is(err, syscall.ETXTBSY):
		p.What = "the file is still open for writing"
		p.Fix = "wait for the copy to end; copy to a name that ends in .tmp first, then rename it"
	case errors.Is(err, fs.ErrPermission) && isNoexec(s.Path):
		p = noexecProblem(filepath.Dir(s.Path), s.Path != s.Shown)
	case errors.Is(err, fs.ErrPermission) && s.User != "":
		p.Fix = fmt.Sprintf("may user %s run it, and reach its directory and %q?", s.User, s.Dir)
	default:
		bad, foreign := Inspect(s.Shown, s.Environ)
		switch {
		case bad != nil && bad.Kind != ProblemName && bad.Kind != ProblemMissing:
			p = bad
		case foreign != nil:
			p = foreign
		case errors.Is(err, syscall.ENOEXEC):
			p.Fix = buildFor()
		case errors.Is(err, fs.ErrPermission):
			p.Fix = "see whether this user may enter its directory"
		case errors.Is(err, fs.ErrNotExist):
			p.Fix = "check that what runs it (its #! line, or its loader) is on this machine"
		}
	}
	return &SpawnError{p, err}
}

// noexecProblem is that of a directory where nothing can be run. copies says that
// it is where the sidecar keeps its copies of plugins.
func noexecProblem(dir string, copies bool) *Problem {
	p := &Problem{Kind: ProblemHost, What: fmt.Sprintf("the file system of %s is mounted noexec, so that nothing in it can be run", dir),
		Fix: "mount it without noexec (findmnt -T " + Quote(dir) + " shows it), or put the program elsewhere"}
	if copies {
		p.What = fmt.Sprintf("plugins are run from copies in the data directory, and the file system of %s is mounted noexec", dir)
		p.Fix = "mount it without noexec (findmnt -T " + Quote(dir) + " shows it), or have HOOKSWITCH_DATA_DIR name a directory elsewhere"
	}
	return p
}

// NoexecCopies says that no copy can be run in a directory, which need not be
// there yet.
func NoexecCopies(dir string) *Problem {
	abs, err := filepath.Abs(dir)
	if dir == "" || err != nil {
		return nil
	}
	at := abs
	for {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	if !isNoexec(at) {
		return nil
	}
	return noexecProblem(abs, true)
}
