package appcheck

import (
	"context"
	"errors"
	"strings"
)

// The findings, in the order in which they are shown.
const (
	codeRedirect     = "redirect"
	codePath         = "path"
	codeNoAnswer     = "no-answer"
	codeClosed       = "closed"
	codeHost         = "host"
	codeCSRF         = "csrf"
	codeHeaders      = "headers-object"
	codeKeyFormat    = "key-format"
	codeRefused      = "refused"
	codeFails        = "fails"
	codeReserialised = "parser"
	codeChunks       = "chunks"
	codeLimit        = "limit"
	codeCharset      = "charset"
	codeForm         = "form"
	codeUnknownType  = "unknown-type"
	codeAgain        = "duplicate"
	codeUnverified   = "unverified"
	codeForgery      = "forgery"
	codeAge          = "age"
	codeBadly        = "refused-as-failure"
	codeDone         = "done-on-failure"
	codeCrash        = "crash"
	codeSlow         = "slow"
)

var codes = []string{
	codeRedirect, codePath, codeNoAnswer, codeClosed, codeHost, codeCSRF, codeHeaders, codeKeyFormat, codeRefused, codeFails,
	codeReserialised, codeChunks, codeLimit, codeCharset, codeForm, codeUnknownType, codeAgain, codeUnverified, codeForgery,
	codeAge, codeBadly, codeDone, codeCrash, codeSlow,
}

// wording is what is said of a finding. In a fix $ORIGIN, $LOCATION and $KEY stand
// for what they name.
type wording struct {
	warning bool
	problem string
	why     string
	fix     string
	by      map[string]string // the fix by framework, where its line is known
}

const rawExpress = "app.post('/webhooks', express.raw({ type: () => true, limit: '2mb' }), …) before any app.use(express.json())"

// anyBody has Fastify hand over every body as text.
const anyBody = "scope.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => done(null, body)), after scope.removeAllContentTypeParsers()"

const nestRaw = "NestFactory.create(AppModule, { rawBody: true }), and request.rawBody"

var words = map[string]wording{
	codeRedirect: {problem: "the app redirects", why: "a redirect is a failure to Telnyx and to the sidecar: neither follows it",
		fix: "send webhooks to $LOCATION, or take the redirect away",
		by:  map[string]string{"Django": "end path(…) as the URL ends, with or without a slash; or send webhooks to $LOCATION"}},
	codePath: {problem: "the app takes no webhooks at this URL", why: "it has no POST handler at this path",
		fix: "name the URL of the handler, such as $ORIGIN/webhooks"},
	codeNoAnswer: {problem: "the app does not answer", why: "the handler waits for something, or never ends the response, for example after an exception in an async function",
		fix: "end every way through the handler with a response: try { … } catch (err) { next(err) } in Express 4"},
	codeClosed: {problem: "the app closes the connection without an answer", why: "the process has ended, or the server refuses the request before it reads it",
		fix: "see the app's own log"},
	codeHost: {problem: "the app refuses the host name", why: "it only answers to the names it has been told",
		fix: "allow the host of $ORIGIN", by: map[string]string{"Django": "ALLOWED_HOSTS = [..., \"127.0.0.1\"], with the host of $ORIGIN"}},
	codeCSRF: {problem: "protection against forged forms refuses the event", why: "it wants a token or an Origin, which a webhook does not have; the signature protects better",
		fix: "exempt the path of the webhooks",
		by: map[string]string{
			"Django":             "@csrf_exempt above the view",
			"SvelteKit or Astro": "HOOKSWITCH_FORWARD_HEADERS=Origin:$ORIGIN for the sidecar, so that the protection stays on",
			"Rails":              "skip_before_action :verify_authenticity_token",
			"Laravel":            "$middleware->validateCsrfTokens(except: ['webhooks']) in bootstrap/app.php",
		}},
	codeHeaders: {problem: "the verifier finds no signature, though it was sent", why: "the SDK was given Fetch Headers, in which it finds nothing, or none at all",
		fix: "await verifier.verify(body, Object.fromEntries(request.headers))"},
	codeKeyFormat: {problem: "the app cannot read its key", why: "TELNYX_PUBLIC_KEY is not the base64 of 32 bytes; the SDK refuses even a line feed at its end",
		fix: "TELNYX_PUBLIC_KEY=$KEY, and trim() what was read from a file"},
	codeRefused: {problem: "the app refuses every genuine event", why: "it has another key; or its verifier gets no headers (Fetch Headers), or not the bytes that arrived",
		fix: "start the app with TELNYX_PUBLIC_KEY=$KEY; if it has that, give the verifier the text of the body, and Object.fromEntries(request.headers)"},
	codeFails: {problem: "the app fails on a genuine event", why: "the handler has thrown, before or after the signature was checked",
		fix: "see the app's own log: \"Missing required header\" there means Object.fromEntries(request.headers); another type of event is sent with --event"},
	codeReserialised: {problem: "the app verifies what a parser made of the body", why: "JSON that was parsed and written again has other bytes, and the signature is over bytes",
		fix: "give the verifier the body as it arrived, before anything parses it",
		by: map[string]string{
			"Express": rawExpress, "NestJS": nestRaw, "Fastify": anyBody,
			"Next.js": "const body = await request.text(), not request.json()",
			"FastAPI": "body = await request.body(), and no parameter for a model",
			"Flask":   "body = request.get_data()", "Django": "body = request.body",
			"PHP": "$body = file_get_contents('php://input');", "Sinatra": "body = request.body.read",
		}},
	codeChunks: {problem: "the app does not take a body of 20 kB", why: "only the first part of a long body is read, or there is a limit below 20 kB",
		fix: "read the body to its end, and allow 1 MiB"},
	codeLimit: {problem: "the app refuses large events", why: "its limit is below 150 kB (that of many parsers is 100 kB); the sidecar takes up to 1 MiB",
		fix: "raise the limit of the body parser to 2 MiB",
		by: map[string]string{
			"Express": rawExpress, "NestJS": "app.useBodyParser('json', { limit: '2mb' }), and the same for 'urlencoded'",
			"Fastify": "Fastify({ bodyLimit: 2 << 20 })", "Django": "DATA_UPLOAD_MAX_MEMORY_SIZE = 2 << 20",
			"Flask": "app.config[\"MAX_CONTENT_LENGTH\"] = 2 << 20", "PHP": "post_max_size = 2M in php.ini",
		}},
	codeCharset: {problem: "the app refuses text that is not ASCII", why: "the body was decoded with another character set than UTF-8, so that other bytes are verified",
		fix: "verify the bytes, or decode them as UTF-8"},
	codeForm: {problem: "the app refuses the forms of TeXML", why: "TeXML sends application/x-www-form-urlencoded: the app has no raw body for that, or reads it as JSON",
		fix: "verify the bytes whatever the content type, and look at it before JSON is parsed",
		by: map[string]string{
			"Express": rawExpress, "Fastify": anyBody, "NestJS": "app.useBodyParser('urlencoded', { limit: '2mb', extended: true }), with rawBody: true",
			"FastAPI": "body = await request.body(), and look at the content type before json.loads",
		}},
	codeUnknownType: {problem: "the app refuses an event of a type that it does not know", why: "Telnyx adds types, and the sidecar retries what is refused until it is a dead letter",
		fix: "answer 200 to what is not for the app"},
	codeAgain: {problem: "the app refuses an event that it has had", why: "an event may come again, after a crash or a replay: refused, it is retried until it is a dead letter",
		fix: "answer 200 to an event that is already handled"},
	codeUnverified: {problem: "the app does not verify signatures", why: "everybody who can reach it can send it events",
		fix: "verify before anything else: examples/recipes has the lines for each framework"},
	codeForgery: {problem: "the app accepts what was not signed for it", why: "one way around the signature is open",
		fix: "answer 401 unless both headers are there and the signature is over timestamp|body"},
	codeAge: {problem: "the app accepts a signature of any age", why: "whoever has seen a request can send it again, for ever",
		fix: "refuse a telnyx-timestamp that is more than 300 s from now; the sidecar signs each attempt anew"},
	codeBadly: {warning: true, problem: "the app refuses a bad signature as if it had failed", why: "a 5xx is sent again, and looks like a fault in the log",
		fix: "catch what the verifier throws, and answer 401"},
	codeDone: {problem: "the app says 200 though it has failed", why: "the event counts as handled, and is lost",
		fix: "answer 500 when the handler throws",
		by:  map[string]string{"PHP": "http_response_code(500); as the first line, and 200 as the last: with display_errors on, an exception is answered 200"}},
	codeCrash: {problem: "a request ends the app", why: "an exception is caught nowhere, and the process ends or its worker does",
		fix: "answer 500 when the handler throws",
		by:  map[string]string{"Express": "try { … } catch (err) { next(err) } in the async handler: Express 4 does not catch its exceptions"}},
	codeSlow: {problem: "the app is slow", why: "the answer took longer than $BUDGET. Telnyx would have given up; the sidecar waits, and each attempt holds up others",
		fix: "store the event and answer; do the work after that"},
}

