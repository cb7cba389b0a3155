package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the description of all settings: "md" for people, "env" as
// a file to fill in, "jsonschema" for editors and checkers.
func Reference(format string) (string, error) {
	switch format {
	case "md":
		return referenceMarkdown(), nil
	case "env":
		return referenceEnv(), nil
	case "jsonschema":
		return referenceSchema(), nil
	}
	return "", fmt.Errorf("config: reference in format %q: use md, env or jsonschema", format)
}

const generated = "Made by \"hookswitch config docs\" from sidecar.Config: change that, then run \"make reference\"."

const markdownHead = `# Configuration

<!-- ` + generated + ` -->

The sidecar is configured by environment variables. ` + "`--env-file FILE`" + ` reads lines of ` + "`NAME=VALUE`" + ` for variables that the environment does not set; a variable that is set but empty counts as not set.

` + "`hookswitch config check`" + ` lists all mistakes at once, and then exits 78. ` + "`hookswitch config show`" + ` prints the settings in effect and where they come from.

- **secret**: never shown. ` + "`NAME_FILE`" + ` may be set instead, to the path of a file with the value; trailing newlines do not count. In URLs only user, password and query are secret.
- **reload**: a change in an ` + "`--env-file`" + ` or in the file of a secret is applied by SIGHUP, ` + "`hookswitch config reload`" + ` or ` + "`POST /api/v1/reload`" + `. A wrong configuration is refused as a whole, and the old one stays. Other changes need a restart. The environment of a running process cannot change.
- Durations are written ` + "`5s`, `2m`, `1h30m`" + `, sizes ` + "`500MB`, `5GiB`" + `, lists with commas. Routes are numbered, ` + "`HOOKSWITCH_ROUTE_0_MATCH`" + ` and so on; numbers may be left out.
- Without ` + "`HOOKSWITCH_STORE`" + ` the events are kept in the directory that systemd provides (` + "`StateDirectory=`" + `), or else in ` + "`.hookswitch`" + ` in the working directory.

| variable | default | meaning | |
|---|---|---|---|
`

// markdownTail is the text that does not fit the table.
const markdownTail = `
## PostgreSQL

- **Several hosts**: ` + "`postgres://USER:PASSWORD@/DB?host=one,two&target_session_attrs=read-write`" + `. A host that accepts connections but does not answer is given up for the next within seconds; the one that answered last is tried first. ` + "`connect_timeout`" + ` is 2 s for each, and at most 3 s when there are several.
- **PgBouncer and other poolers** may sit in between, in session or transaction mode; statement mode is refused. Each transaction brings its own settings, so those of a role, a database, or another client of the pool do not matter. In transaction mode, which is recognised at the start (` + "`postgres-pooler`" + ` in the log), statements are not prepared, so that PgBouncer before 1.21 does not answer 42P05 or 26000, and the sidecar looks for the work of others once a second, because LISTEN hears nothing there. An accept takes three round trips instead of one.
- **Settings of the server or a role** that are overridden: ` + "`default_transaction_isolation`, `default_transaction_read_only`, `synchronous_commit`" + ` where it is off or local, ` + "`client_encoding`, `search_path`" + ` (the schema that has the tables stays), and ` + "`idle_session_timeout`" + ` for the listening connection. ` + "`statement_timeout` and `lock_timeout`" + ` apply, and should be 10 s or more.
- **Encoding**: create the database with ` + "`ENCODING 'UTF8'`" + `. Another one works, but text beyond ASCII is kept in base64 there, and a search does not find it.
- **Upgrades**: a newer sidecar changes the tables when it starts, while older ones go on; restart those soon, since some of their look-ups are slow from then on. It waits for locks for 2 s at most, and then lets the others pass and tries again for a minute. Reading through the events once may take a second or two for each gigabyte, during which nothing is accepted. An older version refuses to start on the newer tables.
- **Privileges**: ` + "`CREATE, USAGE`" + ` on the schema for the start that creates or upgrades the tables; afterwards ` + "`USAGE`" + `, and ` + "`SELECT, INSERT, UPDATE, DELETE`" + ` on the tables.
- If the database cannot be reached at the start, the sidecar exits, and a service manager restarts it. Later it waits, and recovers by itself.

## FIPS 140-3

With ` + "`GODEBUG=fips140=only`" + ` the following were tested: webhooks with Ed25519 signatures, plugins, TLS with ECDSA certificates, and PostgreSQL with SCRAM-SHA-256 or a client certificate. Not possible are PostgreSQL with MD5 passwords, which are refused before they are used, and RSA keys under 2048 bits, which ` + "`config check`" + ` finds.
`

