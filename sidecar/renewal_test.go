package sidecar

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// issue returns a pair in PEM that is valid for a time.
func issue(t *testing.T, name string, from, until time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// turn makes a link lead to another place at once, as certbot and Kubernetes
// do.
func turn(t *testing.T, link, to string) {
	t.Helper()
	if err := os.Symlink(to, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

// shown returns whom the certificate that a sidecar shows is for.
func shown(t *testing.T, s *Sidecar) string {
	t.Helper()
	conn, err := tls.Dial("tcp", s.listeners.public.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// certified is a sidecar with a certificate that does not run: nothing looks at
// the files but the test.
type certified struct {
	*Sidecar
	log output.Buffer
}

func withCertificate(t *testing.T, cert, key string) *certified {
	t.Helper()
	dir := t.TempDir()
	load := func() (Config, error) {
		c, _ := config.From([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
			"HOOKSWITCH_STORE=file:" + dir, "HOOKSWITCH_TLS_CERT_FILE=" + cert, "HOOKSWITCH_TLS_KEY_FILE=" + key})
		return c, c.Validate()
	}
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r := new(certified)
	if r.Sidecar, err = New(t.Context(), cfg, Options{Log: slog.New(slog.NewTextHandler(&r.log, nil)), Load: load}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// shown returns whom the certificate is for that is shown from now on.
func (r *certified) shown() string { return r.listeners.certificate.InUse().Leaf.Subject.CommonName }

// TestCertificateIsFollowed: a renewal needs no signal, in whatever way the
// files change.
func TestCertificateIsFollowed(t *testing.T) {
	now := time.Now()
	for name, renew := range map[string]func(t *testing.T, dir string, cert, key []byte){
		"in place": func(t *testing.T, dir string, cert, key []byte) {
			put(t, dir+"/tls.crt", cert)
			put(t, dir+"/tls.key", key)
		},
		"renamed over": func(t *testing.T, dir string, cert, key []byte) {
			for name, text := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
				put(t, dir+"/"+name+".tmp", text)
				if err := os.Rename(dir+"/"+name+".tmp", dir+"/"+name); err != nil {
					t.Fatal(err)
				}
			}
		},
		"links of certbot": func(t *testing.T, dir string, cert, key []byte) {
			put(t, dir+"/archive/cert2.pem", cert)
			put(t, dir+"/archive/key2.pem", key)
			turn(t, dir+"/tls.crt", "archive/cert2.pem")
			turn(t, dir+"/tls.key", "archive/key2.pem")
		},
		"the folder link of Kubernetes": func(t *testing.T, dir string, cert, key []byte) {
			put(t, dir+"/..two/tls.crt", cert)
			put(t, dir+"/..two/tls.key", key)
			turn(t, dir+"/..data", "..two")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cert, key := issue(t, "one.test", now.Add(-time.Hour), now.Add(time.Hour))
			put(t, dir+"/..one/tls.crt", cert)
			put(t, dir+"/..one/tls.key", key)
			if strings.HasPrefix(name, "in") || strings.HasPrefix(name, "renamed") {
				put(t, dir+"/tls.crt", cert)
				put(t, dir+"/tls.key", key)
			} else {
				turn(t, dir+"/..data", "..one")
				turn(t, dir+"/tls.crt", "..data/tls.crt")
				turn(t, dir+"/tls.key", "..data/tls.key")
			}
			r := startReloading(t, "HOOKSWITCH_TLS_CERT_FILE="+dir+"/tls.crt", "HOOKSWITCH_TLS_KEY_FILE="+dir+"/tls.key")
			cert, key = issue(t, "two.test", now.Add(-time.Hour), now.Add(2*time.Hour))
			renew(t, dir, cert, key)
			// Without a signal: only the time that it takes to look.
			for deadline := time.Now().Add(30 * time.Second); shown(t, r.Sidecar) != "two.test"; <-time.After(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it still shows %s", shown(t, r.Sidecar))
				}
			}
		})
	}
}

// TestHalfACertificate: a pair of which one file is still missing, or is the old
// one, does not take the place of the old pair; it is said once, when it stays
// so.
func TestHalfACertificate(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	cert, key := issue(t, "one.test", now.Add(-time.Hour), now.Add(time.Hour))
	put(t, dir+"/tls.crt", cert)
	put(t, dir+"/tls.key", key)
	r := withCertificate(t, dir+"/tls.crt", dir+"/tls.key")
	said := func(text string) int { return strings.Count(r.log.String(), text) }
	nextCert, nextKey := issue(t, "two.test", now.Add(-time.Hour), now.Add(time.Hour))
	for i, spoil := range []func(){
		func() { put(t, dir+"/tls.crt", nextCert) }, // beside the old key
		func() { put(t, dir+"/tls.crt", nextCert[:100]) },
		func() { put(t, dir+"/tls.crt", nil) },
		func() {
			if err := os.Remove(dir + "/tls.crt"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		for range 5 {
			r.listeners.certificate.Look(now)
		}
		if r.shown() != "one.test" || said("code=certificate-refused") != i+1 {
			t.Errorf("%d: it shows %s:\n%s", i, r.shown(), r.log.String())
		}
		if list := r.warnings(); !strings.Contains(fmt.Sprint(list), "the old one stays") {
			t.Errorf("%d: status does not say it: %q", i, list)
		}
	}
	put(t, dir+"/tls.crt", nextCert)
	put(t, dir+"/tls.key", nextKey)
	r.listeners.certificate.Look(now)
	if r.shown() != "two.test" || said("the certificate is renewed") != 1 || strings.Contains(fmt.Sprint(r.warnings()), "the old one stays") {
		t.Errorf("when both are there it shows %s, %q:\n%s", r.shown(), r.warnings(), r.log.String())
	}
}

// TestUntimelyCertificates: one that has ended, or is not valid yet, is warned
// of at the check, at the start and while it runs, and takes the place of no
// valid one.
func TestUntimelyCertificates(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		from, until time.Time
		want        string
	}{
		"ended":         {now.Add(-2 * time.Hour), now.Add(-time.Hour), "expired on"},
		"not yet valid": {now.Add(time.Hour), now.Add(2 * time.Hour), "is not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bad, badKey := issue(t, "bad.test", tt.from, tt.until)
			put(t, dir+"/tls.crt", bad)
			put(t, dir+"/tls.key", badKey)
			var c Config
			c.TLSCertFile, c.TLSKeyFile, c.ForwardTo = dir+"/tls.crt", dir+"/tls.key", "http://app.invalid/"
			if list := c.Advice(); len(list) != 1 || !strings.Contains(list[0], "the certificate for bad.test "+tt.want) {
				t.Errorf("the check says %q", list)
			}
			r := withCertificate(t, dir+"/tls.crt", dir+"/tls.key")
			if list := r.warnings(); !strings.Contains(fmt.Sprint(list), tt.want) {
				t.Errorf("status says %q", list)
			}

			good, goodKey := issue(t, "good.test", now.Add(-time.Hour), now.Add(time.Hour))
			put(t, dir+"/tls.crt", good)
			put(t, dir+"/tls.key", goodKey)
			r.listeners.certificate.Look(now)
			if r.shown() != "good.test" || strings.Contains(fmt.Sprint(r.warnings()), tt.want) {
				t.Errorf("it shows %s, and %q", r.shown(), r.warnings())
			}
			put(t, dir+"/tls.crt", bad)
			put(t, dir+"/tls.key", badKey)
			if err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || r.shown() != "good.test" {
				t.Errorf("reloaded, it shows %s: %v", r.shown(), err)
			}
			r.listeners.certificate.Look(now)
			r.listeners.certificate.Look(now)
			if r.shown() != "good.test" || !strings.Contains(r.log.String(), "code=certificate-refused") {
				t.Errorf("followed, it shows %s:\n%s", r.shown(), r.log.String())
			}
			// The one in use expires as well, so the other is no worse.
			r.listeners.certificate.Look(now.Add(3 * time.Hour))
			if !strings.Contains(r.log.String(), "code=certificate-invalid") {
				t.Errorf("nothing is said of the end:\n%s", r.log.String())
			}
		})
	}
}

// TestCertificateMetric: its end is a metric that is there before it matters.
func TestCertificateMetric(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	dir := t.TempDir()
	cert, key := issue(t, "one.test", now.Add(-time.Hour), now.Add(time.Hour))
	put(t, dir+"/tls.crt", cert)
	put(t, dir+"/tls.key", key)
	r := withCertificate(t, dir+"/tls.crt", dir+"/tls.key")
	page := func() string {
		w := httptest.NewRecorder()
		r.observe.metrics.Handler(r.Sidecar.log).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	ends := func(at time.Time) string {
		return fmt.Sprintf("hookswitch_tls_certificate_not_after_timestamp_seconds %v\n", float64(at.Unix()))
	}
	if text := page(); !strings.Contains(text, ends(now.Add(time.Hour))) {
		t.Errorf("no %s", ends(now.Add(time.Hour)))
	}
	cert, key = issue(t, "two.test", now.Add(-time.Hour), now.Add(5*time.Hour))
	put(t, dir+"/tls.crt", cert)
	put(t, dir+"/tls.key", key)
	r.listeners.certificate.Look(now)
	if text := page(); !strings.Contains(text, ends(now.Add(5*time.Hour))) {
		t.Errorf("after the renewal, no %s", ends(now.Add(5*time.Hour)))
	}
}
