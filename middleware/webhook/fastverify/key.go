package fastverify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"sync"

	"filippo.io/edwards25519"
)

// key is a public key with its table.
type key struct {
	public encoded
	table  []entry // of the negated key
	base   []entry // of the base point
}

// baseTable returns the table of the base point, which all keys share.
var baseTable = sync.OnceValue(func() []entry {
	return newTable(edwards25519.NewGeneratorPoint(), baseLayout)
})

// newKey fails if public does not encode a point.
func newKey(public encoded) (*key, error) {
	p, err := new(edwards25519.Point).SetBytes(public[:])
	if err != nil {
		return nil, err
	}
	return &key{public: public, table: newTable(p.Negate(p), keyLayout), base: baseTable()}, nil
}

// verify computes S·B + k·(-A) and compares its encoding with R.
func (k *key) verify(message, sig []byte) bool {
	if len(sig) != ed25519.SignatureSize {
		return false
	}
	var scalar edwards25519.Scalar
	if _, err := scalar.SetCanonicalBytes(sig[32:]); err != nil {
		return false
	}
	hash := sha512.New()
	hash.Write(sig[:32])
	hash.Write(k.public[:])
	hash.Write(message)
	var digest [sha512.Size]byte
	if _, err := scalar.SetUniformBytes(hash.Sum(digest[:0])); err != nil {
		return false // only for a wrong length
	}
	// All terms are known before the first is added, so that the processor can
	// fetch the entries of some while it adds others.
	var room [maxTerms]term
	terms := appendTerms(room[:0], sig[32:], k.base, baseLayout)
	terms = appendTerms(terms, scalar.Bytes(), k.table, keyLayout)
	sum := identity()
	for _, t := range terms {
		sum.add(t)
	}
	r := sum.encoding()
	return bytes.Equal(r[:], sig[:32])
}
