package catalog

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The test binary is also a program that says whether a file is trusted, for the
// test of user namespaces.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "whose" {
		whose()
		return
	}
	os.Exit(m.Run())
}

// whose says whether a plugin is trusted.
func whose() {
	_, err := new(Trust).file(os.Args[1], filepath.Dir(os.Args[1]))
	fmt.Println("trusted:", err == nil)
	fmt.Println(err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write writes an executable of a test.
func write(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode))
	check(t, os.Chmod(filepath.Join(dir, name), mode))
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	plugins := []string{"A-1", "a", "hookswitch-plugin-b", "c_2", "link", "dotted.name.plugin.json"}
	// Files that packagers, editors and people leave beside a program, and names
	// with a meaning of their own.
	left := []string{"a.bak", "a.BAK", "a.orig", "a.dpkg-new", "a.dpkg-old", "a.dpkg-dist", "a.dpkg-tmp", "a.ucf-old", "a.ucf-dist", "a.rpmsave",
		"a.rpmnew", "a.rpmorig", "a.pacnew", "a.pacsave", "a.apk-new", "a.swp", "a.old", "a.save", "a.1", "a.20261127", "a.2026-11-27", "a.disabled",
		"a.~1~", "a.bak~", "a.part", "a.whatever", "a.v2.exe", "gone.bak", "gone.rpmsave", "gone.disabled", "hookswitch-plugin-b.old"}
	misfits := []string{"notes (1)", "optouts~", "#a#", "we ird", "é", "a+b", "a:b", "lib.so", "optout.py", "b", "x y.plugin.json"}
	debug := []string{".hidden", "new.tmp", "README.md", "sub", "dangling", "todir", "a.json"}
	for _, name := range slices.Concat(plugins[:4], left, misfits[:10], []string{".hidden", "new.tmp", "a.json"}) {
		write(t, dir, name, 0o755)
	}
	write(t, dir, "README.md", 0o644)
	for _, name := range []string{"dotted.name.plugin.json", "x y.plugin.json"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(`{"protocol":"remote","address":"127.0.0.1:1"}`), 0o644))
	}
	check(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	for link, target := range map[string]string{"link": "a", "dangling": "missing", "todir": "sub"} {
		check(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	list, err := scan(dir, nil, logger)
	check(t, err)
	compare := func(what string, got, want []string) {
		t.Helper()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	var names []string
	for _, f := range list.Plugins {
		names = append(names, filepath.Base(f.Path))
	}
	compare("plugins", names, plugins)
	bases := func(files []Misfit) (names []string) {
		for _, m := range files {
			names = append(names, filepath.Base(m.Path))
		}
		return names
	}
	compare("left", bases(list.Left), left)
	compare("misfits", bases(list.Misfits), misfits)
	for _, name := range debug {
		if !strings.Contains(log.String(), "/"+name+" reason=") {
			t.Errorf("nothing was logged about %s", name)
		}
	}
	for _, m := range list.Misfits {
		want := "rename it, or clear its executable bit (chmod -x)"
		switch filepath.Base(m.Path) {
		case "optouts~":
			want = "a copy left by an editor: remove it"
		case "b":
			want = "it is a second plugin b, which is there as " + filepath.Join(dir, "hookswitch-plugin-b") + ": rename or remove one"
		case "x y.plugin.json":
			want = "rename it"
		}
		if !strings.Contains(m.Reason, want) {
			t.Errorf("%v: want %q", m, want)
		}
	}
	if list, err = scan(dir, map[string]string{"b": filepath.Join(dir, "b")}, logger); err != nil || !slices.Contains(bases(list.Misfits), "hookswitch-plugin-b") {
		t.Errorf("the file that was there before is not preferred: %v, %v", list.Misfits, err)
	}
}

func TestCheckDir(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "good", 0o755)
	write(t, dir, "good.bak", 0o755)
	if got := CheckDir(dir); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	write(t, dir, "notes (1)", 0o755)
	if got := CheckDir(dir); len(got) != 1 || !strings.Contains(got[0], "notes (1)") || !strings.Contains(got[0], "chmod -x") {
		t.Errorf("got %q", got)
	}
	if got := CheckDir(filepath.Join(dir, "missing")); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
