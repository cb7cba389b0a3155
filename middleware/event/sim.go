package event

// SIM card events. All of this is unverified: the names and the payload appear
// only in AI-written examples, in two spellings, and no delivery of one has
// been published. Register a handler for "sim_card.*" and look at the bytes.
var (
	SIMCardStatusChanged    = Define[SIMCard]("sim_card.status_changed")
	SIMCardStatusDotChanged = Define[SIMCard]("sim_card.status.changed") // the other spelling
	SIMCardDataLimitReached = Define[SIMCard]("sim_card.data_limit.reached")
	SIMCardNetworkAttached  = Define[SIMCard]("sim_card.network.attached")
)

// SIMCard is the payload of the SIM card events.
type SIMCard struct {
	ID        string `json:"id"`
	SIMCardID string `json:"sim_card_id"`
	Status    Text   `json:"status"` // enabled, disabled, standby, data_limit_exceeded, …
}
