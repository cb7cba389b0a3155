package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// record is a line of the archive. Fields are only ever added.
type record struct {
	Key        string      `json:"key"`                   // equal for the same event
	ID         string      `json:"id,omitempty"`          // as sent
	Type       string      `json:"type,omitempty"`        // as sent
	OccurredAt string      `json:"occurred_at,omitempty"` // as sent
	ReceivedAt *time.Time  `json:"received_at,omitempty"` // by the sidecar
	Attempt    int         `json:"attempt"`               // of this plugin at this event
	Signature  *signature  `json:"signature,omitempty"`
	Headers    http.Header `json:"headers"`
	Body       []byte      `json:"body_base64"` // exactly the bytes that were signed
}

type signature struct {
	Scheme   string    `json:"scheme"`
	KeyLabel string    `json:"key_label"`
	SignedAt time.Time `json:"signed_at"`
	SkewMS   int64     `json:"skew_ms"` // clock of the sidecar minus signed_at
}

// encode returns the line of an event, with its newline.
func encode(e *webhook.Event) ([]byte, error) {
	r := record{
		Key:        e.Key(),
		ID:         e.ID,
		Type:       e.Type,
		OccurredAt: e.OccurredAt.String(),
		Attempt:    e.Attempt,
		Headers:    e.Header,
		Body:       e.Raw,
	}
	if s := e.Signature; !s.Timestamp.IsZero() {
		received := s.Timestamp.Add(s.Skew).UTC()
		r.ReceivedAt = &received
		r.Signature = &signature{
			Scheme:   s.Scheme,
			KeyLabel: s.KeyLabel,
			SignedAt: s.Timestamp.UTC(),
			SkewMS:   s.Skew.Milliseconds(),
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("archive: encode: %w", err)
	}
	return b.Bytes(), nil
}

// size is a number of bytes in the settings.
type size int64

// UnmarshalText reads what parseSize does.
func (s *size) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text))
	*s = size(n)
	return err
}

// parseSize reads a number of bytes, of at least one, with one of the units B,
// KiB, MiB and GiB, or none.
func parseSize(text string) (int64, error) {
	units := []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}
	number, unit := text, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size: write it as 64MiB or 1GiB", text)
	}
	return n * unit, nil
}
