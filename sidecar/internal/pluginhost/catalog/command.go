package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// interpreters are the programs that usually run scripts, by the ending of the
// script's name.
var interpreters = map[string]string{
	".py": "python3", ".js": "node", ".mjs": "node", ".cjs": "node", ".ts": "node", ".rb": "ruby", ".php": "php", ".sh": "sh", ".pl": "perl", ".lua": "lua",
}

// otherNames are programs that some systems call otherwise.
var otherNames = map[string]string{"python": "python3", "python3": "python", "nodejs": "node", "node": "nodejs"}

// plainInterpreter matches programs that fail if their first argument is the name of a
// script that does not exist.
var plainInterpreter = regexp.MustCompile(`^(python|pypy|node|nodejs|ruby|php|perl|lua|sh|bash|dash|ash|zsh)[0-9.]*$`)

// FindProgram finds the program of a manifest's command, and fails if it would run a
// script that does not exist. environ is the plugin's environment, and workDir where it
// runs. A program without a slash in its name that is not in the plugin directory is
// looked up in PATH.
func (e *Entry) FindProgram(environ []string, workDir string) (string, error) {
	name := e.Manifest.Command[0]
	p := &Problem{Kind: ProblemInterpreter, What: fmt.Sprintf("find the program %q: ", name)}
	manifest := filepath.Base(e.Path)
	switch path := LookPath(name, environ); {
	case path == "":
		p.What += fmt.Sprintf("it is neither in the plugin directory nor in PATH (%s)", Variable(environ, "PATH"))
		p.Fix = fmt.Sprintf("install %s, or give its full path in \"command\" of %s", name, manifest)
		if other := otherNames[name]; other != "" && LookPath(other, environ) != "" {
			p.Fix = fmt.Sprintf("use %q in \"command\" of %s", other, manifest)
		}
	case !filepath.IsAbs(path): // a manifest's own files have whole paths
		p.What += "there is no such file in the plugin directory"
		p.Fix = fmt.Sprintf("copy it to %s, or correct \"command\" in %s", filepath.Dir(e.Path), manifest)
	default:
		if exists(path) {
			// Not left to the program: a slow one would count as started before it fails.
			if plainInterpreter.MatchString(filepath.Base(path)) {
				if script := e.missingScript(workDir, 2); script != nil {
					return "", Explained(script, nil)
				}
			}
			return path, nil
		}
		p.What += "there is no such file"
		p.Fix = fmt.Sprintf("install it, or correct \"command\" in %s", manifest)
	}
	return "", Explained(p, nil)
}

// WhyEnded explains why the process of a plugin may have ended at once, from the
// files that it is made of. It returns nil if nothing is wrong with them. sure is
// false if the plugin may run nevertheless.
func (e *Entry) WhyEnded(environ []string, workDir string) (p *Problem, sure bool) {
	switch e.Kind {
	case KindExec:
		bad, foreign := Inspect(e.Path, environ)
		if bad != nil && bad.Kind == ProblemInterpreter { // env has run, and has not found it
			return bad, true
		}
		return foreign, false
	case KindJSONL:
		p = e.missingScript(workDir, len(e.Manifest.Command))
		return p, p != nil
	}
	return nil, false
}

// missingScript explains a script that the first n words of a manifest's command name
// and that does not exist. Only arguments that look like scripts are considered.
func (e *Entry) missingScript(workDir string, n int) *Problem {
	command := e.Manifest.Command
	for _, arg := range command[1:min(n, len(command))] {
		ext := filepath.Ext(arg)
		if interpreters[ext] == "" && ext != ".jar" || strings.HasPrefix(arg, "-") || !filepath.IsLocal(arg) && !filepath.IsAbs(arg) {
			continue
		}
		dir, path := filepath.Dir(e.Path), arg
		if !filepath.IsAbs(arg) {
			path = filepath.Join(dir, arg)
		}
		if exists(path) || path != arg && exists(filepath.Join(workDir, arg)) {
			continue
		}
		p := &Problem{Kind: ProblemMissing, What: fmt.Sprintf("its command names %s, and there is no such file", arg),
			Fix: fmt.Sprintf("correct \"command\" in %s", filepath.Base(e.Path))}
		if path != arg {
			p.What += " in the plugin directory"
			p.Fix = fmt.Sprintf("copy it to %s, or %s", dir, p.Fix)
		}
		return p
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// needsManifest says what to do with a script that reads lines of JSON and has no
// manifest, or returns "" for a file that is not a script by its name.
func needsManifest(path string) string {
	base := filepath.Base(path)
	program := interpreters[filepath.Ext(base)]
	if program == "" {
		return ""
	}
	name := base[:len(base)-len(filepath.Ext(base))]
	return fmt.Sprintf(`write %s%s beside it: {"protocol": "jsonl", "command": [%q, %q], "events": ["message.received"]}`,
		cmp.Or(NameOf(name), name), ManifestSuffix, program, base)
}
