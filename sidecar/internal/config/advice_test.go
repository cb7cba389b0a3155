package config_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// advice returns what there is to warn of in a configuration.
func advice(t *testing.T, vars map[string]string) []string {
	t.Helper()
	c, err := load(t, vars)
	if err != nil {
		t.Fatal(err)
	}
	return c.Advice()
}

func TestNothingToWarnOf(t *testing.T) {
	if list := advice(t, map[string]string{"TELNYX_PUBLIC_KEY": goodKey, "HOOKSWITCH_FORWARD_TO": "http://127.0.0.1:5000/webhooks"}); len(list) > 0 {
		t.Errorf("%q", list)
	}
	dir := t.TempDir()
	manifest := `{"protocol": "jsonl", "command": ["cat"], "events": ["message.received", "call.*", "calls.*"]}`
	if err := os.WriteFile(filepath.Join(dir, "a.plugin.json"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	if list := advice(t, map[string]string{"HOOKSWITCH_FORWARD_TO": "", "HOOKSWITCH_PLUGIN_DIR": dir}); len(list) > 0 {
		t.Errorf("%q", list)
	}
}

func TestAdvice(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "b.plugin.json")
	manifest := `{"protocol": "jsonl", "command": ["cat"], "events": ["message.recieved", "message.delivered"]}`
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	const app = "http://127.0.0.1:5000/"
	for name, tt := range map[string]struct {
		vars map[string]string
		want []string // each in a warning, and there are no others
	}{
		"nothing":          {nil, []string{"no app and no plugin is configured"}},
		"an empty folder":  {map[string]string{"HOOKSWITCH_PLUGIN_DIR": t.TempDir()}, []string{"no app and no plugin is configured"}},
		"no folder":        {map[string]string{"HOOKSWITCH_PLUGIN_DIR": dir + "/none", "HOOKSWITCH_FORWARD_TO": app}, []string{dir + "/none cannot be looked into: no such file or directory"}},
		"a file":           {map[string]string{"HOOKSWITCH_PLUGIN_DIR": file, "HOOKSWITCH_FORWARD_TO": app}, []string{"is not a folder"}},
		"a slow budget":    {map[string]string{"HOOKSWITCH_ACK_BUDGET": "3s", "HOOKSWITCH_FORWARD_TO": app}, []string{"HOOKSWITCH_ACK_BUDGET is 3s, but Telnyx waits 2s"}},
		"a misspelt event": {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "mesage.*,call.hangup,call.hungup", "HOOKSWITCH_ROUTE_0_TO": app}, []string{`"mesage.*", which is not a known event type: did you mean "message.*"?`, `did you mean "call.hangup"?`}},
		"a name left out":  {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "call.*", "HOOKSWITCH_ROUTE_0_TO": app}, []string{`HOOKSWITCH_ROUTE_0_MATCH has "call.*", which does not fit "calls.voicemail.completed": add that if it is meant`}},
		"in another route": {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "call.*", "HOOKSWITCH_ROUTE_0_TO": app, "HOOKSWITCH_ROUTE_1_MATCH": "calls.*", "HOOKSWITCH_ROUTE_1_TO": app + "b"}, nil},
		"a question":       {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "texml.gather,assistant.*", "HOOKSWITCH_ROUTE_0_TO": app}, []string{`Telnyx wants an answer (TeXML) to texml.gather, which only a route with MODE=sync gives`, `(JSON) to assistant.initialization`}},
		"an answer":        {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "texml.*", "HOOKSWITCH_ROUTE_0_TO": app, "HOOKSWITCH_ROUTE_0_MODE": "sync"}, nil},
		"meetings":         {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "session.*", "HOOKSWITCH_ROUTE_0_TO": app}, []string{`HOOKSWITCH_ROUTE_0_MATCH has "session.*", which cannot be received`}},
		"nothing instead":  {map[string]string{"HOOKSWITCH_ROUTE_0_MATCH": "esim.profile.*", "HOOKSWITCH_ROUTE_0_TO": app}, []string{`nothing is known to come in its place`}},
		"a manifest":       {map[string]string{"HOOKSWITCH_PLUGIN_DIR": dir}, []string{`plugin b: events has "message.recieved", which is not a known event type: did you mean "message.received"?`, `use "message.finalized"`}},
	} {
		t.Run(name, func(t *testing.T) {
			vars := map[string]string{"TELNYX_PUBLIC_KEY": goodKey}
			for name, value := range tt.vars {
				vars[name] = value
			}
			list := advice(t, vars)
			if len(list) != len(tt.want) {
				t.Errorf("%d warnings: %q", len(list), list)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(list, func(text string) bool { return strings.Contains(text, want) }) {
					t.Errorf("no %q in %q", want, list)
				}
			}
		})
	}
}

