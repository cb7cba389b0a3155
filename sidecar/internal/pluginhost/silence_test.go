//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// silentProcess returns a process that reads lines, has just started and says nothing.
func silentProcess() *running {
	return &running{Process: &process.Process{Lines: link.NewLines(nil, 1), Link: link.OpenUnary(nil, 1, 0)}, began: time.Now()}
}

// greet makes a process that reads lines say a word.
func greet(r *running) { r.Lines.Read(strings.NewReader("{\"hello\":{}}\n")) }

// How long a silent process must live to be proven follows from those that ended
// before it with nothing to do.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s silence
		live := func(d time.Duration, edit func(*running)) {
			r := silentProcess()
			time.Sleep(d)
			edit(r)
			s.ended(r)
		}
		nothing := func(*running) {}
		for _, tt := range []struct {
			name  string
			lives time.Duration
			edit  func(*running)
			want  time.Duration // that the next one waits
		}{
			{"one that ended at once", time.Millisecond, nothing, time.Second},
			{"one that ended by itself", 10 * time.Second, nothing, 15 * time.Second},
			{"one that ended sooner", time.Second, nothing, 15 * time.Second},
			{"one that had an event", 20 * time.Second, func(r *running) { r.tried.Store(true) }, 15 * time.Second},
			{"one that was stopped", 20 * time.Second, func(r *running) { r.retired.Store(true) }, 15 * time.Second},
			{"one that has spoken", 20 * time.Second, func(r *running) { greet(r) }, 15 * time.Second},
			{"one that lived long", time.Hour, nothing, time.Minute},
		} {
			live(tt.lives, tt.edit)
			if got := s.wait(time.Second); got != tt.want {
				t.Errorf("after %s: %v, want %v", tt.name, got, tt.want)
			}
		}

		r := silentProcess()
		begun := time.Now()
		time.Sleep(time.Minute - 1)
		if s.proven(r, time.Second) {
			t.Error("it is proven before its time")
		}
		if err := s.await(t.Context(), r, time.Second); err != nil || time.Since(begun) != time.Minute || !s.proven(r, time.Second) {
			t.Errorf("it is proven after %v: %v", time.Since(begun), err)
		}

		for _, tt := range []struct {
			name string
			do   func(*running, context.CancelFunc)
			want error
		}{
			{"it speaks", func(r *running, _ context.CancelFunc) { greet(r) }, nil},
			{"it takes no more", func(r *running, _ context.CancelFunc) { r.Link.Close() }, link.ErrMoved},
			{"nobody waits", func(_ *running, cancel context.CancelFunc) { cancel() }, context.Canceled},
		} {
			r, begun := silentProcess(), time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, func() { tt.do(r, cancel) })
			if err := s.await(ctx, r, time.Second); !errors.Is(err, tt.want) || time.Since(begun) != time.Second {
				t.Errorf("%s: %v after %v", tt.name, err, time.Since(begun))
			}
			cancel()
		}
	})
}
