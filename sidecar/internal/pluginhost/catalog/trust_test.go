//go:build unix

package catalog

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrustInADirectory(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(dir, path string) error
		want  string // in the error; empty: it is trusted
	}{
		{"of this user alone", func(string, string) error { return nil }, ""},
		{"a file that everybody may write to", func(_, p string) error { return os.Chmod(p, 0o757) }, "chmod go-w "},
		{"a file that its group may write to", func(_, p string) error { return os.Chmod(p, 0o775) }, "chmod g-w "},
		{"a directory that everybody may write to", func(d, _ string) error { return os.Chmod(d, 0o777) }, "chmod go-w "},
		{"a sticky directory is like /tmp", func(d, _ string) error { return os.Chmod(d, 0o777|os.ModeSticky) }, ""},
		{"a link that leaves the directory", func(_, p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Symlink("/bin/sh", p)
		}, "install -m 755"},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.want = "a file of somebody else", "chown 0 "
		last.spoil = func(_, p string) error { return os.Chown(p, 65534, -1) }
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "plugins")
			check(t, os.Mkdir(dir, 0o755))
			path := filepath.Join(dir, "p")
			check(t, os.WriteFile(path, []byte("x"), 0o755))
			check(t, tt.spoil(dir, path))
			_, err := (&Trust{}).file(path, dir)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if !strings.Contains(tt.want, "g-w") {
				return
			}
			if warning, err := (&Trust{GroupWrite: true}).file(path, dir); err != nil || warning == nil {
				t.Errorf("in development: %v, warning %v", err, warning)
			}
		})
	}
}

func TestTrustByList(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	check(t, err)
	key, err := ParseSignKey(base64.StdEncoding.EncodeToString(public))
	check(t, err)
	dir := t.TempDir()
	sums := filepath.Join(dir, "SHA256SUMS")
	good, bad := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	text := []byte(good + "  hookswitch-plugin-x\n")
	check(t, os.WriteFile(sums, text, 0o644))
	pinned := Trust{Mode: TrustPinned, Sums: sums}
	signed := Trust{Mode: TrustSigned, Sums: sums, Key: key}
	if err := pinned.digest(good); err != nil {
		t.Error(err)
	}
	if err := pinned.digest(bad); err == nil || !strings.Contains(err.Error(), "is not in "+sums) {
		t.Errorf("not listed: %v", err)
	}
	if err := signed.digest(good); err == nil {
		t.Error("trusted without a signature")
	}
	sig := ed25519.Sign(private, text)
	for _, form := range [][]byte{sig, []byte(base64.StdEncoding.EncodeToString(sig) + "\n")} {
		check(t, os.WriteFile(sums+".sig", form, 0o644))
		if err := signed.digest(good); err != nil {
			t.Error(err)
		}
	}
	check(t, os.WriteFile(sums, append(text, bad+"  y\n"...), 0o644))
	if err := signed.digest(bad); err == nil || !strings.Contains(err.Error(), "does not sign") {
		t.Errorf("a list that was changed: %v", err)
	}
	check(t, os.WriteFile(sums, []byte("nonsense\n"), 0o644))
	if err := pinned.digest(good); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("nonsense: %v", err)
	}
}
