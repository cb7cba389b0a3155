package adminapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// ReplayRequest describes a replay to create.
type ReplayRequest struct {
	// ID, if given, makes a repetition of the request harmless.
	ID string `json:"id,omitempty"`
	Filter
	To     []string `json:"to,omitempty"` // targets; none: those that the events had
	Rate   Rate     `json:"rate,omitempty"`
	DryRun bool     `json:"dry_run,omitempty"`
}

// Rate is a number of events per second. In JSON it is a number, or a text such
// as "20/s" or "100/m".
type Rate float64

// ParseRate reads a rate like "20/s", "100/m" or "20".
func ParseRate(text string) (Rate, error) {
	number, unit, found := strings.Cut(strings.TrimSpace(text), "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	seconds, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if !found {
		seconds, known = 1, true
	}
	if err != nil || !known || !(n >= 0) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("rate: %q is not a rate: write it like 20/s or 100/m", text)
	}
	return Rate(n / seconds), nil
}

// UnmarshalJSON reads a number or a text.
func (r *Rate) UnmarshalJSON(data []byte) (err error) {
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	*r, err = ParseRate(text)
	return err
}

func (a *API) createReplay(w http.ResponseWriter, r *http.Request) error {
	var req ReplayRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	return a.replay(w, r, req)
}

func (a *API) requeueDead(w http.ResponseWriter, r *http.Request) error {
	var req ReplayRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	if len(req.To) > 0 {
		return badRequest("to: dead letters are requeued to their own target; use /api/v1/replays for another")
	}
	if err := req.confirmed("requeue all dead letters"); err != nil {
		return err
	}
	req.Status = string(store.StatusDead)
	return a.replay(w, r, req)
}

// confirmed refuses an empty filter, which may have been forgotten.
func (f Filter) confirmed(what string) error {
	if f.All || !f.Empty() {
		return nil
	}
	return NewProblem(http.StatusBadRequest, "everything", "an empty filter would "+what+": say \"all\": true if you mean that")
}

func (a *API) replay(w http.ResponseWriter, r *http.Request, req ReplayRequest) error {
	if err := req.confirmed("replay every event"); err != nil {
		return err
	}
	q, err := req.query(time.Now())
	if err != nil {
		return err
	}
	targets := a.cfg.Targets()
	for _, name := range req.To {
		if !slices.Contains(targets, name) {
			hint := "the targets are " + strings.Join(targets, ", ")
			if guess := spelling.Closest(name, targets); guess != "" {
				hint = fmt.Sprintf("did you mean %q?", guess)
			}
			return NewProblem(http.StatusUnprocessableEntity, "unknown-target", fmt.Sprintf("to: there is no target %q: %s", name, hint))
		}
	}
	if req.DryRun {
		return a.preview(w, r, q, req.To)
	}
	if err := mayChange(r); err != nil {
		return err
	}
	made := store.Replay{ID: req.ID, Query: q, Targets: req.To, Rate: float64(req.Rate)}
	if err := a.cfg.Store.CreateReplay(r.Context(), &made); err != nil {
		return err
	}
	if a.cfg.Replays != nil {
		a.cfg.Replays.Poke()
	}
	w.Header().Set("Location", "/api/v1/replays/"+made.ID)
	return reply(w, http.StatusCreated, viewReplay(made))
}

func (a *API) preview(w http.ResponseWriter, r *http.Request, q store.Query, to []string) error {
	p, err := a.cfg.Store.PreviewReplay(r.Context(), q)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, Preview{
		DryRun: true, Events: p.Events, Types: p.Types, Oldest: instant(p.Oldest), Newest: instant(p.Newest),
		Targets: append([]string{}, to...),
	})
}

func (a *API) listReplays(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Store.Replays(r.Context(), false)
	if err != nil {
		return err
	}
	return replyList(w, list, viewReplay)
}

// replayBy returns an operation that answers with what do returns for a replay.
func (a *API) replayBy(do func(context.Context, string) (store.Replay, error)) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		replay, err := do(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, viewReplay(replay))
	}
}

// DiscardRequest selects dead letters that nobody wants any more.
type DiscardRequest struct {
	Filter
	DryRun bool `json:"dry_run,omitempty"`
}

func (a *API) discardDead(w http.ResponseWriter, r *http.Request) error {
	var req DiscardRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	if err := req.confirmed("discard all dead letters"); err != nil {
		return err
	}
	q, err := req.query(time.Now())
	if err != nil {
		return err
	}
	if req.DryRun {
		q.Status = store.StatusDead
		return a.preview(w, r, q, nil)
	}
	if err := mayChange(r); err != nil {
		return err
	}
	n, err := a.cfg.Store.Discard(r.Context(), q)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]int{"discarded": n})
}

func (a *API) deadGroups(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r, nil)
	if err != nil {
		return err
	}
	groups, err := a.cfg.Store.DeadGroups(r.Context(), q)
	if err != nil {
		return err
	}
	return replyList(w, groups, func(g store.DeadGroup) DeadGroup {
		return DeadGroup{
			Target: g.Target, EventType: g.EventType, Error: g.Error, ErrorCode: g.ErrorCode, ResponseStatus: g.ResponseStatus,
			Count: g.Count, Oldest: instant(g.Oldest), Newest: instant(g.Newest),
		}
	})
}
