//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// keyboard reads single keys from a terminal. Only the line discipline's waiting for
// Enter and its echo are switched off: Ctrl-C, Ctrl-Z and the output stay as they
// are. It is safe for concurrent use.
type keyboard struct {
	in     *os.File
	before unix.Termios // to be restored

	mu     sync.Mutex
	closed bool // guarded by mu
}

// openKeyboard returns nil if nobody can press keys: in is not a terminal, or this
// process is in the background, where changing it would stop the process.
func openKeyboard(in *os.File) *keyboard {
	k := &keyboard{in: in}
	before, err := unix.IoctlGetTermios(int(in.Fd()), getTermios)
	if err != nil || !k.foreground() {
		return nil
	}
	k.before = *before
	k.listen()
	return k
}

// foreground reports whether this process has the terminal.
func (k *keyboard) foreground() bool {
	group, err := unix.IoctlGetInt(int(k.in.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// listen makes the terminal hand over each key.
func (k *keyboard) listen() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || !k.foreground() {
		return
	}
	now := k.before
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	_ = unix.IoctlSetTermios(int(k.in.Fd()), setTermios, &now) // without it keys take effect after Enter
}

// restore makes the terminal what it was.
func (k *keyboard) restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed && k.foreground() {
		_ = unix.IoctlSetTermios(int(k.in.Fd()), setTermios, &k.before) // nothing more can be done
	}
}

// close is restore for good.
func (k *keyboard) close() {
	if k == nil {
		return
	}
	k.restore()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
}

// run calls pressed with what is typed until ctx ends. It restores the terminal while
// the process is stopped, and before a signal that ends it at once.
func (k *keyboard) run(ctx context.Context, pressed func([]byte)) {
	if k == nil {
		return
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGQUIT)
	defer signal.Stop(signals)
	keys := make(chan []byte)
	go k.read(ctx, keys)
	for {
		select {
		case <-ctx.Done():
			return
		case typed := <-keys:
			pressed(typed)
		case s := <-signals:
			switch s {
			case syscall.SIGTSTP:
				k.restore()
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			case syscall.SIGCONT:
				k.listen()
			case syscall.SIGQUIT:
				k.close()
				signal.Reset(syscall.SIGQUIT)
				_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
			}
		}
	}
}

// pollKeys is how often the end of ctx is looked for, in milliseconds.
const pollKeys = 200

// read reads only while this process has the terminal: in the background it would be
// stopped for it.
func (k *keyboard) read(ctx context.Context, keys chan<- []byte) {
	for ctx.Err() == nil {
		ready := []unix.PollFd{{Fd: int32(k.in.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, pollKeys); n < 1 || err != nil && err != unix.EINTR {
			continue
		}
		if !k.foreground() {
			if ready[0].Revents&unix.POLLHUP != 0 {
				return
			}
			_, _ = unix.Poll(nil, pollKeys)
			continue
		}
		buf := make([]byte, 64)
		n, err := unix.Read(int(k.in.Fd()), buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if n < 1 {
			return // the terminal is gone
		}
		select {
		case keys <- buf[:n]:
		case <-ctx.Done():
		}
	}
}
