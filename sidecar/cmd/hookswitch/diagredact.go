package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// diagAttrs are the attributes of log records that a report has: the sidecar's own
// words, and names. All others may have something of an event or of its sender.
var diagAttrs = []string{"code", "error", "plugin", "target", "state", "reason", "status", "file", "path", "restart_in", "left_out", "suppressed", "crashes", "count", "took", "variable"}

const leftOut = "(left out)"

// quotes are where the words of a plugin begin in an error of the sidecar: what it has
// printed, what it dislikes in its settings, its answer to a call.
var quotes = []string{lastOutput, "refuses its settings: ", " desc = "}

// redactError keeps the sidecar's words of an error, and leaves out those of a plugin.
func redactError(text string) string {
	for _, quote := range quotes {
		if before, _, found := strings.Cut(text, quote); found {
			text = before + quote + leftOut
		}
	}
	return oneLine(text)
}

// redactRecord returns a record of a log as a line. Of one that is about an event the
// error is left out: an app or a plugin may have written it.
func redactRecord(rec map[string]any) string {
	attrs, _ := rec["attrs"].(map[string]any)
	_, event := attrs["event_id"]
	_, delivery := attrs["delivery_id"]
	message, more, _ := strings.Cut(fmt.Sprint(rec["message"]), "\n")
	if more != "" {
		message += " " + leftOut
	}
	line := fmt.Sprintf("%v %v %s", rec["time"], rec["level"], oneLine(message))
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		value := fmt.Sprint(attrs[name])
		switch {
		case !slices.Contains(diagAttrs, name), name == "path" && event:
			continue
		case (name == "error" || name == "reason") && (event || delivery):
			value = leftOut
		case name == "error":
			value = redactError(value)
		}
		if strings.ContainsAny(value, " \"\n\r\t") {
			value = strconv.Quote(value)
		}
		line += " " + name + "=" + value
	}
	return line
}

// redactJSON returns an answer of the sidecar without what plugins have printed, and
// without the paths that strangers have asked for.
func redactJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			text, isText := value.(string)
			switch {
			case isText && strings.HasSuffix(name, "error"):
				v[name] = redactError(text)
			case name == "strays":
				if strays, ok := value.(map[string]any); ok && strays["path"] != "" {
					strays["path"] = leftOut
				}
			default:
				v[name] = redactJSON(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = redactJSON(v[i])
		}
	}
	return v
}

// redactLog returns the warnings and errors of a log, in either of its forms, at most
// the last 200. Lines that are not the sidecar's own are left out.
func redactLog(text []byte) (lines []string) {
	for line := range bytes.Lines(text) {
		rec := parseRecord(strings.TrimSpace(string(line)))
		level, _ := rec["level"].(string)
		message, hasMessage := rec["msg"].(string)
		if _, foreign := rec["stream"]; foreign || !hasMessage || level != "WARN" && level != "ERROR" {
			continue
		}
		lines = append(lines, redactRecord(map[string]any{"time": rec["time"], "level": level, "message": message, "attrs": rec}))
	}
	return lines[max(0, len(lines)-200):]
}

// parseRecord reads a line of a log: JSON, or name=value.
func parseRecord(line string) map[string]any {
	rec := make(map[string]any)
	if strings.HasPrefix(line, "{") {
		_ = json.Unmarshal([]byte(line), &rec) // another program's line is no record
		return rec
	}
	for line != "" {
		name, rest, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(name, " \"") {
			return rec
		}
		value := rest
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			rest = rest[len(quoted):]
		} else {
			value, _, _ = strings.Cut(rest, " ")
			rest = rest[len(value):]
		}
		rec[name] = value
		line = strings.TrimLeft(rest, " ")
	}
	return rec
}

// journal returns the warnings of the service that packages install, if this machine has
// it.
func journal(ctx context.Context) []string {
	text, err := printed(ctx, "journalctl", "--unit", "hookswitch.service", "--lines", "5000", "--output", "cat", "--no-pager", "--quiet")
	if err != nil {
		return []string{"not read: " + err.Error() + "; --log FILE takes a log from elsewhere"}
	}
	return redactLog([]byte(text))
}

// system describes the machine.
func system(ctx context.Context) []string {
	lines := []string{
		fmt.Sprintf("%s/%s, %d processors, user id %d", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), os.Getuid()),
		"time zone " + time.Now().Format("MST -0700"),
	}
	read := func(title, file, prefix string) {
		text, err := os.ReadFile(file)
		if err != nil {
			return // not on this system
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, prefix); ok {
				lines = append(lines, title+oneLine(strings.Trim(strings.TrimSpace(value), `"`)))
				return
			}
		}
	}
	read("", "/etc/os-release", "PRETTY_NAME=")
	read("Linux ", "/proc/sys/kernel/osrelease", "")
	read("memory ", "/proc/meminfo", "MemTotal:")
	read("memory limit of the group ", "/sys/fs/cgroup/memory.max", "")
	read("open files, soft and hard limit: ", "/proc/self/limits", "Max open files")
	if _, err := os.Stat("/.dockerenv"); err == nil {
		lines = append(lines, "in a container of Docker")
	}
	if variables(config.Environ())["KUBERNETES_SERVICE_HOST"] != "" {
		lines = append(lines, "in Kubernetes")
	}
	if text, err := printed(ctx, "systemctl", "--version"); err == nil {
		first, _, _ := strings.Cut(text, "\n")
		lines = append(lines, oneLine(first))
	}
	return lines
}

// printed returns what a program prints, or an error that says in short why it does
// not.
func printed(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, diagWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	return string(text), err
}
