package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

const (
	heartbeat   = 15 * time.Second      // proxies cut connections that are silent for a minute
	streamWrite = 10 * time.Second      // a viewer that takes nothing for this long has gone
	streamPause = 20 * time.Millisecond // between batches, so that a busy sidecar is not busy with viewers
	maxViewers  = 64
)

// stream sends messages as server-sent events until the reader goes or the
// sidecar stops. A reader with a Last-Event-ID continues where it was.
func (a *API) stream(w http.ResponseWriter, r *http.Request) error {
	f, err := parameters(r, nil)
	if err != nil {
		return err
	}
	wanted, err := f.live()
	if err != nil {
		return err
	}
	v, err := a.viewer(r, f)
	if err != nil {
		return err
	}
	if a.viewers.Add(1) > maxViewers {
		a.viewers.Add(-1)
		w.Header().Set("Retry-After", "5")
		return NewProblem(http.StatusServiceUnavailable, "too-many-viewers", fmt.Sprintf("%d viewers are watching already: end one, or try again later", maxViewers))
	}
	defer a.viewers.Add(-1)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer it
	s := &sender{w: w, rc: http.NewResponseController(w)}
	// The server's limits are for requests that end.
	_ = s.rc.SetReadDeadline(time.Time{})
	s.send("retry: 2000\n: connected\nid: " + v.Position(0, 1) + "\n\n")
	s.run(r.Context(), v, wanted)
	return nil
}

// viewer returns a viewer that begins where the request asks.
func (a *API) viewer(r *http.Request, f Filter) (*live.Viewer, error) {
	if position := r.Header.Get("Last-Event-ID"); position != "" {
		v, err := a.cfg.Feed.WatchAfter(position)
		if err != nil {
			return nil, badRequest("Last-Event-ID: it is not an id of this stream")
		}
		return v, nil
	}
	since, err := parseTime("since", f.Since, time.Now())
	if err != nil {
		return nil, err
	}
	if since.IsZero() {
		return a.cfg.Feed.Watch(), nil
	}
	return a.cfg.Feed.WatchSince(since), nil
}

// sender writes server-sent events to one reader.
type sender struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	last time.Time // when something was sent
	err  error     // the first; nothing is sent after it
}

func (s *sender) send(text string) {
	if s.err != nil {
		return
	}
	s.last = time.Now()
	_ = s.rc.SetWriteDeadline(s.last.Add(streamWrite))
	if _, s.err = io.WriteString(s.w, text); s.err == nil {
		s.err = s.rc.Flush()
	}
}

// beat shows that the stream is alive, and where to continue if it ends.
func (s *sender) beat(v *live.Viewer) { s.send(": still here\nid: " + v.Position(0, 1) + "\n\n") }

// run sends messages until the reader or the feed ends.
func (s *sender) run(ctx context.Context, v *live.Viewer, wanted func(*live.Message) bool) {
	for s.err == nil {
		wait, cancel := context.WithTimeout(ctx, heartbeat)
		messages, lost, err := v.Next(wait)
		cancel()
		switch {
		case err == io.EOF:
			s.send(encode("", live.Message{Kind: live.Stopping, At: time.Now().UTC()}))
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, context.DeadlineExceeded):
			s.beat(v)
			continue
		}
		var out strings.Builder
		if lost > 0 {
			out.WriteString(encode("", live.Message{Kind: live.Lost, At: time.Now().UTC(), Lost: lost}))
		}
		for i := range messages {
			if wanted(&messages[i]) {
				out.WriteString(encode(v.Position(i, len(messages)), messages[i]))
			}
		}
		switch {
		case out.Len() > 0:
			s.send(out.String())
		case time.Since(s.last) >= heartbeat: // there is much, but nothing wanted
			s.beat(v)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(streamPause):
		}
	}
}

// encode writes a message as a server-sent event, at a position if there is
// one.
func encode(position string, m live.Message) string {
	data, err := json.Marshal(m)
	if err != nil {
		return "" // encoding cannot fail
	}
	if position != "" {
		position = "id: " + position + "\n"
	}
	return position + "event: " + m.Kind + "\ndata: " + string(data) + "\n\n"
}

// liveStatuses are the words for a status in a stream: those of the list, and
// more, because a stream also shows requests that are not in the store.
var liveStatuses = map[string]func(*live.Message) bool{
	"":          func(*live.Message) bool { return true },
	"accepted":  func(m *live.Message) bool { return m.Kind == live.Accepted },
	"duplicate": func(m *live.Message) bool { return m.Kind == live.Duplicate },
	"rejected":  func(m *live.Message) bool { return m.Kind == live.Rejected },
	"unhandled": func(m *live.Message) bool { return m.Kind == live.Accepted && len(m.Targets) == 0 },
	"pending": func(m *live.Message) bool {
		return m.Kind == live.Accepted && len(m.Targets) > 0 || m.State == "pending"
	},
	"retrying": func(m *live.Message) bool { return m.State == "pending" },
	"done":     func(m *live.Message) bool { return m.State == "done" },
	"dead":     func(m *live.Message) bool { return m.Kind == live.Dead },
	"failed": func(m *live.Message) bool {
		return m.State == "pending" || m.Kind == live.Dead || m.Kind == live.Rejected
	},
}

// live returns a function that reports whether f selects a message. Messages have
// no bodies, so their text cannot be searched.
func (f Filter) live() (func(*live.Message) bool, error) {
	status := liveStatuses[f.Status]
	switch {
	case status == nil:
		return nil, badStatus(f.Status, "accepted", "duplicate", "rejected", "pending", "retrying", "failed", "done", "dead", "unhandled")
	case f.Text != "":
		return nil, badRequest("text: a live stream has no bodies to search: list or export events")
	case f.Until != "":
		return nil, badRequest("until: a live stream has no end: list or export events")
	}
	for _, p := range f.Types {
		if err := event.CheckPattern(p); err != nil {
			return nil, badRequest("type: " + strings.TrimPrefix(err.Error(), "event: "))
		}
	}
	return func(m *live.Message) bool {
		return status(m) && f.liveID(m) &&
			(f.Target == "" || m.Target == f.Target || slices.Contains(m.Targets, f.Target)) &&
			(f.Error == "" || m.Error == f.Error) &&
			(len(f.Types) == 0 || m.Kind != live.Rejected && delivery.Wanted(f.Types, m.Type))
	}, nil
}

// liveID compares the beginning of ids, since a screen shows no more.
func (f Filter) liveID(m *live.Message) bool {
	begins := func(id string) func(string) bool {
		return func(prefix string) bool {
			return prefix != "" && len(id) >= len(prefix) && strings.EqualFold(id[:len(prefix)], prefix)
		}
	}
	return len(f.IDs) == 0 || slices.ContainsFunc(f.IDs, begins(m.ID)) || slices.ContainsFunc(f.IDs, begins(m.DeliveryID))
}
