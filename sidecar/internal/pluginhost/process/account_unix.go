//go:build unix

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Account is the user that plugins run as, when it is not the host's.
type Account struct {
	name     string
	uid, gid uint32
	groups   []uint32 // all of them, gid included
	home     string   // empty if the system knows none
}

// LookUpAccount understands "user", "user:group", and numbers instead of
// either. It returns nil for the empty text and for the user that the host
// runs as.
func LookUpAccount(text string) (*Account, error) {
	if text == "" {
		return nil, nil
	}
	who, group, hasGroup := strings.Cut(text, ":")
	a := &Account{name: who}
	found, err := lookUpUser(who)
	switch {
	case err == nil:
		if err := a.fill(found); err != nil {
			return nil, err
		}
	case isNumber(who) && hasGroup: // a user without an entry, as in containers
		a.uid = number(who)
	case isNumber(who):
		return nil, fmt.Errorf("user %s of plugins has no entry in the system: give the group as well, as in %s:%s", who, who, who)
	default:
		return nil, fmt.Errorf("user of plugins: %w", err)
	}
	if hasGroup {
		if a.gid, err = lookUpGroup(group); err != nil {
			return nil, fmt.Errorf("group of plugins: %w", err)
		}
		a.groups = append(slices.DeleteFunc(a.groups, func(g uint32) bool { return g == a.gid }), a.gid)
	}
	if int(a.uid) == os.Geteuid() {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("plugins cannot run as %q: only root may start processes of another user, and the sidecar runs as user %d", text, os.Geteuid())
	}
	return a, nil
}

func lookUpUser(who string) (*user.User, error) {
	if isNumber(who) {
		return user.LookupId(who)
	}
	return user.Lookup(who)
}

func lookUpGroup(group string) (uint32, error) {
	if isNumber(group) {
		return number(group), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return number(g.Gid), nil
}

func (a *Account) fill(u *user.User) error {
	a.uid, a.gid, a.home = number(u.Uid), number(u.Gid), u.HomeDir
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of user %s: %w", a.name, err)
	}
	for _, id := range ids {
		a.groups = append(a.groups, number(id))
	}
	return nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 32)
	return err == nil
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

// credential returns the account for starting a process; nil keeps the host's.
func (a *Account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
}

// Own gives a directory to the account.
func (a *Account) Own(dir string) error {
	if a == nil || dir == "" {
		return nil
	}
	if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give a directory to the user of plugins: %w", err)
	}
	return nil
}

// Reaches returns an error if the account may not pass through one of the
// directories above path, with the command that lets it.
func (a *Account) Reaches(path string) error {
	if a == nil || path == "" {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // made later, by the host
		}
		if err != nil {
			return fmt.Errorf("user %s of plugins: %w", a.name, err)
		}
		if !a.enters(info) {
			return fmt.Errorf("user %s of plugins cannot reach %s: %s has mode %#o: chmod o+x %s (it lets others pass, not look)", a.name, path, dir, info.Mode().Perm(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a *Account) enters(dir fs.FileInfo) bool {
	execute := fs.FileMode(0o001)
	if stat, ok := dir.Sys().(*syscall.Stat_t); ok {
		switch {
		case stat.Uid == a.uid:
			execute = 0o100
		case slices.Contains(a.groups, stat.Gid), stat.Gid == a.gid:
			execute = 0o010
		}
	}
	return dir.Mode().Perm()&execute != 0
}
