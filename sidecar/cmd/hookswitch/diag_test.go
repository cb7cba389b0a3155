package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestRedactLog: of a log, in either form, the sidecar's own warnings stay, and nothing
// that others wrote.
func TestRedactLog(t *testing.T) {
	log := `time=2026-11-28T01:02:03Z level=INFO msg="plugin is ready" plugin=crm
time=2026-11-28T01:02:04Z level=ERROR msg="plugin is down" plugin=crm code=plugin-down state=backoff error="exit status 1 (the process ended: exit status 1; its last output: SECRET +15550100)" restart_in=5s
time=2026-11-28T01:02:05Z level=WARN msg="SECRET printed" plugin=crm stream=stderr
time=2026-11-28T01:02:06Z level=WARN msg="gave up: the event is a dead letter" target=plugin:crm event_id=86f58db9 error="no such user SECRET" code=dead-letter remote=192.0.2.1
{"time":"2026-11-28T01:02:07Z","level":"ERROR","msg":"the disk is full","code":"disk-full","error":"no space\nleft","header":"SECRET"}
{"time":"2026-11-28T01:02:08Z","level":"WARN","msg":"x","stream":"stdout"}
{"level":"ERROR","SECRET":true}
panic: SECRET
level=ERROR SECRET
time=2026-11-28T01:02:09Z level=ERROR msg="plugin is down" plugin=crm error="configure: the plugin refuses its settings: dsn: SECRET"
time=2026-11-28T01:02:10Z level=ERROR msg="plugin is down" plugin=crm error="describe: rpc error: code = Unknown desc = SECRET"
`
	want := []string{
		`2026-11-28T01:02:04Z ERROR plugin is down code=plugin-down error="exit status 1 (the process ended: exit status 1; its last output: (left out)" plugin=crm restart_in=5s state=backoff`,
		`2026-11-28T01:02:06Z WARN gave up: the event is a dead letter code=dead-letter error="(left out)" target=plugin:crm`,
		`2026-11-28T01:02:07Z ERROR the disk is full code=disk-full error="no space left"`,
		`2026-11-28T01:02:09Z ERROR plugin is down error="configure: the plugin refuses its settings: (left out)" plugin=crm`,
		`2026-11-28T01:02:10Z ERROR plugin is down error="describe: rpc error: code = Unknown desc = (left out)" plugin=crm`,
	}
	if got := redactLog([]byte(log)); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := redactLog([]byte(strings.Repeat("level=WARN msg=again\n", 300))); len(got) != 200 {
		t.Errorf("%d lines, want the last 200", len(got))
	}
}

// TestRedactJSON: answers keep their form.
func TestRedactJSON(t *testing.T) {
	var v any
	const answer = `{"strays":{"count":1,"path":"/SECRET"},"plugins":[{"name":"crm","last_error":"exit status 1; its last output: SECRET","update":{"error":"x refuses its settings: SECRET"}}],"store":{"error":""}}`
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(redactJSON(v))
	const want = `{"plugins":[{"last_error":"exit status 1; its last output: (left out)","name":"crm","update":{"error":"x refuses its settings: (left out)"}}],"store":{"error":""},"strays":{"count":1,"path":"(left out)"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
}
