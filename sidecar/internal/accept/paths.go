package accept

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// UnknownPath is the reason of requests to a path that is not one of
// Config.Paths. The other reasons are those of [webhook.Error].
const UnknownPath = "unknown_path"

// A Rejection is the reason why a request was rejected.
type Rejection struct {
	Reason string // a word for a metric
	Status int    // of the answer
	Err    error
}

// CheckPaths reports all that is wrong with the paths for webhooks: above all a path
// that no request can reach.
func CheckPaths(paths []string) error {
	if len(paths) == 0 {
		return errors.New("has no path to receive webhooks on: give one such as /webhooks")
	}
	var wrong []string
	for i, p := range paths {
		if slices.Contains(paths[:i], p) {
			wrong = append(wrong, fmt.Sprintf("has %q twice: remove one", p))
		} else if err := checkPath(p); err != nil {
			wrong = append(wrong, fmt.Sprintf("has %q, %v", p, err))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

// checkPath reports what is wrong with one path.
func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("which is empty: remove a comma")
	case p == "/livez" || p == "/readyz":
		return errors.New("which answers health checks: choose another, such as /webhooks")
	case strings.Contains(p, "://"):
		return errors.New("which is a whole URL: give its path only, such as /webhooks")
	case strings.ContainsAny(p, "{}*"):
		return errors.New("which is a pattern, and patterns are not supported: list each path, separated by commas")
	case strings.ContainsAny(p, "?#"):
		return fmt.Errorf("which has a query or a fragment, and no path has one: write %s", path.Clean("/"+p[:strings.IndexAny(p, "?#")]))
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("which does not begin with a slash: write %s", path.Clean("/"+p))
	case strings.ContainsRune(p, '%'):
		return errors.New("which has a percent sign: write the path decoded")
	case strings.ContainsFunc(p, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return errors.New("which has a space or a control character: give a plain path such as /webhooks")
	case path.Clean(p) == "/" && p != "/":
		return errors.New("which is not in its shortest form: write /")
	case path.Clean(p) != p:
		// This includes "/hooks/": it does not mean all paths below it.
		return fmt.Errorf("which is not in its shortest form: write %s (requests to %[1]s/ are received as well, those below it are not)", path.Clean(p))
	}
	return nil
}

// receives reports whether webhooks are received on a path of a request.
// Slashes too many are tolerated, because they are typed or joined so easily
// and mean nothing: "//webhooks", "/webhooks/".
func (s *Server) receives(p string) bool {
	if slices.Contains(s.cfg.Paths, p) {
		return true
	}
	plain := "/" + p
	for strings.Contains(plain, "//") {
		plain = strings.ReplaceAll(plain, "//", "/")
	}
	if len(plain) > 1 {
		plain = strings.TrimSuffix(plain, "/")
	}
	return slices.Contains(s.cfg.Paths, plain)
}

// byPath routes a request: webhooks are received on Paths, and anything else that looks
// like a webhook is rejected. The rest goes to rest: health checks, and the 404 of
// scanners and browsers, which are not worth a log line.
func (s *Server) byPath(receive, rest http.Handler) http.Handler {
	unknown := s.admit(http.HandlerFunc(s.rejectPath))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.receives(r.URL.Path):
			receive.ServeHTTP(w, r)
		case r.Method == http.MethodPost || signed(r.Header):
			unknown.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// signed reports whether a request carries a signature, genuine or not.
func signed(h http.Header) bool {
	return h.Get(webhook.HeaderSignature) != "" || h.Get("Webhook-Signature") != ""
}

// rejectPath answers a webhook that was sent to a path on which none are
// received. The valid paths only go to the log: a stranger need not know them.
func (s *Server) rejectPath(w http.ResponseWriter, r *http.Request) {
	err := fmt.Errorf("no webhooks are received on %q, only on %s: correct the URL at Telnyx, or add the path to HOOKSWITCH_PATHS", untrusted.Clip(r.URL.Path, maxPath), strings.Join(s.cfg.Paths, " and "))
	s.rejected(r, Rejection{Reason: UnknownPath, Status: http.StatusNotFound, Err: err})
	body, _ := json.Marshal(struct { // strings and an int: cannot fail
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
	}{"urn:hookswitch:problem:" + UnknownPath, "no webhooks are received on this path", http.StatusNotFound})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(append(body, '\n'))
}
