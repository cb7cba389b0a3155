package upkeep

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// TestSocketsDoNotPileUp: of the admin sockets that were made again one is open,
// however often that happens, and the first.
func TestSocketsDoNotPileUp(t *testing.T) {
	dir := t.TempDir()
	server := new(http.Server)
	defer server.Close()
	k, err := New(Config{Dir: dir, Here: instance.Info{Socket: filepath.Join(dir, "admin.sock")}, Log: slog.New(slog.DiscardHandler),
		Serve: func(l net.Listener) { _ = server.Serve(l) }})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	made := []*adminapi.Socket{k.socket}
	for range 4 {
		if err := os.Remove(k.Here.Socket); err != nil {
			t.Fatal(err)
		}
		k.keepSocket()
		made = append(made, k.socket)
		if conn, err := net.Dial("unix", k.Here.Socket); err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
	}
	for i, l := range made {
		open := !errors.Is(l.Listener.Close(), net.ErrClosed)
		if want := i == 0 || i == len(made)-1; open != want {
			t.Errorf("socket %d of %d: open is %t", i, len(made)-1, open)
		}
	}
}
