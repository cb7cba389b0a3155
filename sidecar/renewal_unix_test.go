//go:build unix

package sidecar

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestReloadBesideALook: a reload that changes the paths while the old files are
// being read is not undone by what they held.
func TestReloadBesideALook(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	cert, key := issue(t, "one.test", now.Add(-time.Hour), now.Add(time.Hour))
	put(t, dir+"/tls.crt", cert)
	put(t, dir+"/tls.key", key)
	nextCert, nextKey := issue(t, "two.test", now.Add(-time.Hour), now.Add(time.Hour))
	put(t, dir+"/next/tls.crt", nextCert)
	put(t, dir+"/next/tls.key", nextKey)
	r := startReloading(t, "HOOKSWITCH_TLS_CERT_FILE="+dir+"/tls.crt", "HOOKSWITCH_TLS_KEY_FILE="+dir+"/tls.key")
	// The reader of the old certificate waits for its writer, and the other way
	// round.
	if err := os.Remove(dir + "/tls.crt"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/tls.crt", 0o600); err != nil {
		t.Fatal(err)
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		r.listeners.certificate.Look(now)
	}()
	w, err := os.OpenFile(dir+"/tls.crt", os.O_WRONLY, 0) // the look has begun
	if err != nil {
		t.Fatal(err)
	}
	r.set("HOOKSWITCH_TLS_CERT_FILE="+dir+"/next/tls.crt", "HOOKSWITCH_TLS_KEY_FILE="+dir+"/next/tls.key")
	reloaded := make(chan error, 1)
	go func() { reloaded <- r.Reload(context.Background()) }()
	select {
	case err := <-reloaded: // it did not wait for the look
		reloaded <- err
	case <-time.After(300 * time.Millisecond):
	}
	// The old pair, with another text: it seems to be renewed.
	if _, err := w.Write(append([]byte("renewed\n"), cert...)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	<-looked
	if name := r.listeners.certificate.InUse().Leaf.Subject.CommonName; name != "two.test" {
		t.Errorf("it shows %s", name)
	}
}
