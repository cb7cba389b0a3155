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

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// TestMonitoring loads the dashboard and the alert rules of the examples, and
// checks that their expressions parse and that a sidecar has every metric that
// they name, with the labels that they ask for.
func TestMonitoring(t *testing.T) {
	r := start(t, func(c *config.Config) { c.RetrySchedule = nil })
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

// TestAlertsSayWhatIsTrue: a number in the text of an alert is one that was
// counted or measured, and a forecast is made from hours of data.
func TestAlertsSayWhatIsTrue(t *testing.T) {
	for _, rule := range alertRules(t) {
		texts := rule.Annotations["summary"] + rule.Annotations["description"]
		e, err := metricsql.Parse(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(texts, "$value") {
			checkValue(t, rule.Alert, texts, leftmost(e))
			if or, ok := e.(*metricsql.BinaryOpExpr); ok && or.Op == "or" {
				checkValue(t, rule.Alert, texts, leftmost(or.Right))
			}
		}
		if strings.Contains(rule.Expr, "predict_linear") && !regexp.MustCompile(`predict_linear\([^)]*\).* and [a-z_]+ offset [1-9][0-9]*h`).MatchString(rule.Expr) {
			t.Errorf("%s: a forecast is made from seconds of data: add \"and … offset 3h\"", rule.Alert)
		}
	}
}

// checkValue checks how the value of an expression is printed.
func checkValue(t *testing.T, alert, texts string, value metricsql.Expr) {
	t.Helper()
	text := string(value.AppendString(nil))
	if strings.Contains(text, "predict_linear") {
		t.Errorf("%s: the value that is told is a forecast: %s", alert, text)
	}
	if strings.Contains(text, "increase(") {
		t.Errorf("%s: the number that is told is an estimate, and no whole one: %s", alert, text)
	}
	for _, use := range regexp.MustCompile(`\{\{ \$value ?([^}]*)\}\}`).FindAllStringSubmatch(texts, -1) {
		format := strings.TrimSpace(use[1])
		if !slices.Contains([]string{`| printf "%.0f"`, "| humanize1024", "| humanizeDuration", "| humanizePercentage"}, format) {
			t.Errorf("%s: {{ $value %s }} may print a fraction of an event", alert, format)
		}
	}
}

// leftmost returns the operand that the value of a comparison or of "and" is of.
func leftmost(e metricsql.Expr) metricsql.Expr {
	for {
		op, ok := e.(*metricsql.BinaryOpExpr)
		if !ok || op.Op == "/" {
			return e
		}
		e = op.Left
	}
}

// alertRule is a rule of alerts.yaml.
type alertRule struct {
	Alert, Expr string
	Annotations map[string]string
}

func alertRules(t *testing.T) (all []alertRule) {
	t.Helper()
	text, err := os.ReadFile("../examples/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	if _, err := yaml.Unmarshal(text, &file, yaml.DecodeOpts{}); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}
