package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The types in this file decode what Telnyx sends in more than one JSON type.
// Their UnmarshalJSON never fails: a value of a type that none of them expects
// leaves the zero value, so that one odd field cannot cost the whole event.

// Decimal is a number as exact text, such as "0.0051". Telnyx sends amounts
// and statistics as JSON strings in most events and as JSON numbers in others;
// both decode to the same text. The zero value means that none was sent.
type Decimal string

// UnmarshalJSON accepts a string, a number or null. It never fails.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	*d = Decimal(scalar(b))
	return nil
}

func (d *Decimal) take(r *reader) bool { return takeScalar(r, d) }

// takeScalar takes what the function scalar gives for a plain value.
func takeScalar[T ~string](r *reader, t *T) bool {
	s, ok := r.scalar()
	*t = T(s)
	return ok
}

// Rat returns the exact value, or false if d is not a number.
func (d Decimal) Rat() (*big.Rat, bool) {
	// SetString also takes fractions and huge exponents; a decimal is neither.
	if d == "" || len(d) > 64 || strings.ContainsAny(string(d), "/eExXpP_") {
		return nil, false
	}
	return new(big.Rat).SetString(string(d))
}

// Float64 returns the nearest float64, or 0 if d is not a number. Use
// [Decimal.Rat] to calculate with money.
func (d Decimal) Float64() float64 {
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return 0
	}
	return f
}

// Text is a word or code that Telnyx sends as a string in some events and as a
// number or a boolean in others. It holds the characters that were sent.
type Text string

// UnmarshalJSON accepts a string, a number, a boolean or null. It never fails.
func (t *Text) UnmarshalJSON(b []byte) error {
	*t = Text(scalar(b))
	return nil
}

func (t *Text) take(r *reader) bool { return takeScalar(r, t) }

// Int is a whole number. Telnyx sends counts and durations as JSON numbers, and
// as text in TeXML and in what it sends by GET. The zero value is also what
// null, a fraction, and anything beyond the range of int64 become; a field
// where those occur, or where 0 and null differ, is a [Decimal].
type Int int64

// UnmarshalJSON accepts a number, a string or null. It never fails.
func (n *Int) UnmarshalJSON(b []byte) error {
	if !n.set(scalar(b)) {
		odd.Add(1)
	}
	return nil
}

func (n *Int) take(r *reader) bool {
	s, ok := r.scalar()
	return ok && n.set(s)
}

// set reports whether text is a whole number or empty.
func (n *Int) set(text string) bool {
	whole, fraction, _ := strings.Cut(text, ".")
	*n = 0
	v, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0") != "" {
		return text == ""
	}
	*n = Int(v)
	return true
}

// Bool is a truth value of a TeXML callback, which is text on the wire and a
// boolean in Telnyx's documentation. The zero value is false, which is also
// what anything else becomes.
type Bool bool

// UnmarshalJSON accepts a boolean, "true" in any case, 1, "1", or null. It
// never fails.
func (t *Bool) UnmarshalJSON(b []byte) error {
	*t = isTrue(scalar(b))
	return nil
}

func (t *Bool) take(r *reader) bool {
	s, ok := r.scalar()
	*t = isTrue(s)
	return ok
}

func isTrue(s string) Bool { return Bool(s == "1" || strings.EqualFold(s, "true")) }

// Value is JSON of no fixed type, exactly as it was sent: what an AI model
// made up, or what one event sends as text and another as an object. It is nil
// if none was sent, or null.
type Value []byte

// UnmarshalJSON keeps any JSON. It never fails.
func (v *Value) UnmarshalJSON(b []byte) error {
	*v = nil
	if b = bytes.TrimSpace(b); !bytes.Equal(b, []byte("null")) {
		*v = bytes.Clone(b)
	}
	return nil
}

// MarshalJSON returns the JSON that was sent, or null.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v) == 0 {
		return []byte("null"), nil
	}
	return v, nil
}

// String returns the content of v if it is JSON text, and else the JSON itself.
func (v Value) String() string {
	if len(v) > 0 && v[0] == '"' {
		return scalar(v)
	}
	return string(v)
}

// Decode stores v in what target points to, like [json.Unmarshal].
func (v Value) Decode(target any) error {
	if err := json.Unmarshal(v, target); err != nil {
		return fmt.Errorf("event: decode value: %w", err)
	}
	return nil
}

// scalar returns the text of a JSON string, number or boolean, and "" for null
// and objects. An array stands for its first element, as a form field that was
// sent twice does in most frameworks.
func scalar(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return ""
	}
	switch b[0] {
	case '"':
		if len(b) > 1 && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) {
			return string(b[1 : len(b)-1]) // nearly always
		}
		var s string
		if json.Unmarshal(b, &s) != nil {
			return ""
		}
		return s
	case '[':
		var items []json.RawMessage
		if json.Unmarshal(b, &items) != nil || len(items) == 0 {
			return ""
		}
		if bytes.HasPrefix(items[0], []byte("[")) {
			odd.Add(1)
			return ""
		}
		return scalar(items[0])
	case '{':
		odd.Add(1)
		return ""
	case 'n':
		return ""
	default:
		return string(b)
	}
}

