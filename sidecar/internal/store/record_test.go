package store_test

import (
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func TestDeliveryStatus(t *testing.T) {
	for _, tt := range []struct {
		name             string
		jobs             []delivery.State
		final, delivered bool
	}{
		{"an unhandled event is neither", nil, false, false},
		{"one pending job keeps it open", []delivery.State{delivery.Done, delivery.Pending}, false, false},
		{"one dead job makes it failed", []delivery.State{delivery.Done, delivery.Dead}, true, false},
		{"all done makes it delivered", []delivery.State{delivery.Done, delivery.Done}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d store.Delivery
			for _, s := range tt.jobs {
				d.Jobs = append(d.Jobs, delivery.Job{State: s})
			}
			if d.Final() != tt.final || d.Delivered() != tt.delivered {
				t.Errorf("final %v, delivered %v; want %v, %v", d.Final(), d.Delivered(), tt.final, tt.delivered)
			}
		})
	}
}
