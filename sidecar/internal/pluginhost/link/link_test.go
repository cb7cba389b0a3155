package link

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

func TestWindow(t *testing.T) {
	var w window
	granted := func(place chan struct{}) bool {
		select {
		case <-place:
			return true
		default:
			return false
		}
	}
	a, b, c := w.ask(), w.ask(), w.ask()
	if granted(a) {
		t.Error("a place was granted before any credit")
	}
	w.resize(1)
	if !granted(a) || granted(b) {
		t.Error("a credit of one is not one place for the first who asked")
	}
	w.withdraw(b) // waits
	w.release()   // a's
	if granted(b) || !granted(c) {
		t.Error("the place did not pass to the next who still waits")
	}
	w.resize(0)
	d := w.ask()
	w.withdraw(c) // has a place
	if granted(d) {
		t.Error("a place was granted during a pause")
	}
	w.resize(1 << 30)
	if limit, used := w.state(); limit != WindowMax || used != 1 || !granted(d) {
		t.Errorf("limit %d, used %d", limit, used)
	}
}

func TestClosingLinkTakesNothing(t *testing.T) {
	for range 100 { // both ways of the select
		l := newLink()
		l.window.resize(1)
		l.Close()
		if err := l.Acquire(t.Context()); !errors.Is(err, ErrMoved) {
			t.Fatalf("a place on a closing link: %v", err)
		}
		if _, used := l.window.state(); used != 0 {
			t.Fatal("the place was not given back")
		}
		s := &stream{link: l, calls: make(map[uint64]*call)}
		if c := s.send(new(pluginpb.Event)); c != nil || len(s.events) != 0 {
			t.Fatal("an event was taken after the drain began")
		}
	}
}

func TestFramesAreFilledWithWhatWaits(t *testing.T) {
	l := newLink()
	s := &stream{link: l, wake: make(chan struct{}, 1), calls: make(map[uint64]*call)}
	big := make([]byte, batchBytes)
	for i := range 70 {
		e := new(pluginpb.Event)
		if i == 1 {
			e.Body = big
		}
		s.send(e)
	}
	s.cancel(&call{seq: 1000}) // of an event that was sent before
	s.last = &pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Drain{}}
	var got []string
	for f := s.nextFrame(); f != nil; f = s.nextFrame() {
		got = append(got, fmt.Sprintf("%T %d", f.Frame, len(f.GetEvents().GetEvents())))
	}
	want := []string{
		"*pluginpb.DeliverRequest_Cancel 0", // before the events
		"*pluginpb.DeliverRequest_Events 1",
		"*pluginpb.DeliverRequest_Events 1", // alone, for its size
		"*pluginpb.DeliverRequest_Events 64",
		"*pluginpb.DeliverRequest_Events 4",
		"*pluginpb.DeliverRequest_Drain 0", // after them
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Run("an event that waits is taken back", func(t *testing.T) {
		c := s.send(new(pluginpb.Event))
		l.window.used = 1
		if s.cancel(c) || s.nextFrame() != nil {
			t.Error("the event would still be sent")
		}
		if _, used := l.window.state(); used != 0 {
			t.Error("its place was not given back")
		}
	})
}
