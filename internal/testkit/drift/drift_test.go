package drift

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// env names the directory in which the client and TypeScript are installed.
const env = "HOOKSWITCH_DRIFT"

// installed returns that directory, or skips the test.
func installed(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		t.Skipf("%s names no directory with Telnyx's client: run \"make drift\" or \"make driftpinned\"", env)
	}
	return dir
}

// read runs types.mjs.
func read(t *testing.T, dir string) (types Types) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "types.mjs", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &types); err != nil {
		t.Fatal(err)
	}
	return types
}

// TestDrift: the catalogue has all that the installed client's types have.
func TestDrift(t *testing.T) {
	types := read(t, installed(t))
	fields := 0
	for _, m := range types.Models {
		fields += len(m.Fields)
	}
	if len(types.Models) < 70 || fields < 1000 {
		t.Errorf("only %d models with %d fields were read: the client's types have another form now", len(types.Models), fields)
	}
	if list := Compare(types); len(list) > 0 {
		t.Errorf("telnyx %s has %d things that the catalogue lacks:\n%s", types.Version, len(list), Table(list))
		return
	}
	t.Logf("telnyx %s: %d models with %d fields, and no difference", types.Version, len(types.Models), fields)
}

// TestReader reads declarations of our own, in all forms that the client's have.
func TestReader(t *testing.T) {
	dir := t.TempDir()
	resources := filepath.Join(dir, "node_modules", "telnyx", "resources")
	if err := os.MkdirAll(resources, 0o700); err != nil {
		t.Fatal(err)
	}
	compiler, err := filepath.Abs(filepath.Join(installed(t), "node_modules", "typescript"))
	if err == nil {
		err = os.Symlink(compiler, filepath.Join(dir, "node_modules", "typescript"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"../package.json": `{"name": "telnyx", "version": "99.0.0"}`,
		"webhooks.d.ts": `
export interface Dialled { data?: Dialled.Data }
export declare namespace Dialled {
  interface Data { id?: string; event_type?: 'call.dialled' | 'call.hangup'; payload?: Payload }
  interface Payload {
    tries?: number | string | null;
    legs?: Array<Leg>;
    extra?: { [key: string]: unknown };
    loose?: unknown;
    hangup_cause?: 'busy' | 'other';
  }
  interface Leg { to?: string; inner?: Leg; ok?: boolean }
}
export interface Flat { brandId: string }
export type UnwrapWebhookEvent = Dialled | Flat;
export type UnsafeUnwrapWebhookEvent = Dialled;
`,
	} {
		if err := os.WriteFile(filepath.Join(resources, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := Types{Version: "99.0.0", Models: []Model{
		{Model: "Dialled", EventTypes: []string{"call.dialled", "call.hangup"}, Fields: []Field{
			{"data", []string{"object"}}, {"data.id", []string{"string"}}, {"data.event_type", []string{"string"}}, {"data.payload", []string{"object"}},
			{"data.payload.tries", []string{"number", "string"}}, {"data.payload.legs", []string{"array"}},
			{"data.payload.legs[].to", []string{"string"}}, {"data.payload.legs[].inner", []string{"object"}}, {"data.payload.legs[].ok", []string{"boolean"}},
			{"data.payload.extra", []string{"object"}}, {"data.payload.loose", []string{"any"}}, {"data.payload.hangup_cause", []string{"string"}},
		}},
		{Model: "Flat", EventTypes: []string{}, Fields: []Field{{"brandId", []string{"string"}}}},
	}}
	if diff := cmp.Diff(want, read(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestCompare: each kind of difference is found, and what is no difference is not.
func TestCompare(t *testing.T) {
	text := []string{"string"}
	types := Types{Models: []Model{
		{"New", []string{"call.dialled"}, nil},
		{"Nameless", nil, []Field{{"id", text}}},
		{"CampaignStatusUpdate", nil, []Field{{"brandId", text}, {"brandColour", text}}},
		{"Hangup", []string{"call.hangup"}, []Field{
			{"data", []string{"object"}}, {"data.id", text}, {"data.colour", text}, {"meta.attempt", []string{"number"}},
			{"data.payload.hangup_cause", text}, {"data.payload.hangup_cause_detail", text},
			{"data.payload.from", []string{"object", "string"}}, {"data.payload.start_time", []string{"any"}},
			{"data.payload.call_quality_stats.inbound.mos", []string{"number"}}, {"data.payload.telnyx_error.code.more", text},
		}},
		{"Session", []string{"session.status_changed"}, []Field{{"data.session_id", text}, {"data.mood", text}, {"version", text}}},
	}}
	want := []Difference{
		{"call.dialled", "", "not known", "an event type of New"},
		{"Nameless", "", "no event type", "a model without an event type"},
		{"10dlc.campaign.update", "brandColour", "no field", "string"},
		{"call.hangup", "data.colour", "no field", "string"},
		{"call.hangup", "data.payload.hangup_cause_detail", "no field", "string"},
		{"call.hangup", "data.payload.from", "string", "object, string"},
		{"session.status_changed", "data.mood", "no field", "string"},
	}
	got := Compare(types)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	table := strings.Split(Table(got), "\n")
	if len(table) != len(want)+2 || !strings.HasPrefix(table[0], "EVENT  ") || strings.Index(table[4], "data.colour") != strings.Index(table[0], "FIELD") {
		t.Errorf("a table of %d lines:\n%s", len(table), Table(got))
	}
}
