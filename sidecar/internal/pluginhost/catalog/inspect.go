package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// headSize is how much of a file is read to tell what it is. Kernels read no more
// than 256 bytes of a script's first line.
const headSize = 4 << 10

// Inspect examines a file without running it, and returns why it cannot be a plugin.
// A program for another system or processor is returned as foreign. That matters
// only if it does not run: some machines are set up to run such programs. environ
// is the plugin's environment.
func Inspect(path string, environ []string) (bad, foreign *Problem) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing(path), nil
	case err != nil:
		return &Problem{Kind: ProblemHost, What: err.Error()}, nil
	case info.IsDir():
		return &Problem{Kind: ProblemNotFile, What: "it is a directory",
			Fix: "name the plugin's file, such as " + filepath.Join(path, "hookswitch-plugin-NAME")}, nil
	case !info.Mode().IsRegular():
		return &Problem{Kind: ProblemNotFile, What: "it is not a regular file (mode " + info.Mode().String() + ")"}, nil
	case !Local:
		return &Problem{Kind: ProblemPlatform, What: NotLocal, Fix: goRemote}, nil
	case info.Size() == 0:
		return &Problem{Kind: ProblemFormat, What: "the file is empty",
			Fix: "build or copy it again; copy to a name that ends in .tmp first, then rename it"}, nil
	}
	head, err := readHead(path)
	if err != nil {
		fix := ""
		if errors.Is(err, fs.ErrPermission) {
			fix = "chmod u+rx " + Quote(path)
		}
		return &Problem{Kind: ProblemMode, What: "it cannot be read: " + err.Error(), Fix: fix}, nil
	}
	if bad, foreign = inspectFormat(path, head, info.Size(), environ); bad != nil && bad.Kind == ProblemFormat {
		return bad, foreign // an executable bit would not help
	}
	if !executable(path, info) {
		return &Problem{Kind: ProblemMode, Fix: "chmod +x " + Quote(path),
			What: fmt.Sprintf("it is not executable (mode %#o), so the sidecar skips it", info.Mode().Perm())}, nil
	}
	if bad == nil {
		bad = NameProblem(path, false)
	}
	return bad, foreign
}

// Missing explains a file that does not exist: a link may lead nowhere, or a file of
// a similar name be meant.
func Missing(path string) *Problem {
	if to, err := os.Readlink(path); err == nil {
		return &Problem{Kind: ProblemMissing, What: fmt.Sprintf("it is a link to %s, which does not exist", to),
			Fix: "ln -sf FILE " + Quote(path)}
	}
	p := &Problem{Kind: ProblemMissing, What: "there is no such file"}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		p.What = "its directory cannot be read: " + err.Error()
		return p
	}
	want := strings.TrimPrefix(filepath.Base(path), filePrefix)
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if name := strings.TrimPrefix(e.Name(), filePrefix); strings.EqualFold(name, want) || strings.TrimSuffix(name, filepath.Ext(name)) == want {
			p.Fix = "did you mean " + filepath.Join(filepath.Dir(path), e.Name()) + "?"
			return p
		}
	}
	return p
}

// NameProblem returns the problem with the name of a plugin's file, or nil. A file
// that the host would merely skip has no problem: see PassedOver.
func NameProblem(path string, ofManifest bool) *Problem {
	if !ofManifest && strings.Contains(filepath.Base(path), ".") && manifestName.MatchString(NameOf(path)) {
		return nil
	}
	text := badName(NameOf(path), ofManifest)
	if text == "" {
		return nil
	}
	what, fix, _ := strings.Cut(text, ": ")
	return &Problem{Kind: ProblemName, What: what, Fix: fix}
}

// PassedOver returns why the host would skip a file in the plugin directory, as a
// sentence, or returns "".
func PassedOver(path string) string {
	why := notPlugin(path)
	switch {
	case why == "hidden", why == "temporary":
		return fmt.Sprintf("its name says that it is %s", why)
	case why == "" && !programName.MatchString(NameOf(path)):
		return "its name has a dot"
	}
	return why
}

