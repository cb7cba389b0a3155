package catalog

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Trust is the rule that decides which programs may run.
type Trust struct {
	// Mode decides which programs are trusted. Empty means TrustDir.
	Mode TrustMode

	// Sums is the path of a list of digests in the format of sha256sum, for
	// TrustPinned and TrustSigned.
	Sums string

	// Key verifies the signature of Sums, which is in the file of the same name
	// plus ".sig", for TrustSigned.
	Key ed25519.PublicKey

	// GroupWrite accepts files and directories that their group may write to,
	// with a warning: a umask of 002 is common on developers' machines.
	GroupWrite bool
}

// TrustMode is a way for a program to be trusted.
type TrustMode string

// The modes. The bytes of an executable that are checked are the bytes that are
// copied and run. The files of a manifest are not copied, so they must meet
// TrustDir's conditions in every mode.
const (
	// TrustDir trusts files that only root and this user can have put there:
	// the file, its directory and all directories above belong to them and
	// are not writable by others. sshd demands the same of a home directory.
	TrustDir TrustMode = "dir"

	// TrustPinned trusts programs whose digest is in Trust.Sums.
	TrustPinned TrustMode = "pinned"

	// TrustSigned trusts programs whose digest is in Trust.Sums, if the list
	// is signed with Trust.Key.
	TrustSigned TrustMode = "signed"
)

// check returns an error if the rule is incomplete.
func (t *Trust) check() error {
	switch t.Mode {
	case "", TrustDir:
		return nil
	case TrustPinned, TrustSigned:
	default:
		return fmt.Errorf("trust %q: must be dir, pinned or signed", t.Mode)
	}
	if t.Sums == "" {
		return fmt.Errorf("trust %q needs the path of a SHA256SUMS file", t.Mode)
	}
	if t.Mode == TrustSigned && len(t.Key) != ed25519.PublicKeySize {
		return errors.New(`trust "signed" needs the Ed25519 public key of the signature`)
	}
	return nil
}

// byDigest reports whether programs are trusted by their digest, wherever they come
// from.
func (t *Trust) byDigest() bool { return t.Mode == TrustPinned || t.Mode == TrustSigned }

// file checks a plugin's file before it is read. root is the plugin directory; links
// must not lead out of it.
func (t *Trust) file(path, root string) (warning, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("find the file: %w", err)
	}
	if t.byDigest() {
		return nil, nil // wherever it comes from
	}
	if realRoot, err := filepath.EvalSymlinks(root); err == nil {
		if rel, err := filepath.Rel(realRoot, real); err != nil || !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%s is a link to %s, which is outside the plugin directory: copy the file, for example with: install -m 755 %s %s",
				path, real, Quote(real), Quote(path))
		}
	}
	return t.private(real)
}

// private checks that only root and this user can write to a file.
func (t *Trust) private(path string) (warning, err error) {
	me, users := os.Geteuid(), readUsers()
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return nil, fmt.Errorf("check who may write to %s: %w", path, err)
		}
		stat, ok := statOf(info)
		if !ok {
			return nil, nil // Windows: access lists are not read, and no program is run
		}
		owner := stat.uid
		if err := users.identify(owner, func() bool { return isOwn(at) }); err != nil {
			return nil, t.strangers(at, err)
		}
		if owner != 0 && owner != me {
			return nil, fmt.Errorf("%s belongs to user %d, who could replace the plugin: chown %d %s", at, owner, me, Quote(at))
		}
		perm := info.Mode().Perm()
		// Only their owner, who has just been checked, can replace entries of a
		// sticky directory.
		if at != path && info.Mode()&fs.ModeSticky != 0 {
			perm &^= 0o022
		}
		switch {
		case perm&0o002 != 0:
			return nil, fmt.Errorf("%s is writable by everybody (mode %#o), who could replace the plugin: chmod go-w %s", at, info.Mode().Perm(), Quote(at))
		case perm&0o020 != 0:
			err := fmt.Errorf("%s is writable by group %d (mode %#o), who could replace the plugin: chmod g-w %s", at, stat.gid, info.Mode().Perm(), Quote(at))
			if !t.GroupWrite {
				return nil, err
			}
			warning = err
		}
		if at == filepath.Dir(at) {
			return warning, nil
		}
	}
}

