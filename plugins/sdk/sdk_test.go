package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

func testPlugin() Plugin {
	var mux webhook.Mux
	nothing := func(context.Context, *webhook.Event) error { return nil }
	mux.Handle("message.*", nothing)
	mux.Handle("call.hangup", nothing)
	return Plugin{Name: "crm", Version: "1.2.0", Mux: &mux}
}

func TestRunByHand(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout []string // parts; nothing at all if nil
		stderr []string
	}{
		{"without arguments it explains itself", nil, 0,
			[]string{"crm 1.2.0 is a hookswitch plugin", "call.hangup, message.*", "HOOKSWITCH_PLUGIN_DIR"}, nil},
		{"--help", []string{"--help"}, 0, []string{"describe", "version"}, nil},
		{"version", []string{"version"}, 0, []string{"1.2.0\n"}, nil},
		{"--version", []string{"--version"}, 0, []string{"1.2.0\n"}, nil},
		{"describe", []string{"describe"}, 0, []string{`"patterns": [`, `"message.*"`}, nil},
		{"unknown", []string{"serve"}, 2, nil, []string{`unknown arguments ["serve"]`, "HOOKSWITCH_PLUGIN_DIR"}},
		{"too many", []string{"describe", "x"}, 2, nil, []string{"unknown arguments"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := testPlugin().withDefaults().runByHand(tt.args, strings.NewReader(""), &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, s := range []struct {
				got  string
				want []string
			}{{stdout.String(), tt.stdout}, {stderr.String(), tt.stderr}} {
				if len(s.want) == 0 && s.got != "" {
					t.Errorf("got %q, want nothing", s.got)
				}
				for _, part := range s.want {
					if !strings.Contains(s.got, part) {
						t.Errorf("got %q, want %q in it", s.got, part)
					}
				}
			}
		})
	}
}

func TestDescribeIsJSON(t *testing.T) {
	var stdout bytes.Buffer
	testPlugin().withDefaults().runByHand([]string{"describe"}, nil, &stdout, os.Stderr)
	var got description
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "crm" || got.Version != "1.2.0" || got.MaxInFlight != 64 || got.Protocol != 1 ||
		!slices.Equal(got.Patterns, []string{"call.hangup", "message.*"}) {
		t.Errorf("got %+v", got)
	}
}

func TestDefaults(t *testing.T) {
	args := os.Args
	defer func() { os.Args = args }()
	for arg, want := range map[string]string{
		"/plugins/hookswitch-plugin-crm": "crm",
		"crm":                            "crm",
		"hookswitch-plugin-crm.exe":      "crm",
	} {
		os.Args = []string{arg}
		if got := (Plugin{}).withDefaults(); got.Name != want || got.Version == "" {
			t.Errorf("%s: got %+v", arg, got)
		}
	}
}

func TestServePanicsOnBadWiring(t *testing.T) {
	negative := testPlugin()
	negative.MaxInFlight = -1
	for name, p := range map[string]Plugin{
		"no Mux":                 {},
		"a Mux without handlers": {Mux: new(webhook.Mux)},
		"a negative number":      negative,
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "sdk: Serve with") {
					t.Errorf("got %v", v)
				}
			}()
			p.Serve()
		})
	}
}

func TestHostLoggerHasTheFormOfHclog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func(was *os.File) { stderr = was }(stderr)
	stderr = f
	hostLogger().With("event_id", "e").Warn("careful", slog.Group("g", "level", 1))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got["@level"] != "warn" || got["@message"] != "careful" || got["@timestamp"] == nil || got["event_id"] != "e" {
		t.Errorf("got %s", text)
	}
	if g, ok := got["g"].(map[string]any); !ok || g["level"] != 1.0 {
		t.Errorf("a group's own key was renamed: %s", text)
	}
}

func TestLogOutsideOfAHost(t *testing.T) {
	if Log(t.Context()) != slog.Default() {
		t.Error("the logger is not slog's default")
	}
}
