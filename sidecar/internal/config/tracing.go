package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Tracing holds the standard variables of OpenTelemetry. Without an endpoint
// nothing is traced. Its SDK reads others, about batches, limits and
// certificates, by itself.
type Tracing struct {
	OTelEndpoint       string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" desc:"base URL of a collector for traces, by OTLP over HTTP; unset, nothing is traced" example:"http://localhost:4318" secret:"url"`
	OTelTracesEndpoint string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" desc:"whole URL for traces, instead of the base" example:"http://localhost:4318/v1/traces" secret:"url"`
	OTelHeaders        Secret `env:"OTEL_EXPORTER_OTLP_HEADERS" desc:"headers for the collector: name=value,…, percent-encoded" secret:"true"`
	OTelProtocol       string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" desc:"http/protobuf, the only supported protocol"`
	OTelService        string `env:"OTEL_SERVICE_NAME" desc:"name of the service in traces; hookswitch by default"`
	OTelResource       string `env:"OTEL_RESOURCE_ATTRIBUTES" desc:"attributes of the service in traces: key=value,…" example:"deployment.environment.name=production"`

	// OTelSampler selects the requests that are traced; their attempts are, too.
	OTelSampler string `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on" desc:"which requests are traced: always_on, always_off or traceidratio, each also as parentbased_…"`

	OTelSamplerArg string `env:"OTEL_TRACES_SAMPLER_ARG" desc:"for traceidratio: the fraction of all requests, from 0 to 1" example:"0.1"`
	OTelDisabled   bool   `env:"OTEL_SDK_DISABLED" envDefault:"false" desc:"true turns tracing off"`
}

// traceURL returns where spans are sent, or "" if they are not.
func (t *Tracing) traceURL() string {
	switch {
	case t.OTelDisabled:
		return ""
	case t.OTelTracesEndpoint != "":
		return t.OTelTracesEndpoint
	case t.OTelEndpoint != "":
		return strings.TrimRight(t.OTelEndpoint, "/") + "/v1/traces"
	}
	return ""
}

// validate checks where spans are sent, if they are.
func (t *Tracing) validate(problem *Error) {
	if t.traceURL() == "" {
		return
	}
	for variable, text := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": t.OTelEndpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": t.OTelTracesEndpoint,
	} {
		if text == "" {
			continue
		}
		if err := checkURL(text, "http://localhost:4318"); err != nil {
			problem.add(variable, err.Error())
		}
	}
	if t.OTelProtocol != "http/protobuf" {
		problem.add("OTEL_EXPORTER_OTLP_PROTOCOL", "must be http/protobuf, the only protocol supported, on the collector's port 4318")
	}
	if _, err := pairs(string(t.OTelHeaders)); err != nil {
		problem.add("OTEL_EXPORTER_OTLP_HEADERS", err.Error())
	}
	if _, err := pairs(t.OTelResource); err != nil {
		problem.add("OTEL_RESOURCE_ATTRIBUTES", err.Error())
	}
	if !slices.Contains(telemetry.Samplers, t.OTelSampler) {
		problem.add("OTEL_TRACES_SAMPLER", "must be one of "+strings.Join(telemetry.Samplers, ", "))
	}
	if _, err := t.ratio(); err != nil {
		problem.add("OTEL_TRACES_SAMPLER_ARG", err.Error())
	}
}

func (t *Tracing) ratio() (float64, error) {
	if t.OTelSamplerArg == "" || !strings.HasSuffix(t.OTelSampler, "traceidratio") {
		return 1, nil
	}
	r, err := strconv.ParseFloat(t.OTelSamplerArg, 64)
	if err != nil || !(r >= 0 && r <= 1) {
		return 0, errors.New("is not a number from 0 to 1")
	}
	return r, nil
}

// pairs reads name=value,name=value. Its errors do not repeat the values.
func pairs(text string) (map[string]string, error) {
	m := make(map[string]string)
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || name == "" || err != nil {
			return nil, fmt.Errorf("has a bad entry %d: write name=value, separated by commas, special characters percent-encoded", i+1)
		}
		m[name] = value
	}
	return m, nil
}

// Exporter returns where spans are sent and how; its URL is empty if they are
// not. Its error is an [*Error].
func (t *Tracing) Exporter() (telemetry.TraceConfig, error) {
	url := t.traceURL()
	if url == "" {
		return telemetry.TraceConfig{}, nil
	}
	problem := new(Error)
	if t.validate(problem); len(problem.Problems) > 0 {
		return telemetry.TraceConfig{}, problem
	}
	headers, _ := pairs(string(t.OTelHeaders)) // validated
	attributes, _ := pairs(t.OTelResource)
	ratio, _ := t.ratio()
	return telemetry.TraceConfig{
		URL: url, Headers: headers, Service: t.OTelService, Attributes: attributes,
		Sampler: t.OTelSampler, Ratio: ratio,
	}, nil
}
