package event

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
)

// TeXML callbacks that ask what to do next: the answer to each is TeXML, or the
// call ends. Sources: the pages of Telnyx's API reference that [Lookup] names.
// What tells them apart are the fields that those pages require; see
// TeXMLHTTPRequest for what that leaves open.
var (
	TeXMLGather   = Define[TeXMLGatherPayload]("texml.gather")      // digits or speech, or neither in time
	TeXMLAIGather = Define[TeXMLAIGatherPayload]("texml.ai_gather") // the assistant has what you asked for, or gave up

	// TeXMLHTTPRequest is the callback of an HttpRequest that your TeXML told
	// Telnyx to wait for. It requires nothing that others have not, so a form
	// with the fields of a call and nothing to say what it is about counts as
	// one.
	TeXMLHTTPRequest = Define[TeXMLHTTPRequestPayload]("texml.http_request")
)

// TeXMLGatherPayload is the payload of [TeXMLGather].
type TeXMLGatherPayload struct {
	TeXML
	Digits       Text    `json:"Digits"`       // keys that were pressed; empty after a timeout
	SpeechResult string  `json:"SpeechResult"` // what was said
	Confidence   Decimal `json:"Confidence"`   // in what was said: 0 to 1
}

// TeXMLAIGatherPayload is the payload of [TeXMLAIGather].
type TeXMLAIGatherPayload struct {
	TeXML
	Status         string `json:"Status"`               // valid or invalid
	Result         Base64 `json:"Base64Result"`         // JSON: the status, and the result by the schema of your TeXML
	MessageHistory Base64 `json:"Base64MessageHistory"` // JSON: an array of objects with role and content
}

// Base64 is text that holds bytes, in base64 as sent.
type Base64 string

// UnmarshalJSON accepts a string or null. It never fails.
func (b *Base64) UnmarshalJSON(v []byte) error {
	*b = Base64(scalar(v))
	return nil
}

func (b *Base64) take(r *reader) bool { return takeScalar(r, b) }

// Decode returns the bytes. It fails if the text is not base64.
func (b Base64) Decode() ([]byte, error) {
	return base64.StdEncoding.DecodeString(string(b))
}

// DecodeJSON decodes JSON inside the base64 into v, like [json.Unmarshal].
func (b Base64) DecodeJSON(v any) error {
	data, err := b.Decode()
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("event: decode base64: %w", err)
	}
	return nil
}

// TeXMLHTTPRequestPayload is the payload of [TeXMLHTTPRequest].
type TeXMLHTTPRequestPayload struct {
	TeXML
	CallerID string `json:"CallerId"` // CNAM, if looked up

	// Mapped are the other fields: those that the Field elements of your TeXML
	// took from the response. Nil if there are none.
	Mapped map[string]string `json:"-"`
}

// UnmarshalJSON accepts an object or null. It never fails.
func (p *TeXMLHTTPRequestPayload) UnmarshalJSON(b []byte) error {
	*p = TeXMLHTTPRequestPayload{}
	type plain TeXMLHTTPRequestPayload
	gently(b, (*plain)(p))
	var all map[string]json.RawMessage
	gently(b, &all)
	known := planOf(reflect.TypeFor[plain]())
	for name, value := range all {
		if _, ok := known.fields[name]; ok {
			continue
		}
		if p.Mapped == nil {
			p.Mapped = make(map[string]string)
		}
		p.Mapped[name] = scalar(value)
	}
	return nil
}

// MarshalJSON returns all fields, the mapped ones beside the others.
func (p TeXMLHTTPRequestPayload) MarshalJSON() ([]byte, error) {
	type plain TeXMLHTTPRequestPayload
	own, err := json.Marshal(plain(p))
	if err != nil || len(p.Mapped) == 0 {
		return own, err
	}
	all := make(map[string]json.RawMessage)
	if err := json.Unmarshal(own, &all); err != nil {
		return nil, err
	}
	for name, value := range p.Mapped {
		if all[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}
