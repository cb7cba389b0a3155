package event_test

import (
	"encoding/json"
	"fmt"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Tomorrow's event type, in one line.
var faxArchived = event.Define[struct {
	FaxID string     `json:"fax_id"`
	At    event.Time `json:"archived_at"`
}]("test.archived")

func ExampleDefine() {
	fmt.Println(faxArchived)
	// Output: test.archived
}

// The same amount in the two forms that Telnyx sends.
func ExampleDecimal() {
	for _, text := range []string{`{"amount":"0.0051","currency":"USD"}`, `{"amount":0.0051,"currency":"USD"}`} {
		var m event.Money
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			fmt.Println(err)
		}
		r, _ := m.Amount.Rat()
		fmt.Println(m.Amount, r.FloatString(4))
	}
	// Output:
	// 0.0051 0.0051
	// 0.0051 0.0051
}

func ExampleMisnomer() {
	use, wrong := event.Misnomer("message.delivered")
	fmt.Println(use, wrong)
	// Output: message.finalized true
}

func ExampleCanonical() {
	fmt.Println(event.Canonical("call_initiated"), event.Canonical("message.sent"))
	// Output: call.initiated message.sent
}
