// Package certificate keeps the certificate of a listener: it reads and checks
// the pair of files, presents it to clients, and follows the files, so that a
// renewal needs no signal. It does not know the names of settings.
package certificate

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// Pair is a certificate, with its chain, and its key. The zero Pair is empty.
type Pair struct {
	*tls.Certificate // nil if the files cannot be used

	digest [sha256.Size]byte // of what was read, usable or not
}

// Read reads a pair from two files in PEM. With an error it returns a Pair
// without a certificate, by which a [Keeper] recognises the files.
func Read(certFile, keyFile string) (Pair, error) {
	cert, err := os.ReadFile(certFile)
	key, keyErr := os.ReadFile(keyFile)
	var read tls.Certificate
	if err = errors.Join(err, keyErr); err == nil {
		read, err = tls.X509KeyPair(cert, key)
	}
	pair := Pair{digest: sha256.Sum256(slices.Concat(cert, []byte{0}, key, []byte{0}, fmt.Append(nil, err)))}
	if err != nil {
		return pair, errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "tls: "), "\n", ", "))
	}
	if err := checkKey(read.Leaf); err != nil {
		return pair, err
	}
	pair.Certificate = &read
	return pair, nil
}

// minRSABits is the minimum of NIST SP 800-131A, browsers and OpenSSL's default.
const minRSABits = 2048

// WeakKeyError refuses a certificate whose RSA key is too short: it loads, but then
// every handshake fails, without an explanation at the start.
type WeakKeyError struct{ Bits int }

func (e *WeakKeyError) Error() string {
	return fmt.Sprintf("has an RSA key of %d bits, which clients and FIPS 140-3 refuse: use one of at least %d bits, or an ECDSA key", e.Bits, minRSABits)
}

func checkKey(leaf *x509.Certificate) error {
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return &WeakKeyError{key.N.BitLen()}
	}
	return nil
}

// Untimely returns why the pair cannot be used at a time, or "".
func (p Pair) Untimely(now time.Time) string {
	leaf := p.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate for %s expired on %s, and Telnyx does not send webhooks to it: renew it", names(leaf), leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate for %s is not valid before %s, and Telnyx does not send webhooks to it: use one that is valid, or set this machine's clock", names(leaf), leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	for _, der := range p.Certificate.Certificate[1:] {
		// There may be another chain to a root beside an expired one, so that
		// alone is not a reason to refuse the certificate.
		if above, err := x509.ParseCertificate(der); err == nil && now.After(above.NotAfter) {
			return fmt.Sprintf("the certificate for %s is followed by that of %q, which expired on %s: many will not trust it; renew the chain", names(leaf), above.Subject.CommonName, above.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// valid reports whether the certificate itself is valid at a time.
func (p Pair) valid(now time.Time) bool {
	return !now.After(p.Leaf.NotAfter) && !now.Before(p.Leaf.NotBefore)
}

// maxNames is how much of the names of a certificate is shown.
const maxNames = 60

// names returns the names in a certificate, shortened.
func names(leaf *x509.Certificate) string {
	list := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return fmt.Sprintf("%q", leaf.Subject.CommonName)
	}
	return untrusted.Clip(strings.Join(list, ", "), maxNames)
}
