package fastverify

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// order is that of the base point.
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// littleEndian returns the 32 bytes of n.
func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// oddScalars are where the digits of a window, and their carries, are at a bound,
// and some random ones.
func oddScalars() []*big.Int {
	var list []*big.Int
	add := func(n *big.Int) {
		if n.Sign() >= 0 && n.Cmp(order) < 0 {
			list = append(list, n)
		}
	}
	one := big.NewInt(1)
	for bit := range uint(253) {
		power := new(big.Int).Lsh(one, bit)
		add(power)
		add(new(big.Int).Sub(power, one))
		add(new(big.Int).Add(power, one))
		add(new(big.Int).Sub(order, power))
	}
	add(new(big.Int))
	for _, w := range []uint{6, 7, 8, 9} { // each window at a half, and one more
		half := new(big.Int)
		for bit := w - 1; bit < 252; bit += w {
			half.SetBit(half, int(bit), 1)
		}
		add(half)
		add(new(big.Int).Add(half, one))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		n := new(big.Int)
		for range 4 {
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(random.Uint64()))
		}
		add(n.Mod(n, order))
	}
	return list
}

// TestDigits: the terms of a scalar add up to it, for both layouts, and none
// would be beyond its window.
func TestDigits(t *testing.T) {
	for _, l := range []layout{keyLayout, baseLayout} {
		table := make([]entry, l.entries())
		value := make(map[*entry]*big.Int, len(table))
		bit, at := uint(0), 0
		for i := range l.windows() {
			for digit := range 1 << (l.width(i) - 1) {
				value[&table[at]] = new(big.Int).Lsh(big.NewInt(int64(digit+1)), bit)
				at++
			}
			bit += l.width(i)
		}
		if at != len(table) || bit != 253 {
			t.Fatalf("%+v: %d entries of %d, %d bits", l, at, len(table), bit)
		}
		for _, n := range oddScalars() {
			sum := new(big.Int)
			for _, term := range appendTerms(nil, littleEndian(n), table, l) {
				if v := value[term.entry]; term.negative == 1 {
					sum.Sub(sum, v)
				} else {
					sum.Add(sum, v)
				}
			}
			if sum.Cmp(n) != 0 {
				t.Errorf("%+v: the terms of %v add up to %v", l, n, sum)
			}
		}
	}
	if n := keyLayout.windows() + baseLayout.windows(); n != maxTerms {
		t.Errorf("%d windows, and room for %d terms", n, maxTerms)
	}
}

// TestTables: each entry is the multiple that it stands for, also of points that
// are not in the group of the base point.
func TestTables(t *testing.T) {
	for name, p := range map[string]*edwards25519.Point{
		"the base point":   edwards25519.NewGeneratorPoint(),
		"of low order":     torsion(1),
		"the identity":     torsion(0),
		"with both orders": new(edwards25519.Point).Add(edwards25519.NewGeneratorPoint(), torsion(1)),
	} {
		for _, l := range []layout{keyLayout, baseLayout} {
			table := newTable(p, l)
			first := new(edwards25519.Point).Set(p)
			for i := range l.windows() {
				want := edwards25519.NewIdentityPoint()
				for digit := range 1 << (l.width(i) - 1) {
					want.Add(want, first)
					for negative := range uint(2) {
						got := identity()
						got.add(term{&table[digit], negative})
						if b := got.encoding(); !bytes.Equal(b[:], want.Bytes()) {
							t.Fatalf("%s, %+v: window %d, digit %d, negative %d: %x, want %x", name, l, i, digit+1, negative, b, want.Bytes())
						}
						want.Negate(want)
					}
				}
				table = table[1<<(l.width(i)-1):]
				for range l.width(i) {
					first.Add(first, first)
				}
			}
			if len(table) != 0 {
				t.Errorf("%s, %+v: %d entries too many", name, l, len(table))
			}
		}
	}
}

// TestProducts compares multiples of points with those that edwards25519 computes.
func TestProducts(t *testing.T) {
	base := edwards25519.NewGeneratorPoint()
	mixed := new(edwards25519.Point).Add(base, torsion(3))
	for _, p := range []*edwards25519.Point{base, mixed} {
		table := newTable(p, keyLayout)
		for _, n := range oddScalars() {
			scalar, err := new(edwards25519.Scalar).SetCanonicalBytes(littleEndian(n))
			if err != nil {
				t.Fatal(err)
			}
			want := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(scalar, p, edwards25519.NewScalar())
			got := identity()
			for _, term := range appendTerms(nil, scalar.Bytes(), table, keyLayout) {
				got.add(term)
			}
			if b := got.encoding(); !bytes.Equal(b[:], want.Bytes()) {
				t.Errorf("%v: %x, want %x", n, b, want.Bytes())
			}
		}
	}
}

// TestSizes holds the documented sizes.
func TestSizes(t *testing.T) {
	size := int(unsafe.Sizeof(entry{}))
	if size != 128 {
		t.Errorf("an entry has %d bytes, want 128: two cache lines", size)
	}
	if n := keyLayout.entries() * size; n != 192<<10 || n > 200_000 {
		t.Errorf("the table of a key has %d bytes", n)
	}
	if n := baseLayout.entries() * size; n != 576<<10 {
		t.Errorf("the table of the base point has %d bytes", n)
	}
}

func TestConstants(t *testing.T) {
	// d·121666 = -121665.
	product := new(field.Element).Multiply(d, integer(121666))
	if product.Add(product, integer(121665)).Equal(new(field.Element)) != 1 {
		t.Error("d is not -121665/121666")
	}
}

// torsion returns n times a point of order 8.
func torsion(n int) *edwards25519.Point {
	for seed := uint64(0); ; seed++ {
		digest := sha512.Sum512(binary.LittleEndian.AppendUint64(nil, seed))
		p, err := new(edwards25519.Point).SetBytes(digest[:32])
		if err != nil {
			continue
		}
		// The order of the base point takes any point to one of low order.
		minusOne, err := new(edwards25519.Scalar).SetCanonicalBytes(littleEndian(new(big.Int).Sub(order, big.NewInt(1))))
		if err != nil {
			panic(err)
		}
		p.Add(new(edwards25519.Point).ScalarMult(minusOne, p), p)
		four := new(edwards25519.Point).Add(p, p)
		if four.Add(four, four); four.Equal(edwards25519.NewIdentityPoint()) == 1 {
			continue // the order of p is 4 or less
		}
		sum := edwards25519.NewIdentityPoint()
		for range n {
			sum.Add(sum, p)
		}
		return sum
	}
}
