package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
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
		"Service.Type":                     "notify",
		"Service.ExecStart":                "/usr/bin/hookswitch run --env-file /usr/share/hookswitch/service.env --env-file /etc/hookswitch/hookswitch.env",
		"Service.ExecReload":               "/usr/bin/hookswitch --addr unix://%t/hookswitch/admin.sock config reload",
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
	if got["Service.EnvironmentFile"] != nil || got["Service.Environment"] != nil {
		t.Error("a reload cannot change the environment, which has precedence over the files")
	}
	if !strings.Contains(string(read(t, "examples/systemd/service.env")), "\nHOOKSWITCH_ADMIN_SOCKET=/run/hookswitch/admin.sock\n") {
		t.Error("the admin socket is not where the commands look for it")
	}
}

func TestUnitInTheEyesOfSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: the unit is checked by TestUnit only")
	}
	// It wants to see the program, which is not installed here.
	text := bytes.ReplaceAll(read(t, unitFile), []byte("=/usr/bin/hookswitch"), []byte("=/bin/true"))
	file := filepath.Join(t.TempDir(), "hookswitch.service")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := command(t, exec.Command("systemd-analyze", "verify", file)); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	t.Log(command(t, exec.Command("systemd-analyze", "--version")))
}
