package process

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
)

// record is a line of a plugin's log, understood as far as it can be.
type record struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
	json    bool
}

const attrsMax = 32 // attributes kept of one line

// Keys by which the usual loggers name the parts of a record, the ones of
// hclog, which the SDK writes, first.
var (
	levelKeys   = []string{"@level", "level", "severity", "lvl"}
	messageKeys = []string{"@message", "msg", "message"}
	// hiddenKeys are the fields that the host knows, or knows better: when, from whom, and
	// from where. A plugin must not say it of another.
	hiddenKeys = []string{"@timestamp", "time", "ts", "timestamp", "@module", "@caller", "plugin", "pid", "stream", "truncated"}
	// hostKeys are places of the sidecar in its own lines, by which people
	// search and alert. What a plugin says there is shown under another name.
	hostKeys = []string{"code", "level", "msg", "target", "source"}
)

// foreignPrefix makes the name of a field of one that is in hostKeys.
const foreignPrefix = "plugin_"

// parseLine reads a line as the JSON that loggers write, and anything else as
// text at level info. Nothing in the line is trusted to have the right type.
func parseLine(line []byte) record {
	text := record{level: slog.LevelInfo, message: strings.ToValidUTF8(string(line), "\uFFFD")}
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		text.level = prefixLevel(text.message)
		return text
	}
	split, whole := splitFields(trimmed)
	fields := make(map[string]any, len(split))
	for _, f := range split {
		fields[f.key] = f.value() // the last of two counts, as for most readers of JSON
	}
	rec := record{level: slog.LevelInfo, json: true}
	found := false
	for _, key := range messageKeys {
		if s, ok := fields[key].(string); ok && !found {
			rec.message, found = s, true
			delete(fields, key)
		}
	}
	for _, key := range levelKeys {
		if level, ok := levelOf(fields[key]); ok {
			rec.level = level
			delete(fields, key)
			break
		}
	}
	if !found || !whole {
		// JSON, but nobody's log record, or a part of one: better whole than
		// in pieces.
		text.level, text.json = rec.level, whole
		return text
	}
	rec.attrs = attrsOf(fields)
	return rec
}

// attrsOf returns the fields of a plugin's record, sorted by name.
func attrsOf(fields map[string]any) (attrs []slog.Attr) {
	in := func(keys []string, key string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
	}
	keys := make([]string, 0, len(fields))
	for key := range fields {
		if !in(hiddenKeys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), attrsMax)] {
		name := key
		if in(hostKeys, key) {
			for name = foreignPrefix + key; slices.Contains(keys, name); name = foreignPrefix + name {
			}
		}
		attrs = append(attrs, slog.Any(name, fields[key]))
	}
	return attrs
}

// levelOf understands names, and the numbers of pino and bunyan.
func levelOf(v any) (slog.Level, bool) {
	switch v := v.(type) {
	case string:
		switch strings.ToLower(v) {
		case "trace", "debug", "verbose":
			return slog.LevelDebug, true
		case "info", "information", "notice":
			return slog.LevelInfo, true
		case "warn", "warning":
			return slog.LevelWarn, true
		case "error", "err", "critical", "crit", "alert", "emergency", "emerg", "fatal", "panic", "dpanic":
			return slog.LevelError, true
		}
	case json.Number:
		switch n, _ := v.Float64(); {
		case n >= 50:
			return slog.LevelError, true
		case n >= 40:
			return slog.LevelWarn, true
		case n >= 30:
			return slog.LevelInfo, true
		case n >= 10:
			return slog.LevelDebug, true
		}
	}
	return 0, false
}

func prefixLevel(line string) slog.Level {
	name, _, found := strings.Cut(strings.TrimPrefix(line, "["), "]")
	if found && strings.HasPrefix(line, "[") {
		if level, ok := levelOf(name); ok {
			return level
		}
	}
	return slog.LevelInfo
}
