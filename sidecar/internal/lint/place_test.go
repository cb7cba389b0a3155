package lint_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/lint"
)

// places are of each kind, and beside each what looks alike and is something
// else. N is a name that Telnyx never sends.
var places = []struct{ file, found, quiet string }{
	// what a name begins with: a part of a right one is right
	{"a.py", `if t.startswith("N"): pass`, `if t.startswith("call.bridge") or t == "call.bridged": pass`},
	{"a.py", `if t.startswith(("call.", "N")): pass`, `x = "N".join(("call.", "N"))`},
	{"a.js", `if (t.startsWith('N')) {}`, `t.replaceAll('N', 'x')`},
	{"a.rb", `halt if t.start_with?("x.y", "N")`, `halt if t.tr("N", "x")`},
	{"a.php", `if (str_starts_with($t, 'N')) {}`, `$t = str_replace('N', '', $t);`},
	{"a.php", `if (Str::startsWith($t, ['x.y', 'N'])) {}`, `$t = Str::replace(['x.y', 'N'], '', $t);`},
	{"a.go", `if strings.HasPrefix(t, "N") {}`, `t = strings.TrimSpace("N")`},
	{"a.java", `if (t.startsWith("N")) {}`, `t = t.concat("N");`},
	// functions that compare, and those that search
	{"a.go", `if strings.EqualFold(t, "N") || strings.EqualFold("N", t) {}`, `t = strings.Repeat("N", 2)`},
	{"a.rb", `halt if t.eql? "N" or t.start_with? "N" or LATE.include? "N"`, `halt if t.valid? "N"`},
	{"a.rb", `halt if t.casecmp?("N")`, `halt if valid?("N")`},
	{"a.php", `if (strpos($t, 'N') === 0) {}`, `$n = strlen('N');`},
	{"a.py", `if "N" in t or "N" not in t: pass`, `for t in ("N", "x.y"): post(t)`},
	{"a.js", `if (new Set(['N']).has(t)) {}`, `for (const t of ['N']) post(t)`},
	{"a.rb", `halt if t.in?(["x.y", "N"])`, `halt if t.gsub(["x.y", "N"])`},
	{"a.go", `if slices.Contains([]string{other, "N"}, t) {}`, `t = slices.Concat([]string{other, "N"})`},
	// handlers in tables: not counts, and not texts for people
	{"a.py", `handlers["N"] = done`, `counts["N"] = done`},
	{"a.py", `handlers["N"].append(done)`, `handlers["N"] += 1`},
	{"a.py", `handlers.setdefault("N", done)`, `redis.setdefault("N", done)`},
	{"a.js", `handlers['N'] = () => done()`, `handlers['N'] = 0`},
	{"a.js", `const h = { ['N']: done }`, `const h = [['N'], done]`},
	{"a.js", `byType.set('N', done)`, `query.set('N', done)`},
	{"a.js", `const h = new Map([['message.sent', a], ['N', done]])`, `const h = [['x.y', a], ['N', done]]`},
	{"a.ts", `const h = new Map<string, F>([['call.hangup', a], ['N', done]])`, `const h = new Map<string, F>([['call.hangup', a], ['N', 'Delivered']])`},
	{"a.js", `const h = { 'N': done, a }`, `const h = { 'N': 'It is there', a }`},
	{"a.js", `const h = { 'N'() {}, async 'N'() {} }`, `const h = [f, ('N'), g]`},
	{"a.go", `h := []row{{"message.sent", sent}, {"N", done}}`, `h := []row{{"message.sent", 1}, {"N", 2}}`},
	{"a.php", `$this->handlers['N'] = 'done';`, `$row['N'] = 'done';`},
	{"a.php", `$listeners = ['N' => [Done::class]];`, `$texts = ['N' => 'Zugestellt'];`},
	{"a.php", `$this->handlers['N'][] = $done;`, `$done = $this->handlers['N'];`},
	{"a.rb", `@handlers["N"] << done`, `@handlers["N"].size`},
	{"a.go", `h.handlers["N"] = h.done`, `h.seen["N"] = h.done`},
	// handlers that are registered
	{"a.py", "@on('N')\ndef f(): pass", "@cached('N')\ndef f(): pass"},
	{"a.rb", "on \"N\" do |e|\nend\nsubscribe \"N\", Done.new", "puts \"N\"\nbus.on \"N\", Done.new"},
	{"a.py", "@handles('call.hangup', 'N')\ndef f(): pass", "handles(call, 'N')"},
	{"a.php", `Hook::listen('N', Done::class); $h->listen('N', $done);`, `Event::dispatch('N', $done); $bus->listen('N', $done);`},
	{"a.go", `h.AddHandler("N", f)`, `h.AddHeader("N", f)`},
	// types
	{"a.py", `T = Literal["message.sent", "N"]`, `T = Literal["x.y", "N"]`},
	{"a.py", `event_type: Literal["N"]`, `kind: Literal["N"]`},
	{"a.ts", `type T = 'message.sent' | 'N'`, `type T = 'x.y' | 'N'`},
	{"a.ts", `interface A { event_type: T | 'N' }`, `interface A { kind: T | 'N' }`},
	{"a.ts", `const T = z.enum(['message.sent', 'N'])`, `const T = z.enum(['x.y', 'N'])`},
	{"a.ts", `type T = Extract<E, 'message.sent' | 'N'>`, `type T = Extract<E, 'x.y' | 'N'>`},
	{"a.go", `const X = EventType("N")`, `var x = EventType("N")`},
	{"a.go", `const X EventType = "N"`, `publish(Event{Type: "N"})`},
	{"a.py", `LATE: Final[str] = "N"`, `late: Final[str] = "N"`},
	// patterns
	{"a.py", "match e:\n case {'event_type': 'N'}: pass\n case {'data': {'event_type': 'a.b' | 'N'}}: pass", "post({'event_type': 'N'})"},
	{"a.rb", "case t\nin \"N\" | \"x.y\" then 1\nin { type: \"N\" }\nend", "case t\nin x then log(\"N\", { of: \"N\" })\nend"},
	{"a.go", `switch t { case Sent, a.B, "N": }`, `f(Sent, a.B, "N")`},
	{"a.rb", "case t\nwhen *LATE, \"N\" then 1\nend", "case t\nwhen *SENT\n log x, \"N\"\nend"},
	// names of the program's own
	{"a.py", `if t == "N": post(state="N")`, `if t == "N": post(type="N")`},
	// lists
	{"a.py", `LATE = ("call.hangup",) + ("N",)`, `late(("call.hangup",) + ("N",))`},
	{"a.py", `TYPES |= {"N"}`, `LABELS |= {"N"}`},
	{"a.py", `if t in OTHERS - {"N"}: pass`, `t = others - f({"N"})`},
	{"a.php", `return ['events' => ['message.sent', 'N']];`, `return ['texts' => ['message.sent', 'N']];`},
	{"a.js", `const a = { events: ['message.sent', 'N'] }`, `const a = { events: ['x.y', 'N'] }`},
	{"a.rb", `TYPES = Set["message.sent", OTHER, "N"]`, `types = concat["message.sent", OTHER, "N"]`},
}

