package fastverify

import (
	"encoding/binary"

	"filippo.io/edwards25519/field"
)

// point is a point in extended coordinates (RFC 8032, section 5.1.4): its
// affine ones are x/z and y/z, and t is x·y/z.
type point struct{ x, y, z, t field.Element }

// identity returns the neutral point, (0, 1).
func identity() (p point) {
	p.y.One()
	p.z.One()
	return p
}

// term is one entry to be added, or subtracted if negative is 1.
type term struct {
	entry    *entry
	negative uint
}

// add adds one entry: 7 multiplications (Hisil, Wong, Carter, Dawson: "Twisted
// Edwards Curves Revisited", 2008, section 3.2, with every value halved). It
// holds for all points, equal, opposite and of low order included. What a sign
// decides is looked up: the processor could not predict the branch.
func (p *point) add(t term) {
	var a, b, c, e, h, in field.Element
	var fg [2]field.Element
	plus, minus := (t.negative+1)&1, t.negative&1
	a.Multiply(in.Subtract(&p.y, &p.x), &t.entry.halves[minus])
	b.Multiply(in.Add(&p.y, &p.x), &t.entry.halves[plus])
	c.Multiply(&p.t, &t.entry.dxy)
	e.Subtract(&b, &a)
	h.Add(&b, &a)
	fg[minus].Subtract(&p.z, &c)
	fg[plus].Add(&p.z, &c)
	p.x.Multiply(&e, &fg[0])
	p.y.Multiply(&fg[1], &h)
	p.z.Multiply(&fg[0], &fg[1])
	p.t.Multiply(&e, &h)
}

// encoding returns the canonical encoding of p (RFC 8032, section 5.1.2).
func (p *point) encoding() (b [32]byte) {
	var x, y, inverse field.Element
	inverse.Invert(&p.z)
	x.Multiply(&p.x, &inverse)
	y.Multiply(&p.y, &inverse)
	copy(b[:], y.Bytes())
	b[31] |= byte(x.IsNegative() << 7)
	return b
}

// appendTerms appends the terms whose sum is scalar times the point of table. The
// scalar is little-endian and reduced.
func appendTerms(terms []term, scalar []byte, table []entry, l layout) []term {
	var limbs [5]uint64 // the last is zero, for a window that reaches beyond
	for i := range 4 {
		limbs[i] = binary.LittleEndian.Uint64(scalar[8*i:])
	}
	bit, carry := uint(0), 0
	for i := range l.windows() {
		width := l.width(i)
		two := limbs[bit/64]>>(bit%64) | limbs[bit/64+1]<<1<<(63-bit%64)
		bit += width
		half := 1 << (width - 1)
		digit := int(two&(1<<width-1)) + carry
		carry = 0
		var negative uint
		if digit > half {
			digit, negative, carry = 2*half-digit, 1, 1
		}
		if digit != 0 {
			terms = append(terms, term{&table[digit-1], negative})
		}
		table = table[half:]
	}
	return terms
}
