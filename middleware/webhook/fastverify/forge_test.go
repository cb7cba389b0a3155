package fastverify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"slices"
	"sync"
	"testing"

	"filippo.io/edwards25519"

	"github.com/hookswitch/hookswitch/internal/testkit/repeat"
)

// forger is a key under which signatures can be made that libraries disagree
// about: secret times the base point, and a point of low order.
type forger struct {
	secret *edwards25519.Scalar
	low    int // of the torsion
	key    *key
}

// forgers are keys of low order, of both orders and honest ones, each in every
// encoding that it has, and some more that are not canonical, of which the secret
// is not known.
var forgers = sync.OnceValue(func() (list []forger) {
	add := func(public []byte, secret *edwards25519.Scalar, low int) {
		key, err := newKey(encoded(public))
		if err != nil {
			panic(err)
		}
		list = append(list, forger{secret, low, key})
	}
	for i := range uint64(5) {
		secret := scalarOf(i)
		for low := range 8 {
			p := new(edwards25519.Point).ScalarBaseMult(secret)
			for _, public := range encodings(p.Add(p, torsions()[low])) {
				add(public, secret, low)
			}
		}
	}
	for y := byte(2); y < 19; y++ {
		public := append([]byte{y - 19}, bytes.Repeat([]byte{0xff}, 31)...)
		public[31] = 0x7f
		if _, err := new(edwards25519.Point).SetBytes(public); err == nil {
			add(public, scalarOf(0), 0)
		}
	}
	return list
})

// scalarOf returns a scalar for each n; that of 0 is 0.
func scalarOf(n uint64) *edwards25519.Scalar {
	s := edwards25519.NewScalar()
	if n == 0 {
		return s
	}
	digest := sha512.Sum512(binary.BigEndian.AppendUint64(nil, n))
	if _, err := s.SetUniformBytes(digest[:]); err != nil {
		panic(err)
	}
	return s
}

// encodings returns all 32 bytes that decode to p, the canonical ones first.
func encodings(p *edwards25519.Point) (list [][]byte) {
	canonical := p.Bytes()
	list = append(list, canonical)
	try := func(b []byte) {
		q, err := new(edwards25519.Point).SetBytes(b)
		if err == nil && q.Equal(p) == 1 && !slices.ContainsFunc(list, func(a []byte) bool { return bytes.Equal(a, b) }) {
			list = append(list, b)
		}
	}
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[31] ^= 0x80 // the sign of x, which says nothing if x is 0
		return b
	}
	try(flip(canonical))
	y := bytes.Clone(canonical)
	y[31] &= 0x7f
	if y[0] < 19 && !slices.ContainsFunc(y[1:], func(b byte) bool { return b != 0 }) {
		y = append([]byte{y[0] - 19}, bytes.Repeat([]byte{0xff}, 31)...) // y + p
		y[31] = canonical[31]&0x80 | 0x7f
		try(y)
		try(flip(y))
	}
	return list
}

// oddity says in which ways a signature is odd.
type oddity struct {
	nonce   uint64 // R is a multiple of the base point by it; 0: by 0
	low     int    // and of a point of low order
	variant int    // which of the encodings of R
	excess  int    // how often the order is added to S
}

// forge returns a signature that is right but for what makes it odd.
func (f forger) forge(message []byte, o oddity) []byte {
	nonce := scalarOf(o.nonce)
	point := new(edwards25519.Point).ScalarBaseMult(nonce)
	all := encodings(point.Add(point, torsions()[o.low%8]))
	r := all[o.variant%len(all)]
	digest := sha512.Sum512(slices.Concat(r, f.key.public[:], message))
	k, err := edwards25519.NewScalar().SetUniformBytes(digest[:])
	if err != nil {
		panic(err)
	}
	b := edwards25519.NewScalar().MultiplyAdd(k, f.secret, nonce).Bytes()
	slices.Reverse(b)
	s := new(big.Int).SetBytes(b)
	for range o.excess {
		if sum := new(big.Int).Add(s, order); sum.BitLen() <= 256 {
			s = sum
		}
	}
	return slices.Concat(r, littleEndian(s))
}

var torsions = sync.OnceValue(func() (list [8]*edwards25519.Point) {
	for i := range list {
		list[i] = torsion(i)
	}
	return list
})

