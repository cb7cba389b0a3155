package fastverify

import (
	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// A layout cuts the 253 bits of a scalar into windows: first wide ones, of
// bits+1 bits, then narrow ones, of bits bits. The lowest bits are in the first
// window.
//
// The digit of a window of w bits lies in (-2^(w-1), 2^(w-1)]: what is larger
// becomes negative and carries one into the next window. A scalar is less than
// the order of the group, which is 2^252 and a little, so the last window
// carries nothing: its digit is 2^(w-1) at the most.
type layout struct {
	wide, narrow int
	bits         uint
}

// The table of a key has 1,536 entries in 41 windows, which is 196,608 bytes.
// That of the base point is there once for all keys: 4,608 entries in 31
// windows, 589,824 bytes.
var (
	keyLayout  = layout{wide: 7, narrow: 34, bits: 6}
	baseLayout = layout{wide: 5, narrow: 26, bits: 8}
)

// maxTerms is the number of windows of both layouts together.
const maxTerms = 41 + 31

func (l layout) windows() int { return l.wide + l.narrow }

// width returns the number of bits in window i.
func (l layout) width(i int) uint {
	if i < l.wide {
		return l.bits + 1
	}
	return l.bits
}

// entries returns how many entries the table of a point has.
func (l layout) entries() int { return l.wide<<l.bits + l.narrow<<(l.bits-1) }

// entry is a point in affine coordinates, in the form in which addition needs
// it. It fills two cache lines.
type entry struct {
	halves [2]field.Element // (y-x)/2 and (y+x)/2: exchanged, they are those of the negated point
	dxy    field.Element    // d·x·y, with the d of the curve
	_      uint64
}

// newTable returns all the multiples of p that a digit can stand for: for each
// window, which begins at bit b, 1·2^b·p, 2·2^b·p and so on to 2^(w-1)·2^b·p.
// With them a multiple of p is a sum of one entry for each window, and nothing is
// doubled.
func newTable(p *edwards25519.Point, l layout) []entry {
	points := make([]edwards25519.Point, 0, l.entries())
	first := new(edwards25519.Point).Set(p)
	for i := range l.windows() {
		next := new(edwards25519.Point).Set(first)
		for range 1 << (l.width(i) - 1) {
			points = append(points, *next)
			next.Add(next, first)
		}
		last := &points[len(points)-1]
		first.Add(last, last)
	}
	return affine(points)
}

// affine converts points to entries, with a single inversion for all: the
// inverse of a product yields the inverses of its factors by multiplication
// (Montgomery's trick). No Z is zero, since the formulas of this curve have no
// exceptions.
func affine(points []edwards25519.Point) []entry {
	before := make([]field.Element, len(points)) // products of the Z of all points before
	product := *one
	for i := range points {
		_, _, z, _ := points[i].ExtendedCoordinates()
		before[i] = product
		product.Multiply(&product, z)
	}
	half := new(field.Element).Invert(new(field.Element).Add(one, one))
	inverse := new(field.Element).Invert(&product)
	table := make([]entry, len(points))
	for i := len(points) - 1; i >= 0; i-- {
		x, y, z, _ := points[i].ExtendedCoordinates()
		zInverse := new(field.Element).Multiply(inverse, &before[i])
		inverse.Multiply(inverse, z)
		x.Multiply(x, zInverse)
		y.Multiply(y, zInverse)
		e := &table[i]
		e.halves[0].Multiply(half, e.halves[0].Subtract(y, x))
		e.halves[1].Multiply(half, e.halves[1].Add(y, x))
		e.dxy.Multiply(d, e.dxy.Multiply(x, y))
	}
	return table
}

// The constants of the curve -x² + y² = 1 + d·x²·y² (RFC 8032, section 5.1).
var (
	one = new(field.Element).One()
	d   = quotient(-121665, 121666)
)

// quotient returns a/b.
func quotient(a, b int) *field.Element {
	q := new(field.Element).Invert(integer(b))
	return q.Multiply(q, integer(a))
}

// integer returns n, which must be less than 2^32 in either direction.
func integer(n int) *field.Element {
	e := new(field.Element)
	if n < 0 {
		return e.Negate(e.Mult32(one, uint32(-n)))
	}
	return e.Mult32(one, uint32(n))
}
