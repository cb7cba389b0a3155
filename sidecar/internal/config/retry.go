package config

// Retrying decides when a delivery is tried and tried again, at apps and plugins
// alike.
type Retrying struct {
	// RetrySchedule are the waits between the attempts at a target, each
	// spread by half of itself up and down. After the last the job is dead.
	RetrySchedule Schedule `env:"HOOKSWITCH_RETRY_SCHEDULE" envDefault:"5s,30s,2m,10m,1h,6h,24h" desc:"waits between attempts, jittered; then the job is dead; none for a single attempt" example:"5s,1m,1h" reload:"true"`

	RetryMaxAge Duration `env:"HOOKSWITCH_RETRY_MAX_AGE" envDefault:"0s" desc:"how long an event is tried at most; 0s for as long as the schedule lasts" example:"24h" reload:"true"`

	// OrderBy makes events of one entity go to a target one at a time, in the
	// order in which they happened: "entity" for those of one message, call
	// leg, conference or fax; or a field of the body, such as
	// "payload.call_session_id". "none" is the fastest: no order.
	OrderBy OrderBy `env:"HOOKSWITCH_ORDER_BY" envDefault:"none" desc:"events delivered in order: none, entity, or a field of the body" example:"payload.call_session_id"`

	Timeout     Duration `env:"HOOKSWITCH_TIMEOUT" envDefault:"30s" desc:"how long one attempt may take" reload:"true"`
	Concurrency int      `env:"HOOKSWITCH_CONCURRENCY" envDefault:"16" desc:"attempts at one target at the same time" reload:"true"`
}
