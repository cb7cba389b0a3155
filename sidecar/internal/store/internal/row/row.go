// Package row has the code that the stores share and that is not SQL: the texts in
// columns for values without a column type, and how rows become the answers of a
// [store.Store]. SQL stays with each store, and so does anything that only one
// database needs, such as wrapping text that PostgreSQL refuses.
package row

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// NewID returns an id for a delivery or a replay: a UUID of version 7, which
// begins with the time, and so keeps its index compact.
func NewID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}

// IsUUID reports whether an id is compared without regard to case.
func IsUUID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }

// EncodePairs writes header pairs as a JSON array of [name, value], which SQL
// can search. A pair that is not plain, since JSON or the database cannot hold it,
// becomes [name, value, "base64"], both parts encoded. For nil the text is empty,
// which means NULL.
func EncodePairs(pairs [][2]string, plain func(string) bool) (string, error) {
	if pairs == nil {
		return "", nil
	}
	out := make([][]string, len(pairs))
	for i, p := range pairs {
		if plain(p[0]) && plain(p[1]) {
			out[i] = pairs[i][:]
			continue
		}
		enc := base64.StdEncoding
		out[i] = []string{enc.EncodeToString([]byte(p[0])), enc.EncodeToString([]byte(p[1])), "base64"}
	}
	b, err := json.Marshal(out)
	return string(b), err
}

// DecodePairs reads what EncodePairs wrote.
func DecodePairs(text string) ([][2]string, error) {
	if text == "" {
		return nil, nil
	}
	var in [][]string
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, fmt.Errorf("stored header: %w", err)
	}
	pairs := make([][2]string, len(in))
	for i, p := range in {
		switch len(p) {
		case 2:
			pairs[i] = [2]string(p)
		case 3:
			for j := range pairs[i] {
				b, err := base64.StdEncoding.DecodeString(p[j])
				if err != nil {
					return nil, fmt.Errorf("stored header: %w", err)
				}
				pairs[i][j] = string(b)
			}
		default:
			return nil, fmt.Errorf("stored header: pair %d has %d parts", i, len(p))
		}
	}
	return pairs, nil
}

// Texts are the columns of an attempt that have no type of their own. An empty one
// means NULL.
type Texts struct {
	Request, Response string // headers
	Codes             string // a JSON array of numbers
}

// EncodeAttempt returns the texts of an attempt; see EncodePairs for plain.
func EncodeAttempt(a *delivery.Attempt, plain func(string) bool) (t Texts, err error) {
	if t.Request, err = EncodePairs(a.RequestHeader, plain); err != nil {
		return t, err
	}
	if t.Response, err = EncodePairs(a.ResponseHeader, plain); err != nil {
		return t, err
	}
	if len(a.ErrorCodes) > 0 {
		b, err := json.Marshal(a.ErrorCodes)
		if err != nil {
			return t, err
		}
		t.Codes = string(b)
	}
	return t, nil
}

// Decode fills in the parts of an attempt that are in the texts.
func (t Texts) Decode(a *delivery.Attempt) (err error) {
	if a.RequestHeader, err = DecodePairs(t.Request); err != nil {
		return err
	}
	if a.ResponseHeader, err = DecodePairs(t.Response); err != nil {
		return err
	}
	if t.Codes != "" {
		if err := json.Unmarshal([]byte(t.Codes), &a.ErrorCodes); err != nil {
			return fmt.Errorf("stored error codes: %w", err)
		}
	}
	return nil
}

// DecodeRoute reads the patterns of a route.
func DecodeRoute(r *store.Route, patterns []byte) error {
	if err := json.Unmarshal(patterns, &r.Patterns); err != nil {
		return fmt.Errorf("stored route of %s: %w", r.Target, err)
	}
	return nil
}

// NewReplay returns the replay that CreateReplay is to store for r.
func NewReplay(r *store.Replay) (store.Replay, error) {
	id, err := r.ID, error(nil)
	if id == "" {
		id, err = NewID()
	}
	return store.Replay{ID: id, CreatedAt: Now(), Query: r.Query, Targets: r.Targets, Rate: r.Rate, State: store.ReplayRunning}, err
}

// DecodeReplay reads the query and the targets of a replay.
func DecodeReplay(r *store.Replay, query, targets []byte) error {
	if err := errors.Join(json.Unmarshal(query, &r.Query), json.Unmarshal(targets, &r.Targets)); err != nil {
		return fmt.Errorf("stored replay %s: %w", r.ID, err)
	}
	return nil
}

// Now returns the time with the precision that stores keep.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// DueAtOnce returns when a job that should run now is due. It is not simply zero:
// fresh work waits its turn behind retries that have been due for longer.
func DueAtOnce(receivedAt time.Time) time.Time {
	now := time.Now()
	if receivedAt.IsZero() || receivedAt.After(now) {
		receivedAt = now
	}
	return receivedAt
}

// FillIn fills in the fields of an event that Accept or Record assign.
func FillIn(e *delivery.Event, got store.Accepted) {
	e.Seq = got.Seq
	if e.DeliveryID == "" {
		e.DeliveryID = got.DeliveryID
	}
}