// Time is a moment as Telnyx spells it. The embedded time is zero when Raw is
// empty or not a time: Telnyx's own example says "date-time".
type Time struct {
	time.Time
	Raw string // the text that was sent
}

// timeLayouts are the spellings seen in webhooks. Fractions of a second need
// no layout of their own: parsing accepts them after the seconds. A time
// without an offset is UTC, as in Telnyx Verify and TeXML callbacks.
var timeLayouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
	"2006-01-02",
}

// ParseTime returns the moment that s spells in any of Telnyx's formats. Raw
// is always s; the time is zero if s has none of these forms.
func ParseTime(s string) Time {
	if len(s) < len("2006-01-02") || s[0] < '0' || s[0] > '9' {
		return Time{Raw: s} // a failing time.Parse makes an error with the text
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return Time{Time: t, Raw: s}
		}
	}
	return Time{Raw: s}
}

// UnmarshalJSON accepts a string or null. It never fails.
func (t *Time) UnmarshalJSON(b []byte) error {
	*t = ParseTime(scalar(b))
	return nil
}

func (t *Time) take(r *reader) bool {
	s, ok := r.scalar()
	*t = ParseTime(s)
	return ok
}

// MarshalJSON returns the text that was sent, or null if there was none.
func (t Time) MarshalJSON() ([]byte, error) {
	switch {
	case t.Raw != "":
		return json.Marshal(t.Raw)
	case t.IsZero():
		return []byte("null"), nil
	}
	return json.Marshal(t.Time)
}

// String returns the text that was sent.
func (t Time) String() string {
	if t.Raw == "" && !t.IsZero() {
		return t.Format(time.RFC3339Nano)
	}
	return t.Raw
}

// Endpoint is one end of a message or of an assistant's conversation. Telnyx sends an object, or just the number
// as a string, which then becomes PhoneNumber.
type Endpoint struct {
	PhoneNumber string `json:"phone_number,omitempty"` // +E.164, or a short code or sender name
	Carrier     string `json:"carrier,omitempty"`      // carrier of the number
	LineType    string `json:"line_type,omitempty"`    // Wireline, Wireless, VoWiFi, VoIP, Pre-Paid Wireless, long_code or ""
	Status      string `json:"status,omitempty"`       // of this recipient: queued, sending, sent, delivered, delivery_failed, …
	AgentID     string `json:"agent_id,omitempty"`     // RCS agent
	AgentName   string `json:"agent_name,omitempty"`   // RCS agent

	ErrorCode    Text   `json:"error_code,omitempty"`    // why it did not reach this recipient, in some events
	ErrorMessage string `json:"error_message,omitempty"` // the same in words
}

// UnmarshalJSON accepts an object, a string or null. It never fails.
func (e *Endpoint) UnmarshalJSON(b []byte) error {
	*e = Endpoint{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' {
		e.PhoneNumber = scalar(b)
		return nil
	}
	var r reader
	if r.begin(b) && e.take(&r) {
		return nil
	}
	*e = Endpoint{}
	type plain Endpoint
	// A field of a surprising type is left out; the others are decoded.
	gently(b, (*plain)(e))
	return nil
}

func (e *Endpoint) take(r *reader) bool {
	*e = Endpoint{}
	if r.peek() != '{' {
		return takeScalar(r, &e.PhoneNumber)
	}
	ok := true
	for name, more := r.member(); more && ok; name, more = r.member() {
		switch string(name) {
		case "phone_number":
			ok = r.textInto(&e.PhoneNumber)
		case "carrier":
			ok = r.textInto(&e.Carrier)
		case "line_type":
			ok = r.textInto(&e.LineType)
		case "status":
			ok = r.textInto(&e.Status)
		case "agent_id":
			ok = r.textInto(&e.AgentID)
		case "agent_name":
			ok = r.textInto(&e.AgentName)
		case "error_code":
			ok = e.ErrorCode.take(r)
		case "error_message":
			ok = r.textInto(&e.ErrorMessage)
		default:
			ok = r.unknown(planOf(reflect.TypeFor[Endpoint]()), name)
		}
	}
	return ok && r.end()
}

// ClientState is the state an application attached to a call, in base64 as sent.
type ClientState string

// UnmarshalJSON accepts a string or null. It never fails.
func (c *ClientState) UnmarshalJSON(b []byte) error {
	*c = ClientState(scalar(b))
	return nil
}

func (c *ClientState) take(r *reader) bool { return takeScalar(r, c) }

// Decode returns the bytes that the application had attached. It fails if the
// state is not base64, which Telnyx requires but does not always enforce.
func (c ClientState) Decode() ([]byte, error) {
	return base64.StdEncoding.DecodeString(string(c))
}
