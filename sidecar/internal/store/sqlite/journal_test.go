package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"reflect"
	"testing"
)

// TestRecordsAreReadAsWritten: each type of value, and each number of them.
func TestRecordsAreReadAsWritten(t *testing.T) {
	data := []byte{journalVersion}
	data = appendRecord(data, recordEvent, []any{
		"", "text \x00\xff", []byte{}, []byte("blob"), []byte(nil), nil, int64(-1), 1 << 30, int64(-1 << 63),
	}, []any{sql.NullInt64{}, valid(7), sql.NullString{}, sql.NullString{Valid: true, String: "x"}})
	data = appendRecord(data, recordDuplicate)
	got, err := readRow(sealRow(data))
	want := []record{
		{recordEvent, []any{
			"", "text \x00\xff", []byte{}, []byte("blob"), nil, nil, int64(-1), int64(1 << 30), int64(-1 << 63),
			nil, int64(7), nil, "x",
		}},
		{recordDuplicate, nil},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

// TestDamagedRow: no changed bit and no missing end passes for a row.
func TestDamagedRow(t *testing.T) {
	row := sealRow(appendRecord([]byte{journalVersion}, recordEvent, []any{"a text", int64(5)}))
	for bit := range len(row) * 8 {
		bad := bytes.Clone(row)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := readRow(bad); !errors.Is(err, errDamagedRow) {
			t.Errorf("with bit %d changed: %v", bit, err)
		}
	}
	for n := range row {
		if _, err := readRow(row[:n]); !errors.Is(err, errDamagedRow) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := readRow(sealRow([]byte{journalVersion + 1})); err == nil || errors.Is(err, errDamagedRow) {
		t.Errorf("a row of a later version: %v", err)
	}
}

// FuzzRow: what is not a row is an error, and never more memory than it has bytes.
func FuzzRow(f *testing.F) {
	f.Add(appendRecord(nil, recordEvent, []any{"a text", int64(5), nil, []byte("b")}))
	f.Add([]byte("e\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("e\x01t\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := readRow(sealRow(append([]byte{journalVersion}, data...)))
		if err != nil {
			return
		}
		again := []byte{journalVersion}
		for _, r := range records {
			again = appendRecord(again, r.kind, r.values)
			readEvent(&fields{values: r.values})
			readResult(&fields{values: r.values})
		}
		if back, err := readRow(sealRow(again)); err != nil || !reflect.DeepEqual(back, records) {
			t.Errorf("%q was read as %q, and that as %q, %v", data, records, back, err)
		}
	})
}
