package sqlite

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// The journal is a table in which each row has the records of a group: what a group
// adds is one row of one synced commit, and the tables that everything is read
// from follow behind it, see behind.go. A record is made of values, as SQL has them:
//
//	row    = 1 byte version, records, 4 bytes CRC-32C of all before
//	record = 1 byte kind, uvarint number of values, values
//	value  = 1 byte type, and an integer as a varint, or a text or blob as its
//	         uvarint length and its bytes
//
// The checksum is there because a row that has lost a bit must not become another
// event: SQLite has none of its own.
const journalVersion = 1

// Kinds of records. Their values are those of appendEvent, appendAttempt and
// appendDuplicate.
const (
	recordEvent     = 'e'
	recordAttempt   = 'a'
	recordDuplicate = 'd'
)

// Types of values.
const (
	valueNull    = 'n'
	valueInteger = 'i'
	valueText    = 't'
	valueBlob    = 'b'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealRow ends a row whose records are complete.
func sealRow(data []byte) []byte {
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// appendRecord appends a record. Values are of the types that insertEvent and
// insertAttempt take; any other is a fault of the program.
func appendRecord(data []byte, kind byte, values ...[]any) []byte {
	n := 0
	for _, some := range values {
		n += len(some)
	}
	data = binary.AppendUvarint(append(data, kind), uint64(n))
	for _, some := range values {
		for _, v := range some {
			data = appendValue(data, v)
		}
	}
	return data
}

func appendValue(data []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(data, valueNull)
	case int64:
		return binary.AppendVarint(append(data, valueInteger), v)
	case int:
		return appendValue(data, int64(v))
	case string:
		return append(binary.AppendUvarint(append(data, valueText), uint64(len(v))), v...)
	case []byte:
		if v == nil {
			return append(data, valueNull)
		}
		return append(binary.AppendUvarint(append(data, valueBlob), uint64(len(v))), v...)
	case sql.NullInt64:
		if !v.Valid {
			return append(data, valueNull)
		}
		return appendValue(data, v.Int64)
	case sql.NullString:
		if !v.Valid {
			return append(data, valueNull)
		}
		return appendValue(data, v.String)
	}
	panic(fmt.Sprintf("sqlite: a value of type %T in the journal", v))
}

// record is one that was read.
type record struct {
	kind   byte
	values []any // int64, string, []byte or nil
}

var errDamagedRow = errors.New("a row of the journal is damaged")

// readRow returns the records of a row. They share its memory.
func readRow(data []byte) (records []record, err error) {
	if len(data) < 5 || binary.BigEndian.Uint32(data[len(data)-4:]) != crc32.Checksum(data[:len(data)-4], castagnoli) {
		return nil, errDamagedRow
	}
	if data[0] != journalVersion {
		return nil, fmt.Errorf("a row of the journal is of version %d, this program knows %d", data[0], journalVersion)
	}
	for r := (rowReader{data: data[1 : len(data)-4]}); len(r.data) > 0; {
		rec := record{kind: r.byte()}
		n := r.uvarint()
		for range min(n, uint64(len(r.data))) {
			rec.values = append(rec.values, r.value())
		}
		if r.bad || uint64(len(rec.values)) != n {
			return nil, errDamagedRow
		}
		records = append(records, rec)
	}
	return records, nil
}

// rowReader reads what appendRecord wrote. After a fault it is bad, and at its end.
type rowReader struct {
	data []byte
	bad  bool
}

func (r *rowReader) fail() {
	r.data, r.bad = nil, true
}

func (r *rowReader) byte() (b byte) {
	if len(r.data) == 0 {
		r.fail()
		return 0
	}
	b, r.data = r.data[0], r.data[1:]
	return b
}

func (r *rowReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *rowReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.fail()
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *rowReader) value() any {
	switch r.byte() {
	case valueNull:
		return nil
	case valueInteger:
		v, n := binary.Varint(r.data)
		if n <= 0 {
			r.fail()
			return nil
		}
		r.data = r.data[n:]
		return v
	case valueText:
		return string(r.bytes())
	case valueBlob:
		return r.bytes()
	}
	r.fail()
	return nil
}

// fields takes the first values of a record apart, which have to be of the types
// that are asked for.
type fields struct {
	values []any
	bad    bool
}

func (f *fields) next() (v any) {
	if len(f.values) == 0 {
		f.bad = true
		return nil
	}
	v, f.values = f.values[0], f.values[1:]
	return v
}

func (f *fields) integer() int64 {
	v, ok := f.next().(int64)
	f.bad = f.bad || !ok
	return v
}

func (f *fields) number() int {
	v := f.integer()
	if int64(int(v)) != v || v > math.MaxInt32 {
		f.bad = true
	}
	return int(v)
}

func (f *fields) maybe() sql.NullInt64 {
	switch v := f.next().(type) {
	case nil:
		return sql.NullInt64{}
	case int64:
		return sql.NullInt64{Int64: v, Valid: true}
	}
	f.bad = true
	return sql.NullInt64{}
}

func (f *fields) text() string {
	v, ok := f.next().(string)
	f.bad = f.bad || !ok
	return v
}
