package pluginhost

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
	hiddenKeys  = []string{"@timestamp", "time", "ts", "timestamp", "@module", "@caller"}
	// hostKeys are what the host says of the plugin; a plugin must not say it
	// of another.
	hostKeys = []string{"plugin", "pid", "stream", "truncated"}
)

// parseLine reads a line as the JSON that loggers write, and anything else as
// text of level info. Nothing in the line is trusted to have the right type.
func parseLine(line []byte) record {
	text := record{level: slog.LevelInfo, message: strings.ToValidUTF8(string(line), "\uFFFD")}
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		text.level = prefixLevel(text.message)
		return text
	}
	var fields map[string]any
	if json.Unmarshal(trimmed, &fields) != nil {
		return text
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
	if !found {
		// JSON, but nobody's log record: better whole than in pieces.
		text.level, text.json = rec.level, true
		return text
	}
	keys := make([]string, 0, len(fields))
	for key := range fields {
		if !slices.Contains(hiddenKeys, key) && !slices.Contains(hostKeys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), attrsMax)] {
		rec.attrs = append(rec.attrs, slog.Any(key, fields[key]))
	}
	return rec
}

// levelOf understands names, and the numbers of pino and bunyan.
func levelOf(v any) (slog.Level, bool) {
	switch v := v.(type) {
	case string:
		switch strings.ToLower(v) {
		case "trace", "debug":
			return slog.LevelDebug, true
		case "info", "notice":
			return slog.LevelInfo, true
		case "warn", "warning":
			return slog.LevelWarn, true
		case "error", "err", "critical", "fatal", "panic", "dpanic":
			return slog.LevelError, true
		}
	case float64:
		switch {
		case v >= 50:
			return slog.LevelError, true
		case v >= 40:
			return slog.LevelWarn, true
		case v >= 30:
			return slog.LevelInfo, true
		case v >= 10:
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