// TestPlaces: a wrong name is found where event types are compared, in each
// language where it is written so, and only there.
func TestPlaces(t *testing.T) {
	for _, place := range places {
		checkCount(t, place.file, place.found, strings.Count(place.found, "N")-strings.Count(place.found, `state="N"`))
		checkCount(t, place.file, place.quiet, 0)
	}
}

// TestLanguages: so it is with what is written alike in many languages, and
// with their comments.
func TestLanguages(t *testing.T) {
	for file, code := range map[string]string{
		"found.py":    "if event_type == 'N': pass\nif 'N' != t: pass\nif t in ('message.sent', 'N'): pass\nmatch t:\n    case 'N' | 'x.y': pass\nhandlers = {'N': done}\n@app.on_event('N')\ndef f(): pass",
		"found.js":    "if (t === `N`) {}\nswitch (t) { case 'N': case \"N\": }\nif (['N'].includes(t)) {}\nif (['N', 'a.b'].indexOf(t) >= 0) {}\ntelnyx.on('N', f)\nconst h = { 'N': f }",
		"logged.js":   "if (t === 'N') {}\nconsole.log('N') // not: what is logged is nobody's own name",
		"found.go":    "switch t { case \"a.b\", \"N\": }\nvar h = map[string]F{\"N\": f}\nconst EventLost = \"N\"\nconst (\n\tgone = 1\n\tlost = \"N\"\n)\nconst typed string = \"N\"\nmux.HandleFunc(\"N\", f)",
		"found.rb":    "when 'N' then 1\nx if t.eql?('N')\n%w[N a.b].include?(t)\n{ 'N' => 1 }[t]",
		"found.php":   "case 'N':\nmatch ($t) { 'a.b', 'N' => 1 };\nif (strcmp($t, 'N') === 0) {}\nif (in_array($t, array('N'))) {}\n#[AsEventListener('N')]",
		"Found.java":  "if (\"N\".equals(t)) {}\nif (t.equals(\"N\")) {}\ncase \"N\" -> done();\nSet.of(\"N\", \"a.b\").contains(t)\nstatic final String LOST = \"N\";",
		"Found.cs":    "if (t is \"a.b\" or \"N\") {}\nvar x = t switch { \"N\" => 1 };\n@\"N\".Equals(t)\ncase $\"N\": break;",
		"found.rs":    "match t { \"N\" | \"a.b\" => {} }\nif t == \"N\" && b == 'x' {}",
		"found.kt":    "when (t) { \"N\" -> 1 }\nif (t in listOf(\"N\")) {}",
		"found.ex":    "case t do\n  \"N\" -> 1\nend\nif t == \"N\", do: 1",
		"found.swift": "case \"N\": break\nif t == \"N\" {}",
		"found.lua":   "if t == 'N' then end -- not t == 'N'",
		"found.pl":    "if ($t eq 'N') {} # not eq 'N'",
		"found.md":    "`t == 'N'` is not\n\n```js\nif (t === 'N') {} // it's\n```\n\nif (t === 'N') not",
	} {
		checkCount(t, file, code, strings.Count(code, "N")-strings.Count(code, "not"))
	}
	for file, code := range map[string]string{
		"quiet.py":   "# t == 'N'\n\"\"\"t == 'N'\"\"\"\nprint('N')\nx = {'event_type': 'N'}\nassert t == 'N'\nlog('N' , 1)",
		"quiet.js":   "// t === 'N'\n/* case 'N': */\nf({ event_type: 'N' })\nexpect(t === 'N').toBe(true)\nsocket.on('N', f)\ntype T = 'N' | 'a.b'\nconst a = `it is N == ${t}`",
		"fields.py":  "if event_type == 'message.sent': pass\nif key in ('brand.title', 'brand.website'): pass\nrules = {'brand.title': 1}",
		"own.js":     "if (t === 'N') {}\nbus.emit('N', 1)",
		"own.py":     "if t == 'N': pass\ndef name(): return 'N'",
		"own.go":     "if t == \"N\" {}\nconst lost = 1\nvar gone = \"N\"",
		"own.php":    "if ($t === 'N') {}\n$x = ['type' => 'N'];",
		"quiet.html": "<!-- t == 'N' --><p>don't say 'N'</p>",
		"ignored.go": "if t == \"N\" { // hookswitch:ignore",
	} {
		checkCount(t, file, code, 0)
	}
}

// checkCount counts what is found in a file of a program for Telnyx.
func checkCount(t *testing.T, file, code string, want int) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module telnyx")
	write(t, filepath.Join(dir, file), strings.ReplaceAll(code, "N", "message.delivered")+"\ncall_control_id, event_type\n")
	report, err := lint.Run(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != want {
		t.Errorf("%s: %d findings, want %d: %v in\n%s", file, len(report.Findings), want, report.Findings, code)
	}
}
