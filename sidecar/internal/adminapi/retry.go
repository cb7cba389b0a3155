package adminapi

import (
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// RetryRequest selects waiting events that are to be tried now.
type RetryRequest struct {
	Filter
	DryRun bool `json:"dry_run,omitempty"`
}

// Retried says what a retry did.
type Retried struct {
	Retried int      `json:"retried"` // jobs that were due later, and are due now
	Targets []string `json:"targets"` // theirs
}

func (a *API) retry(w http.ResponseWriter, r *http.Request) error {
	var req RetryRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	if err := req.confirmed("try everything that waits now"); err != nil {
		return err
	}
	q, err := req.query(time.Now())
	if err != nil {
		return err
	}
	if s := store.Status(req.Status); s != "" && s != store.StatusPending && s != store.StatusRetrying {
		return badRequest("status: only what is pending or retrying can be tried now: replay, or requeue dead letters, for the rest")
	}
	q = q.Waiting()
	if req.DryRun {
		return a.preview(w, r, q, nil)
	}
	if err := mayChange(r); err != nil {
		return err
	}
	moved, targets, err := a.cfg.Store.Hurry(r.Context(), q, time.Now(), 0)
	if a.cfg.Wake != nil && len(targets) > 0 {
		a.cfg.Wake(targets)
	}
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, Retried{Retried: moved, Targets: append([]string{}, targets...)})
}