// Examine checks a file as if it were about to run. inside says that it is in the
// plugin directory; for other files, links may lead anywhere.
func (t *Trust) Examine(path string, inside bool) (warning, err error) {
	if real, linkErr := filepath.EvalSymlinks(path); inside || linkErr != nil {
		warning, err = t.file(path, filepath.Dir(path))
	} else if !t.byDigest() {
		warning, err = t.private(real)
	}
	if err == nil && t.byDigest() {
		err = t.listed(path)
	}
	return warning, err
}

// listed checks a file's content against the list of trusted programs.
func (t *Trust) listed(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	digest, err := hashFile(f, io.Discard)
	if err != nil {
		return err
	}
	return t.digest(digest)
}

// digest checks the content of a program.
func (t *Trust) digest(digest string) error {
	if !t.byDigest() {
		return nil
	}
	sums, err := os.ReadFile(t.Sums)
	if err != nil {
		return fmt.Errorf("read the list of trusted programs: %w", err)
	}
	if t.Mode == TrustSigned {
		if err := t.signed(sums); err != nil {
			return err
		}
	} else if _, err := t.privateList(); err != nil {
		return err
	}
	listed, err := listsDigest(sums, digest)
	if err != nil {
		return fmt.Errorf("read the list of trusted programs %s: %w", t.Sums, err)
	}
	if !listed {
		return fmt.Errorf("SHA-256 %s is not in %s: if this is the program you expect, add the line that sha256sum prints for it", digest, t.Sums)
	}
	return nil
}

func (t *Trust) privateList() (warning, err error) {
	real, err := filepath.EvalSymlinks(t.Sums)
	if err != nil {
		return nil, fmt.Errorf("read the list of trusted programs: %w", err)
	}
	abs, err := filepath.Abs(real)
	if err != nil {
		return nil, err
	}
	return t.private(abs)
}

func (t *Trust) signed(sums []byte) error {
	sig, err := os.ReadFile(t.Sums + ".sig")
	if err != nil {
		return fmt.Errorf("read the signature of the list of trusted programs: %w", err)
	}
	if len(sig) != ed25519.SignatureSize { // not raw, as openssl writes it: base64
		sig, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(sig)))
		if err != nil || len(sig) != ed25519.SignatureSize {
			return fmt.Errorf("%s.sig is not an Ed25519 signature: it must be 64 bytes, or their base64", t.Sums)
		}
	}
	if !ed25519.Verify(t.Key, sums, sig) {
		return fmt.Errorf("%s.sig does not sign %s with the key in HOOKSWITCH_PLUGIN_SIGN_KEY: sign it again: openssl pkeyutl -sign -rawin -inkey KEY.pem -in %s -out %s.sig",
			t.Sums, t.Sums, Quote(t.Sums), Quote(t.Sums))
	}
	return nil
}

// sumLine is a line of sha256sum. It begins with a backslash if the name is escaped.
var sumLine = regexp.MustCompile(`^\\?([0-9A-Fa-f]{64}) [ *].`)

// listsDigest looks up a digest. File names do not matter, only content.
func listsDigest(sums []byte, digest string) (bool, error) {
	lines := bufio.NewScanner(bytes.NewReader(sums))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := sumLine.FindStringSubmatch(line)
		if m == nil {
			return false, fmt.Errorf("line %d is not in the format of sha256sum", n)
		}
		if strings.EqualFold(m[1], digest) {
			return true, nil
		}
	}
	return false, lines.Err()
}

// ParseSignKey parses an Ed25519 public key: PEM, or the base64 of its 32 bytes or
// of its SPKI.
func ParseSignKey(text string) (ed25519.PublicKey, error) {
	text = strings.TrimSpace(text)
	var der []byte
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("is neither PEM nor base64")
		}
		if len(raw) == ed25519.PublicKeySize {
			return ed25519.PublicKey(raw), nil
		}
		der = raw
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("is not a public key: openssl pkey -in KEY.pem -pubout prints it")
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("is not an Ed25519 key (but %T)", key)
	}
	return public, nil
}

// Quote quotes a path for the shell.
func Quote(path string) string {
	if plainPath.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9_./+@%:,=-]+$`)
