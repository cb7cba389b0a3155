package storetest

import (
	"errors"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Hidden checks that a store passes over an event of which only the jobs and
// attempts can be read.
func Hidden(t *testing.T, s store.Store, deliveryID string) {
	t.Helper()
	if page, err := s.Events(t.Context(), store.Query{}, 0, 10); err != nil || len(page.Deliveries) != 0 {
		t.Errorf("events: %+v, %v", page, err)
	}
	if page, _, err := s.Deliveries(t.Context(), store.Filter{}); err != nil || len(page) != 0 {
		t.Errorf("deliveries: %+v, %v", page, err)
	}
	if _, err := s.Delivery(t.Context(), deliveryID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("delivery: %v", err)
	}
}
