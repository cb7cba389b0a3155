package main

import "strings"

// Plugins in Python and in Node read lines of JSON, and need nothing but their
// interpreter. Each is one file: trust by "pinned" vouches for the files that a
// manifest names, not for others that these load.
var (
	pythonLanguage = scaffoldLanguage{
		name: "python", aliases: []string{"py", "python3"},
		placeholders: func(s *scaffold) []string {
			return s.scriptPlaceholders(pythonScript(s), "_", pythonHandler, pythonRoute)
		},
		files: func(s *scaffold) map[string]string {
			return map[string]string{"gitignore": ".gitignore", "plugin.json": s.Name + ".plugin.json", "plugin.py": pythonScript(s)}
		},
		extra: (*scaffold).addSamples,
		steps: func(s *scaffold, _ error) [][2]string { return s.scriptSteps("python3 -m unittest") },
	}
	nodeLanguage = scaffoldLanguage{
		name: "node", aliases: []string{"js", "javascript", "nodejs"},
		placeholders: func(s *scaffold) []string { return s.scriptPlaceholders(s.Name+".mjs", "", nodeHandler, nodeRoute) },
		files: func(s *scaffold) map[string]string {
			return map[string]string{
				"gitignore": ".gitignore", "plugin.json": s.Name + ".plugin.json", "plugin.mjs": s.Name + ".mjs", "plugin.test.mjs": s.Name + ".test.mjs",
			}
		},
		extra: (*scaffold).addSamples,
		steps: func(s *scaffold, _ error) [][2]string { return s.scriptSteps("node --test") },
	}
)

// pythonScript returns a name that can be imported, and that is not the name of a
// module: email.py would come before that of the standard library.
func pythonScript(s *scaffold) string {
	return "plugin_" + strings.ReplaceAll(s.Name, "-", "_") + ".py"
}

// A handler, and the line that registers it.
const (
	pythonHandler = `

def {{func}}(event, payload):
    """Handle {{what}}: payload is what Telnyx says about it."""
    log(event["event_type"], event_id=event["event_id"])  # your code goes here
`
	pythonRoute = `    "{{event}}": {{func}},`

	nodeHandler = `
/** Handles {{what}}: payload is what Telnyx says about it. */
async function {{func}}(event, payload, signal) {
  log('info', event.event_type, { event_id: event.event_id }); // your code goes here
}
`
	nodeRoute = `  '{{event}}': {{func}},`
)

// scriptPlaceholders returns the placeholders of a language whose names of
// functions are words with a mark between them, or camel case if that is empty.
func (s *scaffold) scriptPlaceholders(script, mark, handler, route string) []string {
	var names uniqueNames
	var handlers strings.Builder
	routes := make([]string, len(s.Handlers))
	for i, h := range s.Handlers {
		prefix, _ := strings.CutSuffix(h.Event, "*")
		name, what := "handle"+camelCase(prefix), h.Event
		if mark != "" {
			words := strings.FieldsFunc("handle."+strings.ToLower(prefix), func(r rune) bool { return strings.ContainsRune("._-", r) })
			name = strings.Join(words, mark)
		}
		switch {
		case h.Event == "*":
			what = "an event of any type"
		case h.Pattern:
			what = "an event that fits " + h.Event
		}
		if h.Pattern && mark == "" {
			name += "Events"
		} else if h.Pattern {
			name += mark + "events"
		}
		fill := strings.NewReplacer("{{func}}", names.add(name), "{{what}}", what, "{{event}}", h.Event)
		handlers.WriteString(fill.Replace(handler))
		routes[i] = fill.Replace(route)
	}
	return []string{
		"{{script}}", script, "{{package}}", strings.ToLower(s.Name),
		"{{handlers}}\n", handlers.String(), "{{routes}}", strings.Join(routes, "\n"),
	}
}

// addSamples adds what the test sends.
func (s *scaffold) addSamples(files map[string][]byte) {
	for _, h := range s.Handlers {
		name, body := testData(h.Sample)
		files[name] = body
	}
}

func (s *scaffold) scriptSteps(test string) [][2]string {
	manifest := "./" + s.Name + ".plugin.json"
	return [][2]string{
		{test, "the handlers, over the plugin protocol"},
		{"hookswitch plugins check " + manifest, "can the sidecar load it?"},
		{strings.TrimSuffix("hookswitch plugins test "+manifest+" "+s.sendUnknown(), " "), "an event through the real process"},
		{"make install PLUGINS=DIR", "into the HOOKSWITCH_PLUGIN_DIR of a sidecar"},
	}
}
