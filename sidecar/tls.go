package sidecar

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// loadCertificate reads the certificate of the webhook listener, or returns nil
// if it has none.
func (c *Config) loadCertificate() (*tls.Certificate, error) {
	switch {
	case c.TLSCertFile == "" && c.TLSKeyFile == "":
		return nil, nil
	case c.TLSCertFile == "":
		return nil, newConfigError("HOOKSWITCH_TLS_CERT_FILE", "is not set, but HOOKSWITCH_TLS_KEY_FILE is: set both, or neither for plain HTTP")
	case c.TLSKeyFile == "":
		return nil, newConfigError("HOOKSWITCH_TLS_KEY_FILE", "is not set, but HOOKSWITCH_TLS_CERT_FILE is: set both, or neither for plain HTTP")
	}
	certificate, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "tls: ")
		return nil, newConfigError("HOOKSWITCH_TLS_CERT_FILE", "and HOOKSWITCH_TLS_KEY_FILE cannot be used: "+text+": give the paths of a certificate in PEM, with those that it depends on, and of its key")
	}
	if err := checkKey(&certificate); err != nil {
		return nil, err
	}
	return &certificate, nil
}

// checkKey refuses a certificate with a key that is too short: it loads, and
// then no handshake comes about, without a word of why at the start.
func checkKey(certificate *tls.Certificate) error {
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return newConfigError("HOOKSWITCH_TLS_CERT_FILE", "cannot be used: "+err.Error())
	}
	key, ok := leaf.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() >= minRSABits {
		return nil
	}
	return newConfigError("HOOKSWITCH_TLS_CERT_FILE", fmt.Sprintf("has an RSA key of %d bits, which clients refuse, and FIPS 140-3 too: make one of at least %d bits, or an ECDSA key", key.N.BitLen(), minRSABits))
}

// minRSABits is what NIST SP 800-131A, browsers and OpenSSL's default ask for.
const minRSABits = 2048

// withTLS makes a listener speak TLS, with the certificate of the moment, if
// there is one.
func (s *Sidecar) withTLS(l net.Listener) (net.Listener, error) {
	certificate, err := s.cfg.loadCertificate()
	if err != nil || certificate == nil {
		return l, err
	}
	s.certificate.Store(certificate)
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := s.certificate.Load(); c != nil {
				return c, nil
			}
			return nil, errors.New("no certificate")
		},
	}), nil
}
