package catalog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"

	"github.com/hookswitch/hookswitch/internal/durable"
)

// copies keeps what plugins run from: private copies of their programs and
// settings, named by their SHA-256. A file can be replaced, half written or
// deleted while its plugin runs; the bytes that were checked are the bytes that
// run; and there is something to go back to.
//
//	DIR/<sha256>/<file>   directory 0700, file 0500
//
// It is safe for concurrent use: a copy never changes, and a new one appears
// complete.
type copies struct {
	dir    string
	shared bool // plugins run as another user, who must be able to read them
	held   *held
}

// held counts the uses of copies that no record refers to yet.
type held struct {
	mu   sync.Mutex
	uses map[string]int // by digest
}

// hold keeps a copy, which need not exist yet, until letGo.
func (c copies) hold(digest string) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	c.held.uses[digest]++
}

// letGo ends a hold, if there is one.
func (c copies) letGo(digest string) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	if c.held.uses[digest]--; c.held.uses[digest] <= 0 {
		delete(c.held.uses, digest)
	}
}

// modes returns the modes of directories and files.
func (c copies) modes() (dir, file os.FileMode) {
	if c.shared {
		return 0o711, 0o555 // enter, but not list
	}
	return 0o700, 0o500
}

// errChanging means that a file is not yet, or no longer, what it was.
var errChanging = errors.New("the file is being written")

const copyMax = 1 << 30 // bytes of a program

var digestName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// prepare creates the directory and removes what a crash left in it.
func (c copies) prepare() error {
	mode, _ := c.modes()
	if err := errors.Join(os.MkdirAll(c.dir, mode), os.Chmod(c.dir, mode)); err != nil {
		return fmt.Errorf("make the directory of private copies: %w", err)
	}
	if err := durable.Sweep(c.dir); err != nil {
		return fmt.Errorf("clear the directory of private copies: %w", err)
	}
	return nil
}

// adopt makes sure that there is a copy of a file, and returns its digest and
// path. It calls check before it keeps the bytes. If it returns a path, the copy
// is held.
func (c copies) adopt(path string, check func(digest string) error) (digest, private string, err error) {
	src, err := os.Open(path)
	if err != nil {
		return "", "", fmt.Errorf("read the program: %w", err)
	}
	defer src.Close()
	before, err := src.Stat()
	if err != nil {
		return "", "", fmt.Errorf("read the program: %w", err)
	}
	switch {
	case !before.Mode().IsRegular():
		return "", "", fmt.Errorf("read the program: %s is not a regular file", path)
	case before.Size() == 0:
		return "", "", fmt.Errorf("%s is empty: copy it again", path)
	case before.Size() > copyMax:
		return "", "", fmt.Errorf("%s has more than %d bytes", path, copyMax)
	case openForWriting(src):
		return "", "", errChanging
	}
	digest, err = hashFile(src, io.Discard)
	if err != nil {
		return "", "", fmt.Errorf("read the program: %w", err)
	}
	if changed(src, before) {
		return "", "", errChanging
	}
	if err := check(digest); err != nil {
		return digest, "", err
	}
	c.hold(digest)
	defer func() {
		if err != nil {
			c.letGo(digest)
		}
	}()
	if private, err = c.find(digest); err == nil {
		return digest, private, nil
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return digest, "", fmt.Errorf("read the program: %w", err)
	}
	private, err = c.add(digest, filepath.Base(path), src)
	if err == nil && changed(src, before) {
		err = errChanging
	}
	return digest, private, err
}

// keep makes sure that there is a copy of some bytes, holds it, and returns its
// digest.
func (c copies) keep(name string, data []byte) (digest string, err error) {
	sum := sha256.Sum256(data)
	digest = hex.EncodeToString(sum[:])
	c.hold(digest)
	if _, err := c.find(digest); err == nil {
		return digest, nil
	}
	_, err = c.add(digest, name, bytes.NewReader(data))
	return digest, err
}

// find returns the path of a copy, after checking that it is intact.
func (c copies) find(digest string) (string, error) {
	if !digestName.MatchString(digest) {
		return "", fmt.Errorf("%q is not a digest", digest)
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, digest))
	if err != nil {
		return "", fmt.Errorf("find the private copy %.12s: %w", digest, err)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("the private copy %.12s has %d files", digest, len(entries))
	}
	path := filepath.Join(c.dir, digest, entries[0].Name())
	if dir, file := c.modes(); c.shared { // it may date from before copies were shared
		if err := errors.Join(os.Chmod(filepath.Dir(path), dir), os.Chmod(path, file)); err != nil {
			return "", fmt.Errorf("find the private copy: %w", err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("find the private copy: %w", err)
	}
	defer f.Close()
	if sum, err := hashFile(f, io.Discard); err != nil || sum != digest {
		return "", errors.Join(fmt.Errorf("the private copy %s is damaged", path), err)
	}
	return path, nil
}

// read returns the content of a copy.
func (c copies) read(digest string) ([]byte, error) {
	path, err := c.find(digest)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// add writes a copy. The order of effects: the file is written and synced in a
// directory with a temporary name, which is then renamed. That is the safe point.
// Whether the new name reaches the disk does not matter: a missing copy is made
// again.
func (c copies) add(digest, name string, src io.Reader) (string, error) {
	temp, err := os.MkdirTemp(c.dir, durable.Temp) // mode 0700
	if err != nil {
		return "", fmt.Errorf("keep a private copy: %w", err)
	}
	defer os.RemoveAll(temp)
	dirMode, mode := c.modes()
	f, err := os.OpenFile(filepath.Join(temp, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err == nil {
		err = os.Chmod(temp, dirMode)
	}
	if err != nil {
		return "", fmt.Errorf("keep a private copy: %w", err)
	}
	sum, err := hashFile(src, f)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", fmt.Errorf("keep a private copy in %s: %w", c.dir, err)
	}
	if sum != digest {
		return "", errChanging // between the check and now
	}
	final := filepath.Join(c.dir, digest)
	path := filepath.Join(final, name)
	err = os.Rename(temp, final)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		if whole, err := c.find(digest); err == nil { // somebody else has made it
			return whole, nil
		}
		// It is damaged. A process that runs from it keeps its file.
		err = errors.Join(os.RemoveAll(final), os.Rename(temp, final))
	}
	if err != nil {
		return "", fmt.Errorf("keep a private copy: %w", err)
	}
	_ = durable.SyncDir(c.dir)
	return path, nil
}

// sweep removes the copies that are neither needed nor held. It calls needed while
// nothing can be held.
func (c copies) sweep(needed func() []string) error {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("sweep the private copies: %w", err)
	}
	keep := needed()
	for _, e := range entries {
		if digestName.MatchString(e.Name()) && !slices.Contains(keep, e.Name()) && c.held.uses[e.Name()] == 0 {
			err = cmp.Or(err, os.RemoveAll(filepath.Join(c.dir, e.Name())))
		}
	}
	return err
}

// hashFile copies src to dst and returns its SHA-256.
func hashFile(src io.Reader, dst io.Writer) (string, error) {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, h), io.LimitReader(src, copyMax+1))
	if err == nil && n > copyMax {
		err = fmt.Errorf("it has more than %d bytes", copyMax)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// changed reports whether an open file has changed.
func changed(f *os.File, before os.FileInfo) bool {
	after, err := f.Stat()
	return err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())
}
