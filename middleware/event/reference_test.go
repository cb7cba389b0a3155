package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// writeReference is set by "make reference": the files are written, not compared.
const writeReference = "HOOKSWITCH_WRITE_REFERENCE"

// TestReferenceIsCurrent: EVENTS.md and events.json say what the Go types do.
func TestReferenceIsCurrent(t *testing.T) {
	docs := readComments(t)
	page := readCatalogue(t, docs)
	file, err := marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"../EVENTS.md": markdown(page), "../events.json": file} {
		if os.Getenv(writeReference) != "" {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(name)
		if diff := cmp.Diff(string(got), string(want)); err != nil || diff != "" {
			t.Errorf("middleware/%s is not what the catalogue says: run \"make reference\" and commit it (-is +should be): %v\n%.4000s", name[3:], err, diff)
		}
	}
}

// catalogue is events.json. EVENTS.md describes it.
type catalogue struct {
	About     string      `json:"about"`
	Envelopes []envelope  `json:"envelopes"`
	Events    []eventRow  `json:"events"`
	Payloads  []payload   `json:"payloads"`
	Aliases   []alias     `json:"aliases"`
	NeverSent []neverSent `json:"never_sent"`
}

// envelope says where things are in a body, as paths of JSON.
type envelope struct {
	Name    string `json:"name"`
	Body    string `json:"body"`
	Type    string `json:"type"`    // of the event's name; "" if it is in no field
	Payload string `json:"payload"` // "" is the whole body
	About   string `json:"about"`
}

var envelopes = []envelope{
	{"v2", `{"data": {"event_type", "id", "occurred_at", "payload"}, "meta"}`, "data.event_type", "data.payload", "the usual one"},
	{"v2-no-meta", `{"data": {"event_type", "id", "occurred_at", "payload"}}`, "data.event_type", "data.payload", "the same without meta"},
	{"flat", `{"event_type", "payload"}`, "event_type", "payload", "if there is no payload, its fields stand beside event_type"},
	{"stored", `{"event_type", "urls", "format", "payload"}`, "event_type", "payload", ""},
	{"meeting", `{"event", "version", "data"}`, "event", "data", ""},
	{"resource", `{"data": {"record_type", …}}`, "data.record_type", "data", "has no event_type: the kind of resource serves as the name"},
	{"form", "application/x-www-form-urlencoded", "", "", "TeXML: no field has the name, it is given by hookswitch after the fields that are there"},
}

type eventRow struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	Product  string `json:"product"`
	Envelope string `json:"envelope"`
	Payload  string `json:"payload"`
	Docs     string `json:"docs"`
	Signed   string `json:"signed"`
	Answer   string `json:"answer"`
}

type payload struct {
	Name   string  `json:"name"`
	About  string  `json:"about"`
	Fields []field `json:"fields"`
}

type field struct {
	Path  string   `json:"path"`
	JSON  []string `json:"json"`
	Go    string   `json:"go"`
	About string   `json:"about"`
}

// alias is another name of an event type, which event.Canonical replaces.
type alias struct {
	Name  string `json:"name"`
	Event string `json:"event"`
}

type neverSent struct {
	Name string `json:"name"`
	Use  string `json:"use"`
}

// comments are those of the package's source.
type comments struct {
	events map[string]string            // by event type
	types  map[string]string            // by Go type
	fields map[string]map[string]string // by Go type and name in JSON
}

func readComments(t *testing.T) comments {
	t.Helper()
	c := comments{map[string]string{}, map[string]string{}, map[string]map[string]string{}}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range d.Specs {
					c.add(d, spec)
				}
			}
		}
	}
	return c
}

func (c comments) add(d *ast.GenDecl, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec: // Name = Define[P]("name") // comment
		if len(s.Values) != 1 {
			return
		}
		if call, ok := s.Values[0].(*ast.CallExpr); ok && len(call.Args) == 1 {
			if lit, ok := call.Args[0].(*ast.BasicLit); ok {
				if name, err := strconv.Unquote(lit.Value); err == nil {
					c.events[name] = sentence(s.Comment)
				}
			}
		}
	case *ast.TypeSpec:
		about := sentence(d.Doc)
		if first, _, ok := strings.Cut(about, ". "); ok {
			about = first
		}
		c.types[s.Name.Name] = strings.TrimSuffix(about, ".")
		structure, ok := s.Type.(*ast.StructType)
		if !ok {
			return
		}
		fields := map[string]string{}
		for _, f := range structure.Fields.List {
			if f.Tag == nil {
				continue
			}
			tag, _ := strconv.Unquote(f.Tag.Value)
			name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			if fields[name] = sentence(f.Comment); fields[name] == "" {
				fields[name] = sentence(f.Doc)
			}
		}
		c.fields[s.Name.Name] = fields
	}
}

