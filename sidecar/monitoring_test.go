package sidecar_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/oasdiff/yaml"

	"github.com/hookswitch/hookswitch/sidecar"
)

// TestMonitoring loads the dashboard and the alert rules of the examples, and
// checks that their expressions parse and that a sidecar has every metric that
// they name, with the labels that they ask for.
func TestMonitoring(t *testing.T) {
	r := start(t, func(c *sidecar.Config) { c.RetrySchedule = nil })
	r.send("call.hangup", nil)
	r.send("fax.received", nil)
	r.post([]byte("forged"), func(req *http.Request) { req.Header.Set("Telnyx-Timestamp", "1700000000") })
	labels := make(map[string][]string) // by metric
	r.eventually("traffic", func() bool {
		_, page := r.get("/metrics")
		labels = metricLabels(page)
		return labels["hookswitch_delivery_latency_seconds_bucket"] != nil && len(r.got()) == 2 &&
			strings.Contains(page, `hookswitch_dead_letters_total{target="plugin:echo"} 1`)
	})
	// Series that come with the first failure, and those of Prometheus itself.
	labels["hookswitch_store_errors_total"] = []string{"op"}
	labels["up"] = nil
	for where, expr := range expressions(t) {
		e, err := metricsql.Parse(expr)
		if err != nil {
			t.Errorf("%s: %s: %v", where, expr, err)
			continue
		}
		metricsql.VisitAll(e, func(e metricsql.Expr) {
			m, ok := e.(*metricsql.MetricExpr)
			if !ok {
				return
			}
			for _, or := range m.LabelFilterss {
				checkSelector(t, where, or, labels)
			}
		})
	}
}

func checkSelector(t *testing.T, where string, filters []metricsql.LabelFilter, labels map[string][]string) {
	t.Helper()
	name := ""
	for _, f := range filters {
		if f.Label == "__name__" {
			name = f.Value
		}
	}
	have, known := labels[name]
	if !known {
		t.Errorf("%s: there is no metric %q", where, name)
		return
	}
	for _, f := range filters {
		// Prometheus adds these when it scrapes.
		if !slices.Contains(append(have, "__name__", "instance", "job"), f.Label) {
			t.Errorf("%s: %s has no label %s", where, name, f.Label)
		}
	}
}

// metricLabels returns the labels of each metric of a page.
func metricLabels(page string) map[string][]string {
	label := regexp.MustCompile(`([a-z0-9_]+)="`)
	found := make(map[string][]string)
	for series := range values(page) {
		name, rest, _ := strings.Cut(series, "{")
		found[name] = []string{}
		for _, m := range label.FindAllStringSubmatch(rest, -1) {
			found[name] = append(found[name], m[1])
		}
	}
	return found
}

// expressions returns all expressions of the examples, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
		Annotations struct {
			List []struct{ Name, Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	text, err := os.ReadFile("../examples/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$instance", "a")
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for i, target := range p.Targets {
			found[strings.Repeat("'", i)+"panel "+p.Title] = variables.Replace(target.Expr)
		}
	}
	for _, a := range dashboard.Annotations.List {
		found["annotation "+a.Name] = variables.Replace(a.Expr)
	}
	for _, v := range dashboard.Templating.List {
		if rest, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			found["variable "+v.Name], _, _ = strings.Cut(rest, ",")
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations struct{ Summary, Description string }
				Labels      struct{ Severity string }
			}
		}
	}
	if text, err = os.ReadFile("../examples/monitoring/alerts.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := yaml.Unmarshal(text, &rules, yaml.DecodeOpts{}); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, rule := range g.Rules {
			if rule.Annotations.Summary == "" || rule.Annotations.Description == "" || rule.Labels.Severity == "" {
				t.Errorf("alert %s does not say what is wrong, what to do, or how bad it is", rule.Alert)
			}
			found["alert "+rule.Alert] = rule.Expr
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d expressions found", len(found))
	}
	return found
}
