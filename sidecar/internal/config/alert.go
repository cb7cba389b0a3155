package config

import (
	"slices"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Alerting decides when something needs a person, and where alerts go.
type Alerting struct {
	// DiskFloor is how much room there must be on the disk of DataDir for the
	// sidecar to be ready.
	DiskFloor ByteSize `env:"HOOKSWITCH_DISK_FLOOR" envDefault:"100MiB" desc:"free space on the disk of the data directory below which the sidecar is not ready; 0 to ignore it" example:"1GiB"`

	// AlertURL is POSTed to on dead letters, plugins that keep crashing, a
	// backlog that is too old, and a disk that is nearly full.
	AlertURL Secret `env:"HOOKSWITCH_ALERT_URL" desc:"URL that alerts are POSTed to, signed like forwarded requests" secret:"true"`

	// AlertFormat and AlertTemplate decide what is POSTed.
	AlertFormat   string `env:"HOOKSWITCH_ALERT_FORMAT" envDefault:"json" desc:"json, slack (an incoming webhook of Slack), or template: HOOKSWITCH_ALERT_TEMPLATE" example:"slack"`
	AlertTemplate Secret `env:"HOOKSWITCH_ALERT_TEMPLATE" desc:"the JSON of an alert, in one line, with words such as {summary}" secret:"true"`

	// AlertPayload puts the payload and the app's answers into alerts, too.
	AlertPayload bool `env:"HOOKSWITCH_ALERT_PAYLOAD" envDefault:"false" desc:"whether alerts have the payload, headers and bodies of the latest dead letter"`

	AlertBacklogAge Duration `env:"HOOKSWITCH_ALERT_BACKLOG_AGE" envDefault:"15m" desc:"how long an event may wait for a target before there is an alert; 0s for none" example:"5m"`
}

// validateAlerting checks where alerts go.
func (c *Config) validateAlerting(problem *Error) {
	if c.AlertURL != "" {
		if err := checkURL(string(c.AlertURL), "https://alerts.example.com/hook"); err != nil {
			problem.add("HOOKSWITCH_ALERT_URL", err.Error())
		}
	}
	switch {
	case !slices.Contains(telemetry.AlertForms, c.AlertFormat):
		problem.add("HOOKSWITCH_ALERT_FORMAT", "must be json, slack or template")
	case c.AlertFormat == telemetry.AlertTemplate:
		if err := telemetry.CheckAlertTemplate(string(c.AlertTemplate)); err != nil {
			problem.add("HOOKSWITCH_ALERT_TEMPLATE", err.Error())
		}
	}
	if c.AlertBacklogAge < 0 {
		problem.add("HOOKSWITCH_ALERT_BACKLOG_AGE", "must not be negative: 0s switches the alert off")
	}
}
