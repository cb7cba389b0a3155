package sidecar

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certifyKey(t, dir, name, key)
}

func certifyKey(t *testing.T, dir, name string, key crypto.Signer) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TestCertificateIsReloaded: a renewed certificate is shown to who connects
// next; one that cannot be used is refused, and the old one stays.
func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	cert, key := certify(t, dir, "one.test")
	r := startReloading(t, "HOOKSWITCH_TLS_CERT_FILE="+cert, "HOOKSWITCH_TLS_KEY_FILE="+key)
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", r.public.Addr().String(), &tls.Config{InsecureSkipVerify: true})
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

// A key that no client takes is found by the check, not by the first handshake.
func TestShortRSAKey(t *testing.T) {
	for bits, want := range map[int]string{1024: "RSA key of 1024 bits", 2048: ""} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		var c Config
		c.TLSCertFile, c.TLSKeyFile = certifyKey(t, t.TempDir(), "short.test", key)
		if _, err := c.loadCertificate(); err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bits: %v", bits, err)
		}
		if problem := c.problems(); want != "" {
			c.validateEdge(problem)
			if err := problem.result(&c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the check says %v", err)
			}
		}
	}
}

func TestUnusableCertificates(t *testing.T) {
	cert, key := certify(t, t.TempDir(), "one.test")
	_, other := certify(t, t.TempDir(), "two.test")
	for _, c := range []Config{
		{TLSCertFile: cert}, {TLSKeyFile: key}, {TLSCertFile: cert, TLSKeyFile: other}, {TLSCertFile: key, TLSKeyFile: key}, {TLSCertFile: cert, TLSKeyFile: "/does/not/exist"},
	} {
		if _, err := c.loadCertificate(); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_TLS_") {
			t.Errorf("%s and %s: %v", c.TLSCertFile, c.TLSKeyFile, err)
		}
	}
}
