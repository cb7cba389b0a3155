//go:build unix

package pgtest

import "syscall"

// credential is nil for the user of the test.
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}