// TestForwardToItself: a loop is recognised in whatever way the address is
// written.
func TestForwardToItself(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	loops := []struct{ listen, to string }{
		{":8080", "http://127.0.0.1:8080/webhooks"}, {":8080", "http://localhost:8080/x"}, {":8080", "http://LOCALHOST:8080/"},
		{":8080", "http://[::1]:8080/"}, {":8080", "http://0.0.0.0:8080/"}, {":8080", "http://[::]:8080/"}, {":8080", "http://[::ffff:127.0.0.1]:8080/"},
		{":8080", "http://127.1.2.3:8080/"}, {"0.0.0.0:8080", "http://localhost:8080/"}, {"[::]:8080", "http://127.0.0.1:8080/"},
		{"127.0.0.1:8080", "http://localhost:8080/"}, {"127.0.0.1:8080", "http://0.0.0.0:8080/"}, {"localhost:8080", "http://127.0.0.1:8080/"},
		{"[::1]:8080", "http://[::]:8080/"}, {"127.0.0.1:80", "http://127.0.0.1/"}, {"127.0.0.1:https", "https://127.0.0.1/"},
		{":8080", "http://127.0.0.1:9080/v2"}, // the admin listener
	}
	if ips, err := net.LookupIP(host); err == nil && len(ips) > 0 {
		loops = append(loops, struct{ listen, to string }{":8080", "http://" + host + ":8080/"})
	}
	for _, tt := range loops {
		list := advice(t, map[string]string{"TELNYX_PUBLIC_KEY": goodKey, "HOOKSWITCH_LISTEN": tt.listen, "HOOKSWITCH_FORWARD_TO": tt.to})
		if len(list) != 1 || !strings.Contains(list[0], "HOOKSWITCH_FORWARD_TO leads back to this sidecar") {
			t.Errorf("%s to %s: %q", tt.listen, tt.to, list)
		}
	}
	for _, tt := range []struct{ listen, to string }{
		{":8080", "http://127.0.0.1:8081/"}, {"127.0.0.1:8080", "http://127.0.0.2:8080/"}, {"127.0.0.1:8080", "http://[::1]:8080/"},
		{":8080", "http://192.0.2.1:8080/"}, {":8080", "http://nobody.invalid:8080/"}, {":0", "http://127.0.0.1:1/"}, {":8080", "http://127.0.0.1/"},
	} {
		if list := advice(t, map[string]string{"HOOKSWITCH_LISTEN": tt.listen, "HOOKSWITCH_FORWARD_TO": tt.to}); len(list) > 0 {
			t.Errorf("%s to %s: %q", tt.listen, tt.to, list)
		}
	}
	list := advice(t, map[string]string{"HOOKSWITCH_LISTEN": ":8080", "HOOKSWITCH_FORWARD_TO": "", "HOOKSWITCH_ROUTE_1_TO": "http://localhost:8080/a",
		"HOOKSWITCH_ROUTE_1_MATCH": "*", "HOOKSWITCH_ALERT_URL": "http://u:" + planted + "@localhost:8080/" + planted})
	if len(list) != 2 || leaks(strings.Join(list, " ")) || !strings.HasPrefix(list[0], "HOOKSWITCH_ROUTE_1_TO leads") || !strings.HasPrefix(list[1], "HOOKSWITCH_ALERT_URL leads") {
		t.Errorf("%q", list)
	}
}