func referenceMarkdown() string {
	var b strings.Builder
	b.WriteString(markdownHead)
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + cell(s) + "`"
	}
	for _, s := range reference() {
		var marks []string
		if s.isSecret() {
			marks = append(marks, "secret")
		}
		if s.tag("reload") != "" {
			marks = append(marks, "reload")
		}
		meaning := cell(s.tag("desc"))
		if example := s.tag("example"); example != "" {
			meaning += "; such as " + code(example)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(s.variable), code(s.tag("envDefault")), meaning, strings.Join(marks, ", "))
	}
	b.WriteString(markdownTail)
	return b.String()
}

func referenceEnv() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of hookswitch, for --env-file. %s\n# Commented lines show the default, or an example.\n", generated)
	for _, s := range reference() {
		fmt.Fprintf(&b, "\n# %s", s.tag("desc"))
		if s.isSecret() {
			fmt.Fprintf(&b, " (or %s)", strings.Replace(s.fileVariable(), "<n>", "0", 1))
		}
		comment, value := "#", s.tag("envDefault")
		if s.variable == "TELNYX_PUBLIC_KEY" {
			comment = "" // the one that must be filled in
		} else if example := s.tag("example"); value == "" && example != "" {
			value = example
			fmt.Fprint(&b, "; for example")
		}
		fmt.Fprintf(&b, "\n%s%s=%s\n", comment, strings.Replace(s.variable, "<n>", "0", 1), value)
	}
	return b.String()
}

// property describes the values of one variable in JSON Schema. All of them
// are texts, as variables are.
type property struct {
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Default     string   `json:"default,omitempty"`
	Examples    []string `json:"examples,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	WriteOnly   bool     `json:"writeOnly,omitempty"` // secret
	Reload      bool     `json:"x-reload,omitempty"`
}

func referenceSchema() string {
	plain, patterns := make(map[string]property), make(map[string]property)
	add := func(variable string, p property) {
		if strings.Contains(variable, "<n>") {
			patterns["^"+strings.Replace(variable, "<n>", "(0|[1-9][0-9]*)", 1)+"$"] = p
			return
		}
		plain[variable] = p
	}
	for _, s := range reference() {
		p := property{Type: "string", Description: s.tag("desc"), Default: s.tag("envDefault"),
			WriteOnly: s.isSecret(), Reload: s.tag("reload") != ""}
		if e := s.tag("example"); e != "" {
			p.Examples = []string{e}
		}
		p.Pattern, p.Enum = form(s.field.Type)
		add(s.variable, p)
		if s.isSecret() {
			add(s.fileVariable(), property{Type: "string", Reload: p.Reload,
				Description: "path of a file with the value of " + s.variable})
		}
	}
	text, err := json.MarshalIndent(struct {
		Schema     string              `json:"$schema"`
		Comment    string              `json:"$comment"`
		Title      string              `json:"title"`
		Type       string              `json:"type"`
		Properties map[string]property `json:"properties"`
		Patterns   map[string]property `json:"patternProperties"`
	}{"https://json-schema.org/draft/2020-12/schema", generated, "environment variables of hookswitch", "object", plain, patterns}, "", "  ")
	if err != nil {
		panic(err) // texts only
	}
	text = []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text)))
	return string(text) + "\n"
}

// form returns what values of a type look like, as a pattern or a list.
func form(t reflect.Type) (pattern string, enum []string) {
	const duration = `([0-9]+(\.[0-9]*)?(h|m|s|ms|us|µs|ns))+|0`
	switch t {
	case reflect.TypeFor[Duration]():
		return "^(" + duration + ")?$", nil
	case reflect.TypeFor[Schedule]():
		return "^(none|(" + duration + ")( *, *(" + duration + "))*)?$", nil
	case reflect.TypeFor[ByteSize]():
		return `^( *[0-9]+(\.[0-9]*)? *([KkMmGgTt]?([Ii]?[Bb])?) *)?$`, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return "", []string{"", "true", "false", "yes", "no", "on", "off", "1", "0"}
	case reflect.Int, reflect.Int64:
		if !isText(t) {
			return "^-?[0-9]*$", nil
		}
	}
	return "", nil
}
