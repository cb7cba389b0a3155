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

// Spawn is an attempt to run a program.
type Spawn struct {
	Path    string // of the program
	Shown   string // the path that people know: Path may be a private copy
	Dir     string // its working directory
	User    string // the user it runs as; empty for the host's own
	Environ []string
}

// SpawnError explains why the system did not run a program, or why the program ended
// at once, and what to do about it. The host logs it, and "plugins check" prints it.
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

// Explained returns an error that says what the problem is. cause is what was
// noticed of it, or nil.
func Explained(p *Problem, cause error) *SpawnError { return &SpawnError{p, cause} }

// Unwrap returns the system's error.
func (e *SpawnError) Unwrap() error { return e.cause }

// Explain explains the system's error.
func (s Spawn) Explain(err error) *SpawnError {
	p := &Problem{Kind: ProblemStart, What: fmt.Sprintf("the system refuses to run %s", s.Shown)}
	switch {
	case errors.Is(err, syscall.ETXTBSY):
		p.What = "the file is still open for writing"
		p.Fix = "wait until it is copied; copy to a name that ends in .tmp first, then rename it"
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
			p.Fix = "check that this user may enter its directory"
		case errors.Is(err, fs.ErrNotExist):
			p.Fix = "check that its interpreter (the #! line) or its loader is on this machine"
		}
	}
	return &SpawnError{p, err}
}

// noexecProblem is the problem of a file system where nothing can run. copies says
// that the sidecar keeps its copies of plugins there.
func noexecProblem(dir string, copies bool) *Problem {
	p := &Problem{Kind: ProblemHost, What: fmt.Sprintf("the file system of %s is mounted noexec, so nothing in it can run", dir),
		Fix: "mount it without noexec (findmnt -T " + Quote(dir) + " shows it), or put the program elsewhere"}
	if copies {
		p.What = fmt.Sprintf("plugins run from copies in the data directory, and the file system of %s is mounted noexec", dir)
		p.Fix = "mount it without noexec (findmnt -T " + Quote(dir) + " shows it), or set HOOKSWITCH_DATA_DIR to a directory elsewhere"
	}
	return p
}

// NoexecCopies returns the problem of a state directory where copies cannot run, or
// nil. The directory need not exist yet.
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
