package service

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// TestStopCancelsHandle: a handler whose host sends one event at a time hears of
// the stop as one of a stream does, and its event is tried again.
func TestStopCancelsHandle(t *testing.T) {
	begun := make(chan struct{})
	var mux webhook.Mux
	mux.Handle("*", func(ctx context.Context, _ *webhook.Event) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	s := New(Config{Mux: &mux, Log: slog.New(slog.DiscardHandler)})
	answer := make(chan *pluginpb.HandleResponse, 1)
	go func() {
		resp, err := s.Handle(t.Context(), &pluginpb.HandleRequest{Event: &pluginpb.Event{Seq: 7, Body: []byte("{}")}})
		if err != nil {
			t.Error(err)
		}
		answer <- resp
	}()
	<-begun
	s.Stop()
	select {
	case resp := <-answer:
		if resp.GetResult().GetSeq() != 7 || resp.GetResult().GetRetry() == nil {
			t.Errorf("answered %v, want a retry", resp)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handler was not told")
	}
	if !s.Wait(20 * time.Second) {
		t.Error("its place is not free")
	}
}
