package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func publish(f *Feed, from, to int) {
	for i := from; i <= to; i++ {
		f.Publish(Message{Kind: Accepted, ID: fmt.Sprint(i), At: time.Unix(int64(i), 0)})
	}
}

// read returns the ids that a viewer has before it, with losses in between,
// until it has seen the message last.
func read(t *testing.T, v *Viewer, last int) string {
	t.Helper()
	var out []string
	for {
		messages, lost, err := v.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if lost > 0 {
			out = append(out, fmt.Sprintf("lost %d", lost))
		}
		for _, m := range messages {
			out = append(out, m.ID)
		}
		if out[len(out)-1] == fmt.Sprint(last) {
			return strings.Join(out, " ")
		}
	}
}

func TestViewers(t *testing.T) {
	f := NewFeed(4)
	publish(f, 1, 2)
	now, early := f.Watch(), f.WatchSince(time.Unix(2, 0))
	publish(f, 3, 4)
	if got := read(t, now, 4); got != "3 4" {
		t.Errorf("from now on: %s", got)
	}
	if got := read(t, early, 4); got != "2 3 4" {
		t.Errorf("since message 2: %s", got)
	}
	at := now.Position(0, 2)
	if v, err := f.WatchAfter(at); err != nil || read(t, v, 4) != "4" {
		t.Errorf("after message 3: %v", err)
	}
	publish(f, 5, 9)
	if got := read(t, now, 9); got != "lost 1 6 7 8 9" {
		t.Errorf("a slow one: %s", got)
	}
	if v, err := f.WatchAfter(at); err != nil || read(t, v, 9) != "lost 2 6 7 8 9" {
		t.Errorf("after message 3, of which it remembers nothing: %v", err)
	}
	if v, err := f.WatchAfter("before-77"); err != nil || read(t, v, 9) != "lost 5 6 7 8 9" {
		t.Errorf("of the process before: %v", err)
	}
	for _, bad := range []string{"", "x", f.run + "-x", f.run + "--1", f.run + "-10"} {
		if _, err := f.WatchAfter(bad); err == nil {
			t.Errorf("position %q is taken", bad)
		}
	}
	f.Close()
	f.Publish(Message{})
	if _, _, err := now.Next(t.Context()); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestViewersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(8)
		results := make(chan string)
		for range 3 {
			go func() {
				messages, _, err := f.Watch().Next(t.Context())
				results <- fmt.Sprint(len(messages), err)
			}()
		}
		synctest.Wait()
		publish(f, 1, 1)
		for range 3 {
			if got := <-results; got != "1 <nil>" {
				t.Errorf("woken with %s", got)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := f.Watch().Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing happened: %v", err)
		}
		go f.Close()
		if _, _, err := f.Watch().Next(t.Context()); err != io.EOF {
			t.Errorf("closed meanwhile: %v", err)
		}
	})
}

func TestRejectsAreCapped(t *testing.T) {
	var r Rejects
	now := time.Unix(1_000_000, 0)
	first := r.Add(Request{At: now})
	if found := r.Find(now, strings.ToUpper(first[:6])); len(found) != 1 || found[0].ID != first {
		t.Errorf("by the beginning of its id: %v", found)
	}
	for range MaxRejects {
		r.Add(Request{At: now})
	}
	if list := r.List(now); len(list) != MaxRejects || len(r.Find(now, first)) != 0 {
		t.Errorf("%d are kept, want the latest %d", len(list), MaxRejects)
	}
	for range MaxRejectBytes/MaxRejectBody + 10 {
		r.Add(Request{At: now, Body: make([]byte, MaxRejectBody)})
	}
	if r.bytes > MaxRejectBytes {
		t.Errorf("%d bytes are kept, want %d at most", r.bytes, MaxRejectBytes)
	}
	r.Add(Request{At: now.Add(time.Minute)})
	if list := r.List(now.Add(MaxRejectAge + time.Second)); len(list) != 1 {
		t.Errorf("%d are kept, want the one that is not too old", len(list))
	}
	if r.List(now.Add(2 * MaxRejectAge)); r.bytes != 0 {
		t.Errorf("empty, and yet %d bytes", r.bytes)
	}
	for i := range 2 * admitted {
		if got := r.Admit(now); got != (i < admitted) {
			t.Fatalf("request %d of a second: admitted is %v", i+1, got)
		}
	}
	if !r.Admit(now.Add(time.Second)) {
		t.Error("the next second is refused as well")
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, viewers := range []int{0, 16} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			f := NewFeed(DefaultRing)
			for range viewers {
				go func() {
					for v := f.Watch(); ; {
						if _, _, err := v.Next(b.Context()); err != nil {
							return
						}
					}
				}()
			}
			m := Message{Kind: Accepted, ID: "86f58db9-0fe3-4adc-9d1f-46e66e6e9323", At: time.Now()}
			b.ReportAllocs()
			for b.Loop() {
				f.Publish(m)
			}
		})
	}
}