func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, headSize))
	return head, err
}

// inspectFormat tells binaries, scripts and other files apart.
func inspectFormat(path string, head []byte, size int64, environ []string) (bad, foreign *Problem) {
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")), isMachO(head), bytes.HasPrefix(head, []byte("MZ")):
		return inspectBinary(path, head, size)
	case bytes.HasPrefix(head, []byte("\x00asm")):
		return nil, &Problem{Kind: ProblemPlatform, What: "it is a WebAssembly module, not a program for this machine", Fix: buildFor()}
	case bytes.HasPrefix(head, []byte("#!")):
		return inspectScript(path, head, environ), nil
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		return &Problem{Kind: ProblemFormat, What: "it begins with a byte order mark, so the system does not see the #! after it",
			Fix: `sed -i '1s/^\xef\xbb\xbf//' ` + Quote(path)}, nil
	case !bytes.ContainsRune(head, 0):
		p := &Problem{Kind: ProblemFormat, What: "it is a text file that does not begin with #!, so the system does not know how to run it",
			Fix: "begin it with a line such as #!" + interpreterFor(path)}
		if manifest := needsManifest(path); manifest != "" {
			p.Fix = "if it reads lines of JSON, " + manifest + "; if it speaks gRPC, " + p.Fix
		}
		return p, nil
	}
	return &Problem{Kind: ProblemFormat, What: fmt.Sprintf("it is not a program that the system knows (it begins with %q)", head[:min(len(head), 8)]),
		Fix: "build it again: " + strings.TrimPrefix(buildFor(), "build it with ")}, nil
}

func interpreterFor(path string) string {
	return "/usr/bin/env " + cmp.Or(interpreters[filepath.Ext(path)], "python3")
}

// inspectScript looks for a script's interpreter.
func inspectScript(path string, head []byte, environ []string) *Problem {
	line, _, whole := bytes.Cut(head[2:], []byte("\n"))
	if !whole && len(head) == headSize {
		return &Problem{Kind: ProblemFormat, What: "its first line is too long", Fix: "shorten the #! line"}
	}
	if bytes.HasSuffix(line, []byte("\r")) {
		return &Problem{Kind: ProblemInterpreter, What: "it has Windows line endings, so the system looks for an interpreter whose name ends in a carriage return",
			Fix: `sed -i 's/\r$//' ` + Quote(path)}
	}
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return &Problem{Kind: ProblemInterpreter, What: "nothing follows the #! of its first line", Fix: "begin it with a line such as #!" + interpreterFor(path)}
	}
	interpreter := words[0]
	info, err := os.Stat(interpreter)
	switch {
	case err != nil:
		return &Problem{Kind: ProblemInterpreter, What: fmt.Sprintf("its interpreter %s does not exist (%v)", interpreter, errors.Unwrap(err)),
			Fix: "install " + filepath.Base(interpreter) + ", or name another in its first line"}
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return &Problem{Kind: ProblemInterpreter, What: fmt.Sprintf("its interpreter %s is not a program", interpreter), Fix: "name another in its first line"}
	case filepath.Base(interpreter) != "env":
		return nil
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue // an option of env, or a variable
		}
		if LookPath(word, environ) == "" {
			return &Problem{Kind: ProblemInterpreter, What: fmt.Sprintf("its interpreter %q is in no directory of PATH (%s)", word, Variable(environ, "PATH")),
				Fix: "install " + word + ", or name its full path in the first line"}
		}
		return nil
	}
	return nil
}

// LookPath finds a program in the plugin's PATH, not the host's. It returns "" if
// there is none, and a name with a slash as it is.
func LookPath(name string, environ []string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(Variable(environ, "PATH")) {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(dir) {
			return p
		}
	}
	return ""
}

// Variable returns the value of a variable of an environment, or "".
func Variable(environ []string, name string) string {
	for _, v := range environ {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}
