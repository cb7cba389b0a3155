package sidecar_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// TestMetrics reads the metrics of a whole sidecar after traffic of every kind.
func TestMetrics(t *testing.T) {
	r := start(t, func(c *config.Config) { c.MetricsListen = "127.0.0.1:0" })
	r.send("call.hangup", nil)        // plugin and app
	id := r.send("message.sent", nil) // app
	r.send("fax.received", nil)       // dead at the plugin
	r.send("fax.failed", nil)         // the plugin panics
	r.send("made.up.by.someone", nil) // known to nobody
	r.post([]byte("refuse me"), nil)  // the app refuses
	r.post([]byte("refuse me"), nil)  // a duplicate
	r.post([]byte("forged"), func(req *http.Request) { req.Header.Set(webhook.HeaderTimestamp, "1700000000") })
	r.post([]byte("forged"), func(req *http.Request) { req.Header.Del(webhook.HeaderSignature) })

	want := map[string]string{
		`hookswitch_webhooks_received_total{result="accepted"}`:                        "6",
		`hookswitch_webhooks_received_total{result="duplicate"}`:                       "1",
		`hookswitch_webhooks_received_total{result="rejected"}`:                        "2",
		`hookswitch_webhooks_received_total{result="error"}`:                           "0",
		`hookswitch_webhooks_rejected_total{reason="too_old"}`:                         "1",
		`hookswitch_webhooks_rejected_total{reason="missing_header"}`:                  "1",
		`hookswitch_ack_duration_seconds_count{result="accepted"}`:                     "6",
		`hookswitch_timestamp_skew_seconds_count`:                                      "7",
		`hookswitch_verify_key_matches_total{key="main"}`:                              "7",
		`hookswitch_events_total{event_type="call.hangup"}`:                            "1",
		`hookswitch_events_total{event_type="other"}`:                                  "2",
		`hookswitch_attempts_total{outcome="ok",target="plugin:echo"}`:                 "1",
		`hookswitch_attempts_total{outcome="dead",target="plugin:echo"}`:               "1",
		`hookswitch_attempts_total{outcome="panic",target="plugin:echo"}`:              "1",
		`hookswitch_attempts_total{outcome="ok",target="forward:default"}`:             "5",
		`hookswitch_attempts_total{outcome="dead",target="forward:default"}`:           "1",
		`hookswitch_attempts_total{outcome="timeout",target="forward:default"}`:        "0",
		`hookswitch_attempt_duration_seconds_count{target="forward:default"}`:          "6",
		`hookswitch_delivery_latency_seconds_count{target="forward:default"}`:          "5",
		`hookswitch_dead_letters_total{target="plugin:echo"}`:                          "2",
		`hookswitch_dead_letters{target="plugin:echo"}`:                                "2",
		`hookswitch_dead_letters{target="forward:default"}`:                            "1",
		`hookswitch_backlog_events{state="pending",target="plugin:echo"}`:              "0",
		`hookswitch_backlog_oldest_age_seconds{state="retrying",target="plugin:echo"}`: "0",
		`hookswitch_plugin_up{plugin="echo"}`:                                          "1",
		`hookswitch_plugin_state{plugin="echo",state="ready"}`:                         "1",
		`hookswitch_plugin_restarts_total{plugin="echo"}`:                              "0",
		`hookswitch_config_last_reload_successful`:                                     "1",
	}
	var page string
	r.eventually("all numbers", func() bool {
		_, page = r.get("/metrics")
		got := values(page)
		for series, n := range want {
			if got[series] != n {
				return false
			}
		}
		return true
	})
	for series, n := range want {
		if got := values(page)[series]; got != n {
			t.Errorf("%s is %q, want %s", series, got, n)
		}
	}
	for _, name := range []string{"build_info", "plugin_info", "store_bytes", "disk_free_bytes", "store_fsync_duration_seconds_count", "config_last_reload_success_timestamp_seconds"} {
		if !strings.Contains(page, "\nhookswitch_"+name) {
			t.Errorf("there is no hookswitch_%s", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !strings.Contains(page, "\n"+name+" ") {
			t.Errorf("there is no %s", name)
		}
	}
	if strings.Contains(page, id) || strings.Contains(page, "made.up") {
		t.Error("the metrics have a label that a sender chooses")
	}
	problems, err := promlint.New(bytes.NewBufferString(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	resp, err := http.Get(r.at.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || strings.HasPrefix(r.at.Metrics, r.at.Admin) {
		t.Errorf("%s answers %d", r.at.Metrics, resp.StatusCode)
	}
}

// values returns the samples of a page, by series.
func values(page string) map[string]string {
	got := make(map[string]string)
	for line := range strings.Lines(page) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			got[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return got
}

// TestMetricsToken: where the API wants a token, its metrics do, and profiles.
func TestMetricsToken(t *testing.T) {
	r := start(t, func(c *config.Config) { c.AdminToken = "s3cret"; c.Pprof = true; c.PluginDir = "" })
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/symbol"} {
		if status, _ := r.get(path); status != 401 {
			t.Errorf("%s without the token: %d, want 401", path, status)
		}
		req, _ := http.NewRequest("GET", strings.TrimSuffix(r.at.Metrics, "/metrics")+path, nil)
		req.Header.Set("Authorization", "Bearer s3cret")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s with the token: %d, want 200", path, resp.StatusCode)
		}
	}
}
