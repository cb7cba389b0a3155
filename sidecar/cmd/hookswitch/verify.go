package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

func verifyCommand(stdin io.Reader) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "explain a signature, step by step",
		Description: "Shows why a request is genuine or not, and what happened to its body in transit\n" +
			"if that can be found out. Exits 0 if the signature is valid, 4 if not.\n\n" +
			"A saved request has its headers, an empty line, and then the body byte for\n" +
			"byte; a request line before is fine, and so are CRLF line ends of headers.\n" +
			"Without --event it needs no sidecar. The keys are those of --key, or else\n" +
			"of the configuration and of the data directory; for --event those of the\n" +
			"sidecar.\n\n" +
			"Examples:\n" +
			"  hookswitch verify --event r_k3v9w2hc7q\n" +
			"  hookswitch verify --request failing.http --at 2026-11-21T14:03:11Z\n" +
			"  hookswitch verify --header-file h.txt --body-file body.json --key \"$KEY\"",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "event", Usage: "a rejected request (r_…), or an event or delivery, by its `ID`"},
			&cli.StringFlag{Name: "request", Usage: "a saved request in `FILE`; - or nothing: standard input", TakesFile: true},
			&cli.StringFlag{Name: "header-file", Usage: "the headers in `FILE`, one per line", TakesFile: true},
			&cli.StringFlag{Name: "body-file", Usage: "the body in `FILE`, byte for byte", TakesFile: true},
			&cli.StringFlag{Name: "key", Usage: "public `KEY`, or several as in TELNYX_PUBLIC_KEY"},
			&cli.StringFlag{Name: "at", Usage: "check as if it were `TIME`: RFC 3339, seconds, or how long ago"},
			outputFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			v, err := verify(ctx, c, stdin)
			if err != nil {
				return err
			}
			if err := show(c, v, func(w io.Writer) { printVerification(w, newPalette(c), v) }); err != nil {
				return err
			}
			if !v.Valid {
				return errInvalid
			}
			return nil
		},
	}
}

// errInvalid is the result of verify, which has already printed it.
var errInvalid = &exitError{exitInvalid, errSaid}

func verify(ctx context.Context, c *cli.Command, stdin io.Reader) (adminapi.Verification, error) {
	var v adminapi.Verification
	if err := checkOutput(c); err != nil {
		return v, err
	}
	if c.IsSet("key") {
		if _, err := keysTyped(c); err != nil {
			return v, err // before standard input is read
		}
	}
	at, err := checkTime(c.String("at"), time.Now())
	if err != nil {
		return v, err
	}
	id := c.String("event")
	if id != "" && (c.IsSet("request") || c.IsSet("header-file") || c.IsSet("body-file")) {
		return v, usageError("verify: give --event or a saved request, not both")
	}
	if id == "" {
		h, body, err := savedRequest(c, stdin)
		if err != nil {
			return v, err
		}
		return explainHere(c, at, h, body)
	}
	api, err := connect(c)
	if err != nil {
		return v, err
	}
	if !strings.HasPrefix(strings.ToLower(id), "r_") {
		if id, err = wholeID(ctx, api, id); err != nil {
			return v, err
		}
	}
	if c.IsSet("key") {
		h, body, received, err := storedRequest(ctx, api, id)
		if err != nil {
			return v, err
		}
		if at.IsZero() {
			at = received
		}
		return explainHere(c, at, h, body)
	}
	req := adminapi.VerifyRequest{ID: id}
	if !at.IsZero() {
		req.At = at.Format(time.RFC3339)
	}
	return v, api.call(ctx, http.MethodPost, "/verify", nil, req, &v)
}

// checkTime reads --at. Nothing is the zero time.
func checkTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usageError("--at: %q is not a time: write it like 2026-11-24T14:00:00Z, 1795269791, or how long ago it was, like 2h", text)
}

// explainHere explains with local keys.
func explainHere(c *cli.Command, at time.Time, h http.Header, body []byte) (adminapi.Verification, error) {
	cfg, ring, err := verifyKeys(c)
	if err != nil {
		return adminapi.Verification{}, err
	}
	if at.IsZero() {
		at = time.Now()
	}
	verifier := &webhook.Verifier{Keys: ring, Tolerance: time.Duration(cfg.Tolerance)}
	v := adminapi.ViewExplanation(verifier.ExplainAt(at, h, body), at)
	if n := h.Get("Content-Length"); n != "" && n != strconv.Itoa(len(body)) && !v.Valid {
		v.Steps = append(v.Steps, adminapi.VerificationStep{
			Name: "content-length", Detail: fmt.Sprintf("says %s bytes, but there are %d: the body was not saved as received", cut(n, 20), len(body)),
		})
	}
	return v, nil
}

// verifyKeys returns the keys of --key, or those of the configuration and those
// that a sidecar has created in the data directory.
func verifyKeys(c *cli.Command) (config.Config, *webhook.KeyRing, error) {
	if c.String("key") != "" {
		ring, err := keysTyped(c)
		return config.Config{}, ring, err
	}
	cfg, dir, err := sidecarDir(c)
	if err != nil {
		return cfg, nil, err
	}
	keys := cfg.PublicKey.Ring.Keys()
	for _, own := range [][2]string{{"dev", keyfile.Dev}, {"forward", keyfile.Forward}} {
		label, file := own[0], own[1]
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			continue // it is not created for this
		}
		key, err := keyfile.Load(dir, file)
		if err != nil {
			return cfg, nil, err
		}
		text := keyfile.PublicText(key)
		public, err := webhook.ParseKey(text)
		if err != nil {
			return cfg, nil, err
		}
		keys = append(keys, webhook.Key{Label: label, Public: public})
	}
	if len(keys) == 0 {
		return cfg, nil, &config.Error{Problems: []config.Problem{{Variable: "TELNYX_PUBLIC_KEY", Text: "is not set: set it, or give --key"}}}
	}
	ring, err := webhook.NewKeyRing(keys...)
	return cfg, ring, err
}

