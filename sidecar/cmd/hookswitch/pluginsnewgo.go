package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
)

var goLanguage = scaffoldLanguage{
	name: "go", aliases: []string{"golang"},
	prepare: func(s *scaffold, c *cli.Command) (err error) {
		s.Module = cmp.Or(c.String("module"), "example.com/"+s.Name)
		s.SDK, err = chooseSDK(c.String("local"), c.String("sdk-version"))
		return err
	},
	placeholders: goPlaceholders,
	files:        func(*scaffold) map[string]string { return map[string]string{"gitignore": ".gitignore"} },
	extra: func(s *scaffold, files map[string][]byte) {
		if s.SDK.Sum != nil {
			files["go.sum"] = s.SDK.Sum
		}
		for _, h := range s.Handlers {
			if !h.Known {
				name, body := testData(h.Sample)
				files[name] = body
			}
		}
	},
	finish: goModTidy,
	steps:  goSteps,
}

// goModTidy creates go.sum where it could not be copied, and returns why it could
// not. The source is complete without it.
func goModTidy(ctx context.Context, s *scaffold, dir string) error {
	if s.SDK.Local != "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		return fmt.Errorf("go mod tidy: %w: %s", err, lines[len(lines)-1])
	}
	return nil
}

func goSteps(s *scaffold, untidy error) (steps [][2]string) {
	if untidy != nil {
		steps = append(steps, [2]string{"go mod tidy", fmt.Sprintf("fetches %s %s; it failed just now", sdkModule, s.SDK.Version)})
	}
	return append(steps,
		[2]string{"go test ./...", "the handler, over the plugin protocol"},
		[2]string{"go build -o " + s.Name + " .", "run it to see its description"},
		[2]string{"hookswitch plugins check ./" + s.Name, "can the sidecar load it?"},
		[2]string{strings.TrimSuffix("hookswitch plugins test ./"+s.Name+" "+s.sendUnknown(), " "), "an event through the real binary"},
		[2]string{"make install PLUGINS=DIR", "into the HOOKSWITCH_PLUGIN_DIR of a sidecar"},
	)
}

// sendUnknown returns the flag that "plugins test" needs, because it has no sample
// of what the plugin asks for, or "".
func (s *scaffold) sendUnknown() string {
	if send := s.send(); strings.HasPrefix(send, "--from") {
		return send
	}
	return ""
}

// goHandler is a handler with its names in Go. Ident and Payload are in package
// event; they are empty where the handler gets JSON.
type goHandler struct {
	scaffoldHandler
	Func, Ident, Payload string
}

func (s *scaffold) goHandlers() []goHandler {
	var names uniqueNames
	list := make([]goHandler, len(s.Handlers))
	for i, h := range s.Handlers {
		g := goHandler{scaffoldHandler: h}
		switch prefix, _ := strings.CutSuffix(h.Event, "*"); {
		case h.Pattern:
			g.Func = "handle" + camelCase(prefix) + "Events"
		case h.Known:
			g.Ident, g.Payload = goName(h.Event), goPayload(h.Event)
			g.Func = "handle" + g.Ident
		default:
			g.Func = "handle" + camelCase(h.Event)
		}
		g.Func = names.add(g.Func)
		list[i] = g
	}
	return list
}

// uniqueNames makes names of functions differ: "fax.archived" and "fax_archived"
// would have the same.
type uniqueNames map[string]int

func (u *uniqueNames) add(name string) string {
	if *u == nil {
		*u = make(uniqueNames)
	}
	if (*u)[name]++; (*u)[name] > 1 {
		return u.add(name + strconv.Itoa((*u)[name]))
	}
	return name
}

func goPlaceholders(s *scaffold) []string {
	version, replace := cmp.Or(s.SDK.Version, "v0.0.0"), ""
	if s.SDK.Local != "" {
		replace = "\nreplace " + sdkModule + " => " + s.SDK.Local + "\n" + s.SDK.Requires
	}
	imports, body := "\t\"net/http\"\n", goKnownBody
	for _, h := range s.Handlers {
		if !h.Known {
			imports, body = "\t\"cmp\"\n\t\"net/http\"\n\t\"os\"\n", goAnyBody
		}
	}
	list := s.goHandlers()
	return []string{
		"{{module}}", s.Module, "{{go}}", sdkGo, "{{sdk}}", sdkModule, "{{version}}", version, "{{replace}}", replace,
		"{{imports}}", goImports(list), "{{routes}}", goRoutes(list), "{{handlers}}", goFuncs(list),
		"{{test imports}}\n", imports, "{{body}}\n", body,
	}
}

func goImports(handlers []goHandler) string {
	list := []string{"middleware/webhook", "plugins/sdk"}
	for _, h := range handlers {
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

func goRoutes(handlers []goHandler) string {
	lines := make([]string, len(handlers))
	for i, h := range handlers {
		if h.Ident != "" {
			lines[i] = "\twebhook.On(mux, event." + h.Ident + ", " + h.Func + ")"
		} else {
			lines[i] = "\tmux.Handle(" + strconv.Quote(h.Event) + ", webhook.HandlerFunc(" + h.Func + "))"
		}
	}
	return strings.Join(lines, "\n")
}

// The comment of a handler, and the handler: of one event type, and of those that
// fit a pattern or are not known.
const (
	goComment = `
// {{func}} is called for each {{what}}.
// What it returns decides: nil is done, webhook.Permanent(err) never again,
// webhook.RetryAfter(err, d) not before d, and any other error is tried again by
// the sidecar's schedule.
//
// An event may come twice: handling it again must do no harm. e.ID stays the
// same.
`
	goTyped = `func {{func}}(ctx context.Context, e *webhook.Event, payload *{{payload}}) error {
	sdk.Log(ctx).Info("{{event}}", "occurred_at", e.OccurredAt.Raw)
	_ = payload // what Telnyx says about it: your code goes here
	return nil
}
`
	goRaw = `func {{func}}(ctx context.Context, e *webhook.Event) error {
	sdk.Log(ctx).Info("event", "type", e.Type, "occurred_at", e.OccurredAt.Raw)
	_ = e.Payload // what Telnyx says about it, in JSON: your code goes here
	return nil
}
`
)

func goFuncs(handlers []goHandler) string {
	var all strings.Builder
	for _, h := range handlers {
		what, body := h.Event, goRaw
		switch {
		case h.Pattern:
			what = "event that fits " + strconv.Quote(h.Event)
		case h.Ident != "":
			body = goTyped
		}
		fill := strings.NewReplacer("{{func}}", h.Func, "{{what}}", what, "{{event}}", h.Event, "{{payload}}", h.Payload)
		all.WriteString(fill.Replace(goComment + body))
	}
	return all.String()
}

// What the test sends: samples only, or also the files in testdata.
const (
	goKnownBody = `			body, ok := event.Sample(name) // what Telnyx sends
			if !ok {
				t.Fatalf("there is no sample of %s", name)
			}
			header := http.Header{"Content-Type": {event.SampleContentType(name)}}
`
	goAnyBody = `			body, ok := event.Sample(name) // what Telnyx sends
			if !ok {                       // replace the file with what it sends to you
				var err error
				if body, err = os.ReadFile("testdata/" + name + ".json"); err != nil {
					t.Fatal(err)
				}
			}
			header := http.Header{"Content-Type": {cmp.Or(event.SampleContentType(name), "application/json")}}
`
)
