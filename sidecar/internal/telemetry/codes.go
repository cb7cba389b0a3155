package telemetry

// A Code names a kind of warning or error in the log: the value of "code". It
// never changes its meaning, so that people can search and alert by it.
type Code string

// Info is what there is to know about a Code.
type Info struct {
	Code Code
	What string // happened
	Why  string // it happens
	Fix  string
}

// The codes of the log.
const (
	CodeBacklogUncounted  Code = "backlog-uncounted"
	CodeMetricsIncomplete Code = "metrics-incomplete"
	CodeTracesLost        Code = "traces-lost"
	CodeUnhealthy         Code = "unhealthy"
	CodeAlertLost         Code = "alert-lost"
)

// Codes returns all of them with their explanations, in the order of a manual.
func Codes() []Info {
	return []Info{
		{CodeBacklogUncounted, "The backlog could not be counted, for the metrics or for an alert.",
			"The store failed to answer within five seconds, or at all.",
			"Look for errors of the store just before. The metrics come back by themselves."},
		{CodeMetricsIncomplete, "A page of metrics was served without some of them.",
			"Something could not be read while Prometheus was asking; the error says what.",
			"See the error. The next scrape tries again."},
		{CodeTracesLost, "Spans could not be sent to the collector and are lost. Events are not affected.",
			"The collector does not answer, or refuses them.",
			"Check OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP is usually port 4318), the headers, and the collector's own log."},
		{CodeUnhealthy, "A check of /readyz or /livez began to fail; webhooks may be answered 503.",
			"check says which: the store cannot be written, the disk is nearly full, or a loop of the dispatcher stands still.",
			"See the error: make room, or mend the store. A loop that stands still is worth a report, and a restart ends it."},
		{CodeAlertLost, "An alert could not be sent to HOOKSWITCH_ALERT_URL, after several tries. What it says is in the line.",
			"The receiver does not answer, or not with 2xx.",
			"Check the URL and the receiver. Alerts about what lasts are repeated after four hours."},
	}
}