// link is a reference of a comment to something of Go.
var link = regexp.MustCompile(`\[([A-Za-z][A-Za-z.]*)\]`)

func sentence(group *ast.CommentGroup) string {
	return link.ReplaceAllString(strings.Join(strings.Fields(group.Text()), " "), "$1")
}

// about returns the comment of a field of a type, or of a type within it.
func (c comments) about(t reflect.Type, path string) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return ""
	}
	name, rest, inner := strings.Cut(path, ".")
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "":
			if about := c.about(f.Type, path); about != "" {
				return about
			}
		case tag == strings.TrimSuffix(name, "[]") && inner:
			return c.about(f.Type, rest)
		case tag == name:
			return c.fields[t.Name()][tag]
		}
	}
	return ""
}

// TestEnvelopes holds what is said of envelopes against the samples.
func TestEnvelopes(t *testing.T) {
	said := make(map[string]envelope)
	for _, e := range envelopes {
		said[e.Name] = e
	}
	find := func(body []byte, path string) (value json.RawMessage) {
		value = body
		for name := range strings.SplitSeq(path, ".") {
			var object map[string]json.RawMessage
			_ = json.Unmarshal(value, &object) // what is not an object has nothing
			value = object[name]
		}
		return value
	}
	for _, info := range event.Catalog() {
		if info.Product == "" { // a test's
			continue
		}
		e, ok := said[info.Envelope]
		if !ok {
			t.Fatalf("%s: nothing is said of the envelope %q", info.Name, info.Envelope)
		}
		body, _ := event.Sample(info.Name)
		if e.Type == "" {
			continue
		}
		var name string
		if err := json.Unmarshal(find(body, e.Type), &name); err != nil || event.Canonical(name) != info.Name {
			t.Errorf("%s (%s): %s is %q, %v", info.Name, e.Name, e.Type, name, err)
		}
		if payload := find(body, e.Payload); payload == nil && e.Name != "flat" || payload != nil && payload[0] != '{' {
			t.Errorf("%s (%s): %s is %.40q", info.Name, e.Name, e.Payload, payload)
		}
	}
}

func readCatalogue(t *testing.T, docs comments) catalogue {
	page := catalogue{About: "Event types of Telnyx's webhooks, made from the Go types of hookswitch; EVENTS.md beside this file describes it.", Envelopes: envelopes}
	for _, info := range event.Catalog() {
		if info.Product == "" { // a test's
			continue
		}
		row := eventRow{info.Name, docs.events[info.Name], info.Product, info.Envelope, info.Payload.String(), info.Docs, info.Signature, info.Answer}
		page.Events = append(page.Events, row)
		if slices.ContainsFunc(page.Payloads, func(p payload) bool { return p.Name == row.Payload }) {
			continue
		}
		p := payload{Name: row.Payload, About: docs.types[info.Payload.Name()]}
		for _, f := range event.Fields(info.Name) {
			p.Fields = append(p.Fields, field{f.Path, f.JSON, f.GoName(), docs.about(info.Payload, f.Path)})
		}
		page.Payloads = append(page.Payloads, p)
	}
	slices.SortFunc(page.Payloads, func(a, b payload) int { return strings.Compare(a.Name, b.Name) })
	aliases := event.Aliases()
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		if to := aliases[name]; event.Canonical(name) != to || !slices.ContainsFunc(page.Events, func(e eventRow) bool { return e.Name == to }) {
			t.Errorf("%q is said to be %q, and read as %q", name, to, event.Canonical(name))
		}
		page.Aliases = append(page.Aliases, alias{name, aliases[name]})
	}
	for _, name := range event.Misnomers() {
		use, _ := event.Misnomer(name)
		page.NeverSent = append(page.NeverSent, neverSent{name, use})
	}
	if len(page.Events) < 150 || len(page.Payloads) < 50 {
		t.Fatalf("%d events, %d payloads", len(page.Events), len(page.Payloads))
	}
	return page
}