// rewrittenBy says what writes JSON in a form.
var rewrittenBy = map[string]string{
	asCompact: "it accepts the event as JSON.stringify and its like write it",
	asPHP:     "it accepts the event as PHP's json_encode writes it",
	asPython:  "it accepts the event as Python's json.dumps writes it",
}

// frameworkOf returns the framework that answers show, or "".
func frameworkOf(answers map[string]*answer) string {
	for _, known := range frameworks { // the most certain sign first
		for _, a := range answers {
			if a != nil && a.err == nil && known.shows(a) {
				return known.name
			}
		}
	}
	return ""
}

var frameworks = []struct {
	name  string
	shows func(*answer) bool
}{
	{"SvelteKit or Astro", func(a *answer) bool { return a.says("form submissions are forbidden") }},
	{"Next.js", poweredBy("next.js")},
	{"Fastify", func(a *answer) bool { return a.says(`"code":"fst_err`) }},
	{"NestJS", func(a *answer) bool {
		return poweredBy("express")(a) && a.says(`"statuscode":`)
	}},
	{"Express", poweredBy("express")},
	{"Laravel", func(a *answer) bool {
		return a.status == 419 || strings.Contains(a.header.Get("Set-Cookie"), "laravel")
	}},
	{"PHP", poweredBy("php")},
	{"FastAPI", func(a *answer) bool { return a.says(`{"detail":`) }},
	{"Django", func(a *answer) bool { return a.says("csrf verification failed", "django", "csrfmiddleware") }},
	{"Flask", server("werkzeug")},
	{"Rails", func(a *answer) bool { return a.says("actioncontroller", "action controller") }},
	{"Sinatra", func(a *answer) bool { return a.says("sinatra") || server("webrick")(a) }},
}

func poweredBy(name string) func(*answer) bool {
	return func(a *answer) bool { return strings.Contains(strings.ToLower(a.header.Get("X-Powered-By")), name) }
}

func server(name string) func(*answer) bool {
	return func(a *answer) bool { return strings.Contains(strings.ToLower(a.header.Get("Server")), name) }
}

// timedOut reports whether nobody waited longer.
func (a *answer) timedOut() bool { return a != nil && errors.Is(a.err, context.DeadlineExceeded) }