// TestForgeries compares the verdicts on all combinations of oddities; with -short,
// on a tenth of them for each key, and another tenth for the next key. It also
// counts those that are valid, so that a forger that makes nothing but junk is
// noticed.
func TestForgeries(t *testing.T) {
	if n := len(encodings(torsion(0))); n != 4 {
		t.Fatalf("%d encodings of the identity, want 4", n)
	}
	valid, invalid := make(map[string]int), make(map[string]int)
	const all = 8 * 4 * 2 * 2
	step := all / repeat.Times(all)
	for i, f := range forgers() {
		for n := i % step; n < all; n += step {
			o := oddity{low: n % 8, variant: n / 8 % 4, excess: n / 32 % 2, nonce: uint64(n / 64)}
			message := []byte{byte(n), byte(i)}
			sig := f.forge(message, o)
			want := ed25519.Verify(f.key.public[:], message, sig)
			if got := f.key.verify(message, sig); got != want {
				t.Errorf("key %x, message %x, signature %x: %v, want %v", f.key.public, message, sig, got, want)
			}
			count := invalid
			if want {
				count = valid
			}
			for name, is := range map[string]bool{
				"honest":            f.low == 0 && o.low == 0 && o.nonce != 0 && f.secret.Equal(scalarOf(0)) == 0 && o.excess == 0,
				"key of low order":  f.low != 0 && f.secret.Equal(scalarOf(0)) == 1,
				"key of both":       f.low != 0 && f.secret.Equal(scalarOf(0)) == 0,
				"key not canonical": !bytes.Equal(canonical(t, f.key.public[:]), f.key.public[:]),
				"R of low order":    o.nonce == 0,
				"R of both":         o.nonce != 0 && o.low != 0,
				"R not canonical":   !bytes.Equal(canonical(t, sig[:32]), sig[:32]),
				"S not reduced":     o.excess > 0,
			} {
				if is {
					count[name]++
				}
			}
		}
	}
	for _, name := range []string{"honest", "key of low order", "key of both", "key not canonical", "R of low order", "R of both"} {
		if valid[name] == 0 {
			t.Errorf("%s: none is valid", name)
		}
	}
	for _, name := range []string{"key of low order", "key of both", "R of both", "R not canonical", "S not reduced"} {
		if invalid[name] == 0 {
			t.Errorf("%s: none is invalid", name)
		}
	}
	if valid["R not canonical"] > 0 || valid["S not reduced"] > 0 || invalid["honest"] > 0 {
		t.Error("the standard library has changed its rules")
	}
	t.Logf("%d keys; valid %v, invalid %v", len(forgers()), valid, invalid)
}

func canonical(t *testing.T, b []byte) []byte {
	t.Helper()
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return p.Bytes()
}

// FuzzVerdict compares the verdicts on signatures that are right, odd or broken.
// Four bytes of odd choose the oddities; flips are applied to the signature.
func FuzzVerdict(f *testing.F) {
	for i := range forgers() {
		f.Add(uint8(i), uint32(i), uint64(i%3), []byte("message"), []byte{})
	}
	f.Add(uint8(0), uint32(1<<16), uint64(1), []byte{}, []byte{})                     // S + order
	f.Add(uint8(40), uint32(0), uint64(9), []byte("{}"), []byte{1})                   // R broken
	f.Add(uint8(40), uint32(0), uint64(9), []byte("{}"), append(make([]byte, 63), 1)) // S broken
	f.Fuzz(func(t *testing.T, number uint8, odd uint32, nonce uint64, message, flips []byte) {
		forger := forgers()[int(number)%len(forgers())]
		o := oddity{nonce: nonce, low: int(odd & 0xff), variant: int(odd >> 8 & 0xff), excess: int(odd >> 16 & 0xf)}
		sig := forger.forge(message, o)
		for i := range min(len(flips), len(sig)) {
			sig[i] ^= flips[i]
		}
		compare(t, forger.key, message, sig)
		compare(t, forger.key, message, sig[:len(sig)-len(flips)%65])
	})
}

// FuzzKey compares the verdicts under any key.
func FuzzKey(f *testing.F) {
	for i := 0; i < len(forgers()); i += 5 { // a table for each takes its time
		forger, message := forgers()[i], []byte{byte(i)}
		f.Add(forger.key.public[:], message, forger.forge(message, oddity{nonce: uint64(i % 3), low: i}))
	}
	f.Fuzz(func(t *testing.T, public, message, sig []byte) {
		if len(public) != ed25519.PublicKeySize {
			return
		}
		key, err := newKey(encoded(public))
		if err != nil {
			if ed25519.Verify(public, message, sig) {
				t.Fatalf("key %x is refused, and a signature is valid under it", public)
			}
			return
		}
		compare(t, key, message, sig)
	})
}

func compare(t *testing.T, key *key, message, sig []byte) {
	t.Helper()
	want := ed25519.Verify(key.public[:], message, sig)
	if got := key.verify(message, sig); got != want {
		t.Errorf("key %x, message %x, signature %x: %v, want %v", key.public, message, sig, got, want)
	}
}
