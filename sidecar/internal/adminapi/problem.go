package adminapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Problem is an error as RFC 9457 describes it.
type Problem struct {
	Type   string `json:"type"` // "urn:hookswitch:error:" and a word that stays the same
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // what is wrong and what to do

	// Problems are those of a configuration that was refused.
	Problems []ConfigProblem `json:"problems,omitempty"`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// ServeHTTP answers with the problem.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the reader may have gone
}

const problemType = "urn:hookswitch:error:"

// NewProblem returns a problem whose type is named by a word.
func NewProblem(status int, word, detail string) *Problem {
	return &Problem{Type: problemType + word, Title: http.StatusText(status), Status: status, Detail: detail}
}

func badRequest(detail string) *Problem {
	return NewProblem(http.StatusBadRequest, "bad-request", detail)
}

// fail answers with a problem. Errors of the store go to the log only: they may
// name paths.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*Problem](err)
	switch {
	case ok:
	case errors.Is(err, store.ErrNotFound):
		p = NewProblem(http.StatusNotFound, "not-found", "nothing here has this id: it may have been removed by retention, or the id is not complete")
	case errors.Is(err, store.ErrClosed):
		p = NewProblem(http.StatusServiceUnavailable, "stopping", "the sidecar is stopping: try again when it is back")
	case r.Context().Err() != nil:
		return // the client has gone
	default:
		a.cfg.Log.Error("a request to the admin API failed", "code", telemetry.CodeAdminFailed, "method", r.Method, "path", r.URL.Path, "error", err)
		p = NewProblem(http.StatusServiceUnavailable, "store", "the store did not answer; the sidecar's log says why")
	}
	p.ServeHTTP(w, r)
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the reader may have gone
	return nil
}

// replyList answers with a list, as view shows its elements.
func replyList[T, V any](w http.ResponseWriter, list []T, view func(T) V) error {
	out := make([]V, 0, len(list))
	for _, one := range list {
		out = append(out, view(one))
	}
	return reply(w, http.StatusOK, map[string]any{"data": out})
}
