package main

import (
	"cmp"
	"strconv"
	"strings"
)

// placeholders returns each placeholder of the scaffold, followed by what stands
// there.
//
// It is not text/template: a program that can call its methods, which it finds by
// name, keeps every exported method of every type in it. "make size" has more.
func (s *scaffold) placeholders() []string {
	samples := make([]string, len(s.Samples))
	for i, sample := range s.Samples {
		samples[i] = strconv.Quote(sample)
	}
	replace := ""
	if s.Version == "" {
		replace = "\nreplace " + sdkModule + " => " + s.Local + "\n" + s.Requires
	}
	return []string{
		"{{name}}", s.Name, "{{list}}", s.List, "{{sample}}", s.Sample, "{{samples}}", strings.Join(samples, ", "),
		"{{module}}", s.Module, "{{go}}", sdkGo, "{{sdk}}", sdkModule, "{{version}}", cmp.Or(s.Version, "v0.0.0"), "{{replace}}", replace,
		"{{imports}}", s.imports(), "{{routes}}", s.routes(), "{{handlers}}", s.handlers(),
	}
}

func (s *scaffold) imports() string {
	list := []string{"middleware/webhook", "plugins/sdk"}
	for _, h := range s.Handlers {
		if h.Ident != "" {
			list = append([]string{"middleware/event"}, list...)
			break
		}
	}
	for i, name := range list {
		list[i] = "\t" + strconv.Quote(sdkModule+"/"+name)
	}
	return strings.Join(list, "\n")
}

func (s *scaffold) routes() string {
	lines := make([]string, len(s.Handlers))
	for i, h := range s.Handlers {
		if h.Ident != "" {
			lines[i] = "\twebhook.On(mux, event." + h.Ident + ", " + h.Func + ")"
		} else {
			lines[i] = "\tmux.Handle(" + strconv.Quote(h.Event) + ", webhook.HandlerFunc(" + h.Func + "))"
		}
	}
	return strings.Join(lines, "\n")
}

// The comment of a handler, and the handler: of one event type, and of those that
// fit a pattern.
const (
	handlerComment = `
// {{func}} is called for each {{what}}.
// What it returns decides: nil is done, webhook.Permanent(err) never again,
// webhook.RetryAfter(err, d) not before d, and any other error is tried again by
// the sidecar's schedule.
//
// An event may come twice: handling it again must do no harm. e.ID stays the
// same.
`
	typedHandler = `func {{func}}(ctx context.Context, e *webhook.Event, payload *{{payload}}) error {
	sdk.Log(ctx).Info("{{event}}", "occurred_at", e.OccurredAt.Raw)
	_ = payload // what Telnyx says about it: your code goes here
	return nil
}
`
	patternHandler = `func {{func}}(ctx context.Context, e *webhook.Event) error {
	sdk.Log(ctx).Info("event", "type", e.Type, "occurred_at", e.OccurredAt.Raw)
	_ = e.Payload // what Telnyx says about it, in JSON: your code goes here
	return nil
}
`
)

func (s *scaffold) handlers() string {
	var all strings.Builder
	for _, h := range s.Handlers {
		what, body := "event that fits "+strconv.Quote(h.Event), patternHandler
		if h.Ident != "" {
			what, body = h.Event, typedHandler
		}
		fill := strings.NewReplacer("{{func}}", h.Func, "{{what}}", what, "{{event}}", h.Event, "{{payload}}", h.Payload)
		all.WriteString(fill.Replace(handlerComment + body))
	}
	return all.String()
}
