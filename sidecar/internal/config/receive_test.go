package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
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

// A key that no client takes is found by the check, not by the first handshake.
func TestShortRSAKey(t *testing.T) {
	for bits, want := range map[int]string{1024: "RSA key of 1024 bits", 2048: ""} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		var c Config
		c.TLSCertFile, c.TLSKeyFile = certifyKey(t, t.TempDir(), "short.test", key)
		if _, err := c.ReadCertificate(); err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bits: %v", bits, err)
		}
		if problem := c.problems(); want != "" {
			c.validateReceiving(problem)
			if err := problem.result(&c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the check says %v", err)
			}
		}
	}
}

func TestUnusableCertificates(t *testing.T) {
	cert, key := certify(t, t.TempDir(), "one.test")
	_, other := certify(t, t.TempDir(), "two.test")
	for _, r := range []Receiving{
		{TLSCertFile: cert}, {TLSKeyFile: key}, {TLSCertFile: cert, TLSKeyFile: other}, {TLSCertFile: key, TLSKeyFile: key}, {TLSCertFile: cert, TLSKeyFile: "/does/not/exist"},
	} {
		c := Config{Receiving: r}
		if _, err := c.ReadCertificate(); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_TLS_") {
			t.Errorf("%s and %s: %v", c.TLSCertFile, c.TLSKeyFile, err)
		}
	}
}
