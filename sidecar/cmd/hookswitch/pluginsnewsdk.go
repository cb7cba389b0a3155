package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	sdkModule = "github.com/hookswitch/hookswitch"

	// sdkGo is the version of Go that the SDK requires: that of our go.mod.
	sdkGo = "1.26.0"
)

// goSDK is where a plugin in Go gets the SDK from.
type goSDK struct {
	Version  string // a release; empty: Local
	Local    string // directory of the source, as go.mod spells it
	Requires string // of go.mod, with Local
	Sum      []byte // go.sum, with Local
}

// The forms of a version that others can fetch, of one that only describes a
// commit, and of one that the go command makes of a commit.
var (
	released  = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
	described = regexp.MustCompile(`-[0-9]+-g[0-9a-f]+$|-dirty$|-git[0-9]+\.[0-9a-f]+$`)
	pseudo    = regexp.MustCompile(`[-.][0-9]{14}-[0-9a-f]{12}$`)
)

// chooseSDK decides where the SDK comes from: a release uses itself, and what was
// built from source uses this source, which needs no network.
func chooseSDK(local, asked string) (goSDK, error) {
	switch {
	case local != "" && asked != "":
		return goSDK{}, usageError("plugins new: give --local or --sdk-version, not both")
	case local != "":
		return useLocal("--local "+local, local)
	case asked != "":
		v := "v" + strings.TrimPrefix(asked, "v")
		if !released.MatchString(v) {
			return goSDK{}, usageError("--sdk-version %q is not a version: write it like v0.1.0", asked)
		}
		return goSDK{Version: v}, nil
	}
	info, _ := debug.ReadBuildInfo()
	if v := releaseOf(info, version); v != "" {
		return goSDK{Version: v}, nil
	}
	if dir := findSource(sourcePlaces()); dir != "" {
		return useLocal(dir, dir)
	}
	return goSDK{}, usageError("plugins new: this hookswitch (%s) was built from source, and its source is neither here, nor above, nor where the program is: "+
		"give --local DIR with the directory of that source, where its go.mod is, or --sdk-version VERSION to fetch a release", version)
}

// releaseOf returns the version that others can fetch of a program with such a
// build information and such a version, or "". The go command gives what it builds
// from a clone a version too, but nobody else may have that commit.
func releaseOf(info *debug.BuildInfo, version string) string {
	if info != nil && info.Main.Path == sdkModule && released.MatchString(info.Main.Version) {
		if info.Main.Sum != "" || !pseudo.MatchString(info.Main.Version) {
			return info.Main.Version
		}
	}
	if v := "v" + strings.TrimPrefix(version, "v"); released.MatchString(v) && !described.MatchString(v) && !pseudo.MatchString(v) {
		return v
	}
	return ""
}

// sourcePlaces are the directories in which, or above which, the source may be:
// this one, that of the program, and where it was compiled, unless the program was
// built with -trimpath.
func sourcePlaces() (places []string) {
	if dir, err := os.Getwd(); err == nil {
		places = append(places, dir)
	}
	if file, err := os.Executable(); err == nil {
		if to, err := filepath.EvalSymlinks(file); err == nil {
			file = to
		}
		places = append(places, filepath.Dir(file))
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		places = append(places, filepath.Dir(file))
	}
	return places
}

// findSource returns the first directory with the source of hookswitch, going up
// from each of the places, or "".
func findSource(places []string) string {
	for _, dir := range places {
		for {
			if _, err := sourceMod(dir); err == nil {
				return dir
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return ""
}

// sourceMod returns the go.mod of the source of hookswitch.
func sourceMod(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err == nil && !bytes.HasPrefix(text, []byte("module "+sdkModule+"\n")) {
		err = fmt.Errorf("%s is another module", dir)
	}
	return text, err
}

// useLocal takes the SDK, and the versions of its dependencies, from a checkout,
// so that nothing has to be fetched.
func useLocal(what, dir string) (sdk goSDK, err error) {
	if sdk.Local, err = filepath.Abs(dir); err != nil {
		return sdk, err
	}
	text, err := sourceMod(sdk.Local)
	if err != nil {
		return sdk, usageError("%s: the source of hookswitch is not there (no go.mod of %s)", what, sdkModule)
	}
	if sdk.Sum, err = os.ReadFile(filepath.Join(sdk.Local, "go.sum")); err != nil {
		return sdk, fmt.Errorf("%s: %w", what, err)
	}
	if strings.ContainsAny(sdk.Local, " \t()[]{},\"'`") {
		sdk.Local = strconv.Quote(sdk.Local)
	}
	var requires strings.Builder
	inside := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "require ("):
			inside = true
			requires.WriteString("\n" + line)
		case inside && strings.HasPrefix(line, ")"):
			inside = false
			requires.WriteString(line)
		case inside:
			requirement, _, _ := strings.Cut(line, "//")
			requires.WriteString(strings.TrimRight(requirement, " \n") + " // indirect\n")
		}
	}
	sdk.Requires = requires.String()
	return sdk, nil
}
