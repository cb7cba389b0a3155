package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const unitFile = "examples/systemd/hookswitch.service"

// unit returns the assignments of a unit file, "Section.Key" to its values in
// their order.
func unit(t *testing.T, text string) map[string][]string {
	t.Helper()
	settings := make(map[string][]string)
	section := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			t.Fatalf("%s:%d: not an assignment: %s", unitFile, i+1, line)
		}
		// systemd has no comments behind a value: they would be part of it.
		if strings.Contains(value, " #") {
			t.Errorf("%s:%d: the comment is part of the value", unitFile, i+1)
		}
		settings[section+"."+key] = append(settings[section+"."+key], value)
	}
	return settings
}

func TestUnit(t *testing.T) {
	got := unit(t, string(read(t, unitFile)))
	for key, want := range map[string]string{
		"Service.Type":                     "notify-reload", // the last one counts
		"Service.ExecStart":                "/usr/bin/hookswitch run",
		"Service.KillMode":                 "mixed",
		"Service.DynamicUser":              "yes",
		"Service.StateDirectory":           "hookswitch",
		"Service.RuntimeDirectory":         "hookswitch",
		"Service.WatchdogSec":              "30",
		"Service.Restart":                  "always",
		"Service.RestartPreventExitStatus": "78",
		"Service.TimeoutStopSec":           "40",
		"Service.NoNewPrivileges":          "yes",
		"Service.ProtectSystem":            "strict",
		"Service.ProtectHome":              "yes",
		"Service.PrivateTmp":               "yes",
		"Install.WantedBy":                 "multi-user.target",
	} {
		if values := got[key]; len(values) == 0 || values[len(values)-1] != want {
			t.Errorf("%s is %q, want %q", key, values, want)
		}
	}
	if got["Service.ExecReload"] != nil {
		t.Error("ExecReload= would signal a second time: notify-reload sends SIGHUP itself")
	}
	if !slices.Contains(got["Service.Environment"], "HOOKSWITCH_ADMIN_SOCKET=%t/hookswitch/admin.sock") {
		t.Error("the admin socket is not where the commands look for it")
	}
}

// oldSystemd is the complaint of systemd before 253 about the type that it does not
// know; it stays with Type=notify then.
var oldSystemd = regexp.MustCompile(`(?m)^.*Failed to parse service type, ignoring: notify-reload\n`)

func TestUnitInTheEyesOfSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: the unit is checked by TestUnit only")
	}
	// It wants to see the program, which is not installed here.
	text := bytes.Replace(read(t, unitFile), []byte("ExecStart=/usr/bin/hookswitch"), []byte("ExecStart=/bin/true"), 1)
	file := filepath.Join(t.TempDir(), "hookswitch.service")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out := command(t, exec.Command("systemd-analyze", "verify", file))
	if out = oldSystemd.ReplaceAllString(out, ""); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	t.Log(command(t, exec.Command("systemd-analyze", "--version")))
}
