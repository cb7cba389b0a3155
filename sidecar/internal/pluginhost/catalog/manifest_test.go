package catalog

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"optout.py", "lib/words.txt"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(text string) (*Manifest, error) {
		path := filepath.Join(dir, "crm.plugin.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return ReadManifest(path)
	}
	good := []struct {
		name, text string
		want       *Manifest
	}{
		{"a command, made absolute where it names files of the directory",
			`{"protocol":"jsonl","command":["python3","-u","optout.py","lib/words.txt","lib","../x","/etc"],"events":["message.*","*"],"max_in_flight":16,"settings":{"a":1}}`,
			&Manifest{Protocol: KindJSONL, Events: []string{"message.*", "*"}, MaxInFlight: 16, Settings: []byte(`{"a":1}`),
				Command: []string{"python3", "-u", filepath.Join(dir, "optout.py"), filepath.Join(dir, "lib/words.txt"), "lib", "../x", "/etc"}}},
		{"a server", `{"protocol":"remote","address":"crm.internal:7000","tls":true,"ca_file":"ca.pem","token_file":"/run/token"}`,
			&Manifest{Protocol: KindRemote, Address: "crm.internal:7000", TLS: true, CAFile: filepath.Join(dir, "ca.pem"), TokenFile: "/run/token"}},
		{"a socket, with a token that stays on the machine", `{"protocol":"remote","address":"unix:/run/crm.sock","token_file":"t"}`,
			&Manifest{Protocol: KindRemote, Address: "unix:/run/crm.sock", TokenFile: filepath.Join(dir, "t")}},
		{"a token on loopback", `{"protocol":"remote","address":"[::1]:1","token_file":"/t"}`,
			&Manifest{Protocol: KindRemote, Address: "[::1]:1", TokenFile: "/t"}},
	}
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			got, err := read(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	bad := []struct{ name, text, want string }{
		{"no JSON", `protocol: jsonl`, "is not a JSON object: line 1, column 1: "},
		{"a comma too many", "{\n  \"protocol\": \"jsonl\",\n}", "is not a JSON object: line 3, column 1: "},
		{"no end", `{"protocol":`, "is not a JSON object: it ends too early"},
		{"nothing", "\n", "is not a JSON object: it is empty"},
		{"no object", `[]`, "is not a JSON object: it is of type array"},
		{"more than an object", `{"protocol":"remote","address":"127.0.0.1:1"} x`, "after the JSON object"},
		{"no protocol", `{"command":["x"]}`, `key "protocol": must be`},
		{"another protocol", `{"protocol":"exec"}`, `key "protocol": must be`},
		{"a misspelt key", `{"protocol":"jsonl","comand":["x"],"events":["*"]}`, `key "comand": is unknown`},
		{"a key in other case", `{"protocol":"jsonl","Command":["x"],"events":["*"]}`, `key "Command": is unknown`},
		{"a key of the other protocol", `{"protocol":"remote","address":"127.0.0.1:1","events":["*"]}`, `key "events": is unknown to protocol "remote"`},
		{"a command that is no list", `{"protocol":"jsonl","command":"x","events":["*"]}`, `key "command": must be a list of the program and its arguments, such as ["python3", "optout.py"]`},
		{"an argument that is no text", `{"protocol":"jsonl","command":["x",1],"events":["*"]}`, `key "command": must be a list of the program`},
		{"events that are no list", `{"protocol":"jsonl","command":["x"],"events":"*"}`, `key "events": must be a list of event types, such as ["message.received"]`},
		{"a number in quotation marks", `{"protocol":"jsonl","command":["x"],"events":["*"],"max_in_flight":"8"}`, `key "max_in_flight": must be a whole number from 1 to 1024, without quotation marks`},
		{"half an event in flight", `{"protocol":"jsonl","command":["x"],"events":["*"],"max_in_flight":1.5}`, `key "max_in_flight": must be a whole number`},
		{"an address that is no text", `{"protocol":"remote","address":7000}`, `key "address": must be HOST:PORT or unix:/PATH, in quotation marks`},
		{"TLS in words", `{"protocol":"remote","address":"h:1","tls":"yes"}`, `key "tls": must be true or false, without quotation marks`},
		{"a CA that is no path", `{"protocol":"remote","address":"h:1","tls":true,"ca_file":1}`, `key "ca_file": must be the path of a file`},
		{"a token that is no path", `{"protocol":"remote","address":"h:1","tls":true,"token_file":[]}`, `key "token_file": must be the path of a file`},
		{"no command", `{"protocol":"jsonl","events":["*"]}`, `key "command": must be a list`},
		{"an empty command", `{"protocol":"jsonl","command":[""],"events":["*"]}`, `key "command": must be a list`},
		{"an impossible command", `{"protocol":"jsonl","command":["a\u0000"],"events":["*"]}`, `key "command": contains a zero byte`},
		{"no events", `{"protocol":"jsonl","command":["x"],"events":[]}`, `key "events": must list`},
		{"a bad pattern", `{"protocol":"jsonl","command":["x"],"events":["message.*.sent"]}`, `key "events": pattern`},
		{"too much in flight", `{"protocol":"jsonl","command":["x"],"events":["*"],"max_in_flight":5000}`, `key "max_in_flight": must be 1 to 1024`},
		{"settings that are no object", `{"protocol":"jsonl","command":["x"],"events":["*"],"settings":"x"}`, `key "settings": must be an object`},
		{"no address", `{"protocol":"remote"}`, `key "address": is missing`},
		{"no port", `{"protocol":"remote","address":"127.0.0.1"}`, `key "address": "127.0.0.1": give HOST:PORT`},
		{"no host", `{"protocol":"remote","address":":7000"}`, `give HOST:PORT`},
		{"a relative socket", `{"protocol":"remote","address":"unix:crm.sock"}`, `must be absolute`},
		{"TLS on a socket", `{"protocol":"remote","address":"unix:/s","tls":true}`, `key "tls": is for HOST:PORT only`},
		{"a CA without TLS", `{"protocol":"remote","address":"127.0.0.1:1","ca_file":"x"}`, `key "ca_file": has no meaning`},
		{"a token in the clear", `{"protocol":"remote","address":"10.0.0.1:1","token_file":"x"}`, `key "token_file": the token would travel to 10.0.0.1:1 in the clear`},
		{"too large", `{"protocol":"` + strings.Repeat(" ", manifestMax), "has more than"},
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), filepath.Join(dir, "crm.plugin.json")) {
				t.Errorf("got %v, want %q and the file", err, tt.want)
			}
			if err != nil && regexp.MustCompile(`unmarshal|Go (value|struct)|\bmap\[|\[\]string|: event: `).MatchString(err.Error()) {
				t.Errorf("the text is about Go: %v", err)
			}
		})
	}
}

func TestScanFindsManifests(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"optout.plugin.json": `{"protocol":"jsonl","command":["optout.py"],"events":["*"]}`,
		"optout.py":          "#!/usr/bin/env python3\n", // executable, but no plugin by itself
		"far.plugin.json":    `{"protocol":"remote","address":"127.0.0.1:1"}`,
		"bad.plugin.json":    `{"protocol":"jsonl"}`,
		".new.plugin.json":   `{`,
		"good":               "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	list, err := scan(dir, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range list.Plugins {
		line := f.Name + " " + string(f.Kind)
		if f.Err != nil {
			line += "refused"
		}
		got = append(got, line)
	}
	if want := []string{"bad refused", "far remote", "good exec", "optout jsonl"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
