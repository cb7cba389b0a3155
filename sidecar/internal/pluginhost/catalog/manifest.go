package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// ManifestSuffix ends the names of manifests.
const ManifestSuffix = ".plugin.json"

const (
	manifestMax = 1 << 20 // bytes of the file, settings included
	inFlightMax = 1024    // the most events that a host lets a plugin have at once

	// MaxPatterns is how many event types a plugin may ask for.
	MaxPatterns = 1000
)

// Manifest is the content of NAME.plugin.json, which declares a plugin that is not
// an executable. plugins/PROTOCOL.md describes it for authors.
type Manifest struct {
	Protocol    Kind            `json:"protocol"`
	Settings    json.RawMessage `json:"settings"`
	MaxInFlight int             `json:"max_in_flight"`

	// jsonl
	Command []string `json:"command"`
	Events  []string `json:"events"`

	// remote
	Address   string `json:"address"`
	TLS       bool   `json:"tls"`
	CAFile    string `json:"ca_file"`
	TokenFile string `json:"token_file"`
}

// keysOf are the keys of one protocol, besides those that all have.
var keysOf = map[Kind][]string{
	KindJSONL:  {"command", "events"},
	KindRemote: {"address", "tls", "ca_file", "token_file"},
}

// formOf is what the value of each key must be.
var formOf = map[string]string{
	"max_in_flight": fmt.Sprintf("a whole number from 1 to %d, without quotation marks", inFlightMax),
	"command":       `a list of the program and its arguments, such as ["python3", "optout.py"]`,
	"events":        `a list of event types, such as ["message.received"]`,
	"address":       `HOST:PORT or unix:/PATH, in quotation marks`,
	"tls":           "true or false, without quotation marks",
	"ca_file":       "the path of a file, in quotation marks",
	"token_file":    "the path of a file, in quotation marks",
}

// ReadManifest reads and checks a manifest. Errors name the file and the key. Paths
// relative to the manifest become absolute.
func ReadManifest(path string) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifestMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if len(text) > manifestMax {
		return nil, fmt.Errorf("manifest %s has more than %d bytes", path, manifestMax)
	}
	m := new(Manifest)
	if err := m.parse(text); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", path, err)
	}
	m.resolve(filepath.Dir(path))
	return m, nil
}

// parse reads key by key, so that every error can name the key.
func (m *Manifest) parse(text []byte) error {
	var keys map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&keys); err != nil {
		return fmt.Errorf("is not a JSON object: %s", jsonMistake(text, err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has text after the JSON object")
	}
	if raw, ok := keys["protocol"]; !ok || json.Unmarshal(raw, &m.Protocol) != nil || keysOf[m.Protocol] == nil {
		return errors.New(`key "protocol": must be "jsonl" or "remote"`)
	}
	fields := make(map[string]reflect.Value)
	for f, value := range reflect.ValueOf(m).Elem().Fields() {
		fields[f.Tag.Get("json")] = value
	}
	allowed := slices.Concat([]string{"protocol", "settings", "max_in_flight"}, keysOf[m.Protocol])
	names := make([]string, 0, len(keys))
	for key := range keys {
		names = append(names, key)
	}
	slices.Sort(names)
	for _, key := range names {
		if !slices.Contains(allowed, key) {
			return fmt.Errorf("key %q: is unknown to protocol %q, which has %s", key, m.Protocol, strings.Join(allowed, ", "))
		}
		if json.Unmarshal(keys[key], fields[key].Addr().Interface()) != nil { // its text is about Go
			return fmt.Errorf("key %q: must be %s", key, formOf[key])
		}
	}
	return m.check()
}

// jsonMistake says where a text is not a JSON object, and why.
func jsonMistake(text []byte, err error) string {
	if len(bytes.TrimSpace(text)) == 0 {
		return "it is empty"
	}
	if mistake, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:min(max(mistake.Offset-1, 0), int64(len(text)))]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n')
		return fmt.Sprintf("line %d, column %d: %s", line, column, mistake)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "it is of type " + kind.Value
	}
	return "it ends too early"
}

func (m *Manifest) check() error {
	if s := bytes.TrimSpace(m.Settings); len(s) > 0 && s[0] != '{' {
		return errors.New(`key "settings": must be an object`)
	}
	if m.MaxInFlight < 0 || m.MaxInFlight > inFlightMax {
		return fmt.Errorf(`key "max_in_flight": must be 1 to %d`, inFlightMax)
	}
	if m.Protocol == KindJSONL {
		return m.checkJSONL()
	}
	return m.checkRemote()
}

func (m *Manifest) checkJSONL() error {
	if len(m.Command) == 0 || m.Command[0] == "" {
		return errors.New(`key "command": must be a list of the program and its arguments, such as ["python3", "optout.py"]`)
	}
	if slices.ContainsFunc(m.Command, func(arg string) bool { return strings.ContainsRune(arg, 0) }) {
		return errors.New(`key "command": contains a zero byte`)
	}
	if len(m.Events) == 0 || len(m.Events) > MaxPatterns {
		return fmt.Errorf(`key "events": must list 1 to %d event types, such as "message.received", "message.*" or "*"`, MaxPatterns)
	}
	for _, pattern := range m.Events {
		if err := event.CheckPattern(pattern); err != nil {
			return fmt.Errorf(`key "events": %s`, strings.TrimPrefix(err.Error(), "event: "))
		}
	}
	return nil
}

func (m *Manifest) checkRemote() error {
	switch path, unix := strings.CutPrefix(m.Address, "unix:"); {
	case m.Address == "":
		return errors.New(`key "address": is missing: give HOST:PORT or unix:/PATH`)
	case unix:
		if !filepath.IsAbs(path) {
			return fmt.Errorf(`key "address": %q: the path of a socket must be absolute, as in unix:/run/crm.sock`, m.Address)
		}
		if m.TLS {
			return errors.New(`key "tls": is for HOST:PORT only; the modes of its directory decide who may use a socket`)
		}
	default:
		host, port, err := net.SplitHostPort(m.Address)
		if err != nil || host == "" || port == "" || port == "0" {
			return fmt.Errorf(`key "address": %q: give HOST:PORT or unix:/PATH`, m.Address)
		}
		if m.TokenFile != "" && !m.TLS && !listen.IsLoopback(host) {
			return fmt.Errorf(`key "token_file": the token would travel to %s in the clear: add "tls": true`, m.Address)
		}
	}
	if m.CAFile != "" && !m.TLS {
		return errors.New(`key "ca_file": has no meaning without "tls": true`)
	}
	return nil
}

// InClear reports whether events would travel over a network without TLS.
func (m *Manifest) InClear() bool {
	host, _, err := net.SplitHostPort(m.Address)
	return err == nil && !m.TLS && !strings.HasPrefix(m.Address, "unix:") && !listen.IsLoopback(host)
}

// resolve makes paths absolute, including every argument of a command that names a
// file in the directory. A program that is not there is looked up in PATH when it
// is started.
func (m *Manifest) resolve(dir string) {
	for _, path := range []*string{&m.CAFile, &m.TokenFile} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for i, arg := range m.Command {
		if !filepath.IsLocal(arg) {
			continue
		}
		path := filepath.Join(dir, arg)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			m.Command[i] = path
		}
	}
}

// files returns the files beside the manifest that make up the plugin, as far as
// the command names them.
func (m *Manifest) files() []string {
	var files []string
	for _, arg := range m.Command {
		if filepath.IsAbs(arg) {
			files = append(files, arg)
		}
	}
	return files
}