// marshal writes events, fields and names on a line each.
func marshal(page catalogue) ([]byte, error) {
	var b bytes.Buffer
	var failed error
	line := func(v any) []byte {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		failed = errors.Join(failed, e.Encode(v))
		return bytes.TrimSpace(text.Bytes())
	}
	list := func(n int, each func(i int) any) {
		for i := range n {
			fmt.Fprintf(&b, "\n%s%s", line(each(i)), strings.Repeat(",", min(1, n-1-i)))
		}
		b.WriteString("]")
	}
	fmt.Fprintf(&b, "{\"about\":%s,\n\"envelopes\":[", line(page.About))
	list(len(page.Envelopes), func(i int) any { return page.Envelopes[i] })
	b.WriteString(",\n\"events\":[")
	list(len(page.Events), func(i int) any { return page.Events[i] })
	b.WriteString(",\n\"payloads\":[")
	for i, p := range page.Payloads {
		fmt.Fprintf(&b, "\n{\"name\":%s,\"about\":%s,\"fields\":[", line(p.Name), line(p.About))
		list(len(p.Fields), func(i int) any { return p.Fields[i] })
		b.WriteString("}" + strings.Repeat(",", min(1, len(page.Payloads)-1-i)))
	}
	b.WriteString("],\n\"aliases\":[")
	list(len(page.Aliases), func(i int) any { return page.Aliases[i] })
	b.WriteString(",\n\"never_sent\":[")
	list(len(page.NeverSent), func(i int) any { return page.NeverSent[i] })
	b.WriteString("}\n")
	var again catalogue
	if failed = errors.Join(failed, json.Unmarshal(b.Bytes(), &again)); failed == nil && !reflect.DeepEqual(page, again) {
		failed = errors.New("events.json does not say what the catalogue does")
	}
	return b.Bytes(), failed
}

const introduction = `# Event types

<!-- Written by "make reference" from the Go types in middleware/event. -->

The %d event types of Telnyx's webhooks that hookswitch knows, and the fields of their payloads. Others are received, stored and delivered all the same; they have no Go type. "make drift" compares all of it with the newest of Telnyx's clients for Node, every week.

- **envelope** is the usual form of the body, see the table. Any event can also come in an older one: package webhook reads all of them.
- Each request is signed with Ed25519 unless the table says otherwise.
- **answer**: Telnyx reads the body of the response, so the event wants a ` + "`sync`" + ` route. Of all others only the status counts.
- **JSON** are the types of JSON that a field is accepted as, the usual one first. Any field may be null or missing.

"hookswitch events types NAME" shows the same in a terminal. [events.json](events.json) has it for programs in any language: ` + "`envelopes`" + ` (name, body, type and payload: the paths of the event's name and of its payload, about), ` + "`events`" + ` (name, about, product, envelope, payload, docs, signed, answer), ` + "`payloads`" + ` (name, about, fields with path, json, go, about), ` + "`aliases`" + ` (name, event) and ` + "`never_sent`" + ` (name, or a prefix with a star, and use: what comes instead, or nothing). In a path, dots join names and "[]" stands behind the name of a list. Members are only ever added.
`

func markdown(page catalogue) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, introduction, len(page.Events))
	b.WriteString("\n## Envelopes\n\n| envelope | body | name of the event | payload | |\n|---|---|---|---|---|\n")
	where := func(path, none string) string {
		if path == "" {
			return none
		}
		return "`" + path + "`"
	}
	for _, e := range page.Envelopes {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", e.Name, e.Body, where(e.Type, "in no field"), where(e.Payload, "the whole body"), e.About)
	}
	var products []string
	for _, e := range page.Events {
		if !slices.Contains(products, e.Product) {
			products = append(products, e.Product)
		}
	}
	slices.Sort(products)
	for _, product := range products {
		fmt.Fprintf(&b, "\n## %s\n\n| event type | what happened | payload | envelope | signed, answer |\n|---|---|---|---|---|\n", product)
		for _, e := range page.Events {
			if e.Product != product {
				continue
			}
			name := "`" + e.Name + "`"
			if e.Docs != "" {
				name = "[" + name + "](" + e.Docs + ")"
			}
			var notes []string
			if e.Signed != event.SignedEd25519 {
				notes = append(notes, e.Signed+": cannot be received")
			}
			if e.Answer != "" {
				notes = append(notes, "wants "+e.Answer)
			}
			payload := strings.TrimPrefix(e.Payload, "event.")
			fmt.Fprintf(&b, "| %s | %s | [%s](#event%s) | %s | %s |\n", name, cell(e.About), payload, strings.ToLower(payload), e.Envelope, strings.Join(notes, ", "))
		}
	}
	b.WriteString("\n## Other names\n\nHow API v1 spells these events, or would, and what older specifications call them. hookswitch takes one for the other.\n\n| name | event type |\n|---|---|\n")
	for _, a := range page.Aliases {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", a.Name, a.Event)
	}
	b.WriteString("\n## Never sent\n\nNames that guides have and Telnyx does not send; \"hookswitch lint\" finds handlers of them.\n\n| name | use |\n|---|---|\n")
	for _, n := range page.NeverSent {
		use := "nothing is known to come"
		if n.Use != "" {
			use = "`" + n.Use + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", n.Name, use)
	}
	b.WriteString("\n## Payloads\n")
	for _, p := range page.Payloads {
		fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n| field | JSON | Go type | meaning |\n|---|---|---|---|\n", p.Name, p.About)
		for _, f := range p.Fields {
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", f.Path, strings.Join(f.JSON, ", "), f.Go, cell(f.About))
		}
	}
	return b.Bytes()
}

// cell escapes what would end a cell of a table.
func cell(text string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text) }
