package event

import (
	"bytes"
	"encoding/json"
)

// MessageBody is the content of an RCS or WhatsApp message. What is set
// depends on the kind of message. WhatsApp has more kinds (images, contacts,
// reactions, replies to buttons) than Telnyx documents: they are in Raw, in
// Meta's own form.
type MessageBody struct {
	Raw json.RawMessage `json:"-"` // everything, as it was sent

	Text               string              `json:"text"`                // also sent as {"body": …}
	UserFile           *UserFile           `json:"user_file"`           // RCS: a file
	SuggestionResponse *SuggestionResponse `json:"suggestion_response"` // RCS: a suggested reply was tapped
	Location           *Location           `json:"location"`            // where somebody is

	ID         string         `json:"id"`           // WhatsApp: id of the message there
	Type       string         `json:"type"`         // WhatsApp: text, image, location, edit, revoke, …
	From       string         `json:"from"`         // WhatsApp: sender's number, without a plus
	FromUserID string         `json:"from_user_id"` // WhatsApp: sender's id at the business
	ForeignID  string         `json:"foreign_id"`   // WhatsApp: id in another system
	Timestamp  Text           `json:"timestamp"`    // WhatsApp: seconds since 1970
	Edit       *MessageEdit   `json:"edit"`         // WhatsApp: replaces an earlier message
	Revoke     *MessageRevoke `json:"revoke"`       // WhatsApp: takes one back
}

// UserFile is a file that was sent by RCS.
type UserFile struct {
	Payload   RCSFile  `json:"payload"`   // the file itself
	Thumbnail *RCSFile `json:"thumbnail"` // a small picture of it
}

// RCSFile is where a file of an RCS message can be fetched.
type RCSFile struct {
	FileName      string `json:"file_name"`
	FileSizeBytes Int    `json:"file_size_bytes"`
	FileURI       string `json:"file_uri"`  // valid for a limited time
	MIMEType      string `json:"mime_type"` // such as image/jpeg
}

// SuggestionResponse is a tap on a suggestion of an RCS message.
type SuggestionResponse struct {
	PostbackData string `json:"postback_data"` // what you had attached to the suggestion
	Text         string `json:"text"`          // what it says on the button
}

// Location is a place, in degrees.
type Location struct {
	Latitude  Decimal `json:"latitude"`
	Longitude Decimal `json:"longitude"`
}

// MessageEdit replaces a WhatsApp message.
type MessageEdit struct {
	OriginalMessageID string `json:"original_message_id"` // WhatsApp id of the old message
	Message           Value  `json:"message"`             // the new one, in WhatsApp's form
}

// MessageRevoke takes a WhatsApp message back.
type MessageRevoke struct {
	OriginalMessageID string `json:"original_message_id"` // WhatsApp id of the message
}

// UnmarshalJSON accepts an object, a string or null. It never fails.
func (m *MessageBody) UnmarshalJSON(b []byte) error {
	*m = MessageBody{}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		m.Raw, m.Text = bytes.Clone(b), scalar(b)
		return nil
	}
	type plain MessageBody
	gentle := struct {
		*plain
		Text bodyText `json:"text"` // hides the plain one
	}{plain: (*plain)(m)}
	gently(b, &gentle)
	m.Raw, m.Text = bytes.Clone(b), string(gentle.Text)
	return nil
}

// MarshalJSON returns Raw if there is any, and else what the fields say.
func (m MessageBody) MarshalJSON() ([]byte, error) {
	if len(m.Raw) > 0 {
		return m.Raw, nil
	}
	type plain MessageBody
	return json.Marshal(plain(m))
}

// bodyText is text that RCS sends as it is and WhatsApp in an object.
type bodyText string

func (t *bodyText) UnmarshalJSON(b []byte) error {
	var object struct{ Body Text }
	if json.Unmarshal(b, &object) == nil && object.Body != "" {
		*t = bodyText(object.Body)
		return nil
	}
	*t = bodyText(scalar(b))
	return nil
}