// keysTyped returns the keys of --key.
func keysTyped(c *cli.Command) (*webhook.KeyRing, error) {
	ring, err := webhook.ParseKeys(c.String("key"))
	if err != nil {
		return nil, usageError("--key: %s", strings.TrimPrefix(err.Error(), "webhook: "))
	}
	return ring, nil
}

// storedRequest returns a request that a sidecar has.
func storedRequest(ctx context.Context, api *client, id string) (h http.Header, body []byte, received time.Time, err error) {
	var pairs [][2]string
	if strings.HasPrefix(strings.ToLower(id), "r_") {
		var q adminapi.Rejected
		if err := api.get(ctx, "/rejected/"+url.PathEscape(id), nil, &q); err != nil {
			return nil, nil, received, err
		}
		if !q.HasBody {
			return nil, nil, received, fmt.Errorf("the body of %s was not kept: it was rejected before that (%s)", q.ID, q.Detail)
		}
		pairs, body, received = q.Headers, q.Body, *q.At
	} else {
		var e adminapi.Event
		if err := api.get(ctx, "/events/"+url.PathEscape(id), nil, &e); err != nil {
			return nil, nil, received, err
		}
		res, err := api.do(ctx, http.MethodGet, "/events/"+url.PathEscape(id)+"/payload", nil, nil)
		if err != nil {
			return nil, nil, received, err
		}
		defer res.Body.Close()
		if body, err = io.ReadAll(res.Body); err != nil {
			return nil, nil, received, err
		}
		pairs, received = e.Headers, *e.ReceivedAt
	}
	h = make(http.Header)
	for _, p := range pairs {
		h.Add(p[0], p[1])
	}
	return h, body, received, nil
}

// savedRequest reads a request from files or from standard input.
func savedRequest(c *cli.Command, stdin io.Reader) (http.Header, []byte, error) {
	headerFile, bodyFile := c.String("header-file"), c.String("body-file")
	if (headerFile == "") != (bodyFile == "") || headerFile != "" && c.IsSet("request") {
		return nil, nil, usageError("verify: give --request, or --header-file and --body-file together")
	}
	if headerFile == "" {
		text, err := readInput(c.String("request"), stdin)
		if err != nil {
			return nil, nil, err
		}
		return parseRequest(text)
	}
	head, err := os.ReadFile(headerFile)
	if err != nil {
		return nil, nil, err
	}
	body, err := os.ReadFile(bodyFile)
	if err != nil {
		return nil, nil, err
	}
	h, _, err := parseRequest(append(bytes.TrimRight(head, "\r\n"), "\n\n"...))
	return h, body, err
}

// readInput reads a file, or standard input if that is not a terminal: it never
// waits for a person.
func readInput(file string, stdin io.Reader) ([]byte, error) {
	if file != "" && file != "-" {
		return os.ReadFile(file)
	}
	if f, ok := stdin.(*os.File); ok && file == "" && isTerminal(f) {
		return nil, usageError("verify: give --event, --request, or --header-file and --body-file; \"hookswitch verify --help\" has examples")
	}
	return io.ReadAll(stdin)
}

// parseRequest reads a request as it was on the wire. Of the line ends only
// those of the headers may have changed: the body is what remains.
func parseRequest(text []byte) (http.Header, []byte, error) {
	h := make(http.Header)
	for first := true; ; first = false {
		line, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			return nil, nil, usageError("verify: there is no empty line between the headers and the body")
		}
		text = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			if len(h) == 0 {
				return nil, nil, usageError("verify: there are no headers before the first empty line")
			}
			return h, text, nil
		}
		name, value, found := strings.Cut(string(line), ":")
		switch {
		case found && name != "" && !strings.ContainsAny(name, " \t"):
			h.Add(name, strings.TrimSpace(value))
		case first: // the request line
		default:
			return nil, nil, usageError("verify: %q is not a header: write it like Name: value", cut(string(line), 40))
		}
	}
}

// printVerification shows one check per line, and the conclusion.
func printVerification(w io.Writer, p palette, v adminapi.Verification) {
	const marks = 9
	names := 0
	for _, s := range v.Steps {
		names = max(names, utf8.RuneCountInString(s.Name))
	}
	names = min(names, 30)
	for _, s := range v.Steps {
		mark, paint := "ok", p.green
		switch {
		case !s.OK && strings.HasPrefix(s.Name, "key "):
			mark, paint = "no match", p.yellow
			s.Detail = strings.TrimPrefix(s.Detail, "does not match")
		case !s.OK:
			mark, paint = "FAILED", p.red
		}
		head := "  " + pad(s.Name, names) + "  "
		indent := strings.Repeat(" ", names+4+marks)
		line := fold(screenWidth, indent, piece{head, nil, true}, piece{pad(mark, marks), paint, true}, piece{text: s.Detail})
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	verdict := "signature invalid: "
	for _, s := range v.Steps {
		if s.OK && strings.HasPrefix(s.Name, "key ") {
			verdict = "signature valid, but the request is rejected: "
		}
	}
	switch {
	case v.Valid:
		fmt.Fprintln(w, p.green("signature valid"))
	case v.Cause == "":
		fmt.Fprintln(w, fold(screenWidth, "  ", piece{verdict, p.red, false},
			piece{text: "it fits no variant of this request. It was made with another key, the body was changed in transit, or the sender is not the expected one"}))
	default:
		fmt.Fprintln(w, fold(screenWidth, "  ", piece{verdict, p.red, false}, piece{text: v.Cause}))
	}
}
