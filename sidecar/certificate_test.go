package sidecar

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify writes a certificate for a name, by itself, into two files of dir.
func certify(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	cert, key := issue(t, name, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	put(t, certFile, cert)
	put(t, keyFile, key)
	return certFile, keyFile
}

// TestCertificateIsReloaded: the next connections see a renewed certificate; one
// that cannot be used is refused, and the old one stays.
func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	cert, key := certify(t, dir, "one.test")
	r := startReloading(t, "HOOKSWITCH_TLS_CERT_FILE="+cert, "HOOKSWITCH_TLS_KEY_FILE="+key)
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", r.listeners.public.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if url := r.Addresses().Webhooks; !strings.HasPrefix(url, "https://127.0.0.1:") || shown() != "one.test" {
		t.Errorf("%s shows the certificate of %s", url, shown())
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	res, err := client.Post(r.Addresses().Webhooks, "application/json", strings.NewReader("{}"))
	if err != nil || res.StatusCode != 401 {
		t.Fatal(res, err)
	}
	res.Body.Close()

	certify(t, dir, "two.test")
	if err := r.Reload(t.Context()); err != nil || shown() != "two.test" {
		t.Errorf("after a renewal it shows %s: %v", shown(), err)
	}
	if err := os.WriteFile(key, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_TLS_CERT_FILE") || shown() != "two.test" {
		t.Errorf("with half a certificate it shows %s: %v", shown(), err)
	}
	certify(t, dir, "three.test")
	r.mu.Lock()
	r.vars = r.vars[:len(r.vars)-2]
	r.mu.Unlock()
	if got := r.reloadConfig(t.Context()); got.Err != nil || shown() != "three.test" || got.Restart[0] != "HOOKSWITCH_TLS_CERT_FILE" {
		t.Errorf("without a certificate: %+v", got)
	}
}
