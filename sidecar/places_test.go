package sidecar

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// TestSocketsDoNotPileUp: of the admin sockets that were made again one is open,
// however often that happens, and the first.
func TestSocketsDoNotPileUp(t *testing.T) {
	c, _ := config.From([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
		"HOOKSWITCH_STORE=file:" + t.TempDir()})
	s, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	defer s.local.Close()
	p := &places{s: s, lost: make(map[string]string)}
	made := []*adminapi.Socket{s.place}
	for range 4 {
		if err := os.Remove(s.socketPath); err != nil {
			t.Fatal(err)
		}
		p.keepSocket()
		made = append(made, s.place)
		if conn, err := net.Dial("unix", s.socketPath); err != nil {
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
