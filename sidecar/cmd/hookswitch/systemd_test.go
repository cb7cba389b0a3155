package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// servicemanager: listens as systemd does, sets NOTIFY_SOCKET, and writes each
// message as a line of notify.log, with | between its assignments.
func cmdServiceManager(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := os.MkdirTemp("", "sd") // the script's own may be too long for a socket
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	file := ts.MkAbs("notify.log")
	ts.Check(os.WriteFile(file, nil, 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return // closed when the script ends
			}
			if appendLine(file, []byte(strings.ReplaceAll(string(buf[:n]), "\n", "|"))) != nil {
				return
			}
		}
	}()
	ts.Defer(func() { conn.Close(); <-done })
	ts.Setenv("NOTIFY_SOCKET", path)
}
