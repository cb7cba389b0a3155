package sidecar

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// loadCertificate reads the certificate of the webhook listener, or returns nil
// if it has none.
func (c *Config) loadCertificate() (*tls.Certificate, error) {
	certificate, _, err := c.readCertificate()
	return certificate, err
}

// readCertificate is loadCertificate, and returns a digest of what was read as
// well, be it of use or not.
func (c *Config) readCertificate() (certificate *tls.Certificate, digest [sha256.Size]byte, err error) {
	switch {
	case c.TLSCertFile == "" && c.TLSKeyFile == "":
		return nil, digest, nil
	case c.TLSCertFile == "":
		return nil, digest, newConfigError("HOOKSWITCH_TLS_CERT_FILE", "is not set, but HOOKSWITCH_TLS_KEY_FILE is: set both, or neither for plain HTTP")
	case c.TLSKeyFile == "":
		return nil, digest, newConfigError("HOOKSWITCH_TLS_KEY_FILE", "is not set, but HOOKSWITCH_TLS_CERT_FILE is: set both, or neither for plain HTTP")
	}
	cert, err := os.ReadFile(c.TLSCertFile)
	key, keyErr := os.ReadFile(c.TLSKeyFile)
	if err = errors.Join(err, keyErr); err == nil {
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(cert, key); err == nil {
			certificate = &pair
		}
	}
	digest = sha256.Sum256(slices.Concat(cert, []byte{0}, key, []byte{0}, fmt.Append(nil, err)))
	if err != nil {
		text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "tls: "), "\n", ", ")
		return nil, digest, newConfigError("HOOKSWITCH_TLS_CERT_FILE", "and HOOKSWITCH_TLS_KEY_FILE cannot be used: "+text+": give the paths of a certificate in PEM, with those that it depends on, and of its key")
	}
	if err := checkKey(certificate); err != nil {
		return nil, digest, err
	}
	return certificate, digest, nil
}

// untimely says why a certificate is of no use at a time, or returns "".
func untimely(certificate *tls.Certificate, now time.Time) string {
	leaf := certificate.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate for %s has ended on %s, and Telnyx does not send webhooks to it: renew it", namesOf(leaf), leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate for %s is not valid before %s, and Telnyx does not send webhooks to it: use one that is valid, or set the clock of this machine", namesOf(leaf), leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	for _, der := range certificate.Certificate[1:] {
		// One that has ended may be beside another way to a root, so that
		// alone is no reason to refuse the whole.
		if above, err := x509.ParseCertificate(der); err == nil && now.After(above.NotAfter) {
			return fmt.Sprintf("the certificate for %s is followed by that of %q, which has ended on %s: many will not trust it; renew the chain", namesOf(leaf), above.Subject.CommonName, above.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// valid reports whether the certificate itself is valid at a time.
func valid(certificate *tls.Certificate, now time.Time) bool {
	return !now.After(certificate.Leaf.NotAfter) && !now.Before(certificate.Leaf.NotBefore)
}

// namesOf returns whom a certificate is for, in short.
func namesOf(leaf *x509.Certificate) string {
	list := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return fmt.Sprintf("%q", leaf.Subject.CommonName)
	}
	return clip(strings.Join(list, ", "))
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
	certificate, digest, err := s.cfg.readCertificate()
	if err != nil || certificate == nil {
		return l, err
	}
	s.useCertificate(certificate, digest)
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
