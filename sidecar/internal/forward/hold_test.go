package forward_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// holder is a server that reads the beginning of a request and then does what
// it likes with the connection, which is closed when the test ends.
func holder(t *testing.T, serve func(c net.Conn, n int)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		conns []net.Conn
		wg    sync.WaitGroup
	)
	wg.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { serve(c, n) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

// endless writes a text again and again until nobody takes it.
func endless(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// drip does so a byte at a time.
func drip(c net.Conn, text string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		<-tick.C
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
	}
}

// TestNothingIsHeldBeyondTheLimit: whatever an application does with the
// connection, an attempt ends within its time, and so does a pass.
func TestNothingIsHeldBeyondTheLimit(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
	for _, tt := range []struct {
		name    string
		serve   func(c net.Conn)
		outcome delivery.Outcome
		status  int
		says    string // of the attempt
		answers bool   // a pass has an answer
		hangs   bool   // only the limit ends it
	}{
		{"an upgrade", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		}, delivery.OutcomeRetry, 101, "not a valid answer", false, false},
		{"an upgrade that goes on", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
			endless(c, "frame ")
		}, delivery.OutcomeRetry, 101, "not a valid answer", false, false},
		{"a 101 without an upgrade", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		}, delivery.OutcomeRetry, 101, "not a valid answer", false, false},
		{"a status below all", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 042 Hm\r\nContent-Length: 0\r\n\r\n")
		}, delivery.OutcomeRetry, 42, "not a valid answer", false, false},
		{"an endless body", func(c net.Conn) {
			io.WriteString(c, ok)
			endless(c, "4\r\nmore\r\n")
		}, delivery.OutcomeDone, 200, "", false, false},
		{"a body that drips", func(c net.Conn) {
			io.WriteString(c, ok)
			drip(c, "1\r\nx\r\n")
		}, delivery.OutcomeDone, 200, "", false, true},
		{"a body without an end", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
		}, delivery.OutcomeDone, 200, "", false, true},
		{"trailers that drip", func(c net.Conn) {
			io.WriteString(c, ok+"4\r\nbody\r\n0\r\n")
			drip(c, "X-T: 1\r\n")
		}, delivery.OutcomeDone, 200, "", false, true},
		{"endless trailers", func(c net.Conn) {
			io.WriteString(c, ok+"4\r\nbody\r\n0\r\n")
			endless(c, "X-T: 1\r\n")
		}, delivery.OutcomeDone, 200, "", false, false},
		{"nothing but early hints", func(c net.Conn) {
			drip(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		}, delivery.OutcomeRetry, 0, "no answer within", false, true},
		{"a flood of early hints", func(c net.Conn) {
			endless(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		}, delivery.OutcomeRetry, 0, "no valid answer", false, false},
		{"a header that drips", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			drip(c, "X-A: aaaaa\r\n")
		}, delivery.OutcomeRetry, 0, "no answer within", false, true},
		{"silence", func(net.Conn) {}, delivery.OutcomeRetry, 0, "no answer within", false, true},
		{"a good answer", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		}, delivery.OutcomeDone, 200, "", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := holder(t, func(c net.Conn, _ int) {
				c.Read(make([]byte, 64<<10))
				tt.serve(c)
			})
			limit := 400 * time.Millisecond
			if !tt.hangs { // it ends by itself, on a busy machine too
				limit = 20 * time.Second
			}
			f := newForward(t, forward.Config{URL: url, Timeout: limit})
			// The context of the caller is there for a test that would hang.
			ctx, cancel := context.WithTimeout(t.Context(), 3*20*time.Second)
			defer cancel()
			a, err := f.Deliver(ctx, newTask())
			if err != nil || a.Outcome != tt.outcome || a.ResponseStatus != tt.status || !strings.Contains(a.Error, tt.says) || ctx.Err() != nil {
				t.Errorf("delivered: %+v, %v", a, err)
			}
			a, answer := f.Pass(ctx, newTask().Event)
			if (answer != nil) != tt.answers || (a.Outcome == delivery.OutcomeDone) != tt.answers || ctx.Err() != nil {
				t.Errorf("passed: %+v, %v", a, answer)
			}
			if !tt.answers && tt.says != "" && !strings.Contains(a.Error, tt.says) {
				t.Errorf("passed: %q, want %q", a.Error, tt.says)
			}
		})
	}
}

// closes answers so many requests on a connection, and then reads one more and
// closes without an answer.
func closes(after int, seen func(conn, request int)) func(net.Conn, int) {
	return func(c net.Conn, n int) {
		defer c.Close()
		for i := 0; ; i++ {
			if k, err := c.Read(make([]byte, 64<<10)); k == 0 || err != nil {
				return
			}
			seen(n, i+1)
			if i == after {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

// TestIdleConnectionClosed: an application that closes a kept connection in
// the moment of the next request gets that once more, on a fresh connection, as
// part of the same attempt.
func TestIdleConnectionClosed(t *testing.T) {
	for _, pass := range []bool{false, true} {
		var mu sync.Mutex
		var requests []string
		url := holder(t, func(c net.Conn, n int) {
			closes(1, func(conn, request int) {
				mu.Lock()
				defer mu.Unlock()
				requests = append(requests, fmt.Sprint(conn, ".", request))
			})(c, n)
		})
		f := newForward(t, forward.Config{URL: url})
		for range 2 {
			if pass {
				a, answer := f.Pass(t.Context(), newTask().Event)
				if answer == nil || a.Outcome != delivery.OutcomeDone {
					t.Errorf("pass: %+v", a)
				}
			} else if a := deliver(t, f, newTask()); a.Outcome != delivery.OutcomeDone || a.BrokeOff || a.RequestHeader == nil {
				t.Errorf("attempt: %+v", a)
			}
		}
		mu.Lock()
		if got := strings.Join(requests, ", "); got != "1.1, 1.2, 2.1" {
			t.Errorf("pass %v: the application got %s, want the last of connection 1 again on a second", pass, got)
		}
		mu.Unlock()
	}
}

// TestNotRepeated: a request on a connection of its own is not sent again, nor
// is one that was answered in part, or that the application had for a while.
func TestNotRepeated(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(c net.Conn, request int)
		times int // that the application gets the second request
		broke bool
	}{
		{"repeated once only", func(c net.Conn, request int) {}, 2, true},
		{"answered in part", func(c net.Conn, request int) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
		}, 1, true},
		{"at work on it", func(c net.Conn, request int) {
			time.Sleep(1100 * time.Millisecond) // of the application's: it crashes over the event
		}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			total := 0
			url := holder(t, func(c net.Conn, n int) {
				defer c.Close()
				for {
					if k, err := c.Read(make([]byte, 64<<10)); k == 0 || err != nil {
						return
					}
					mu.Lock()
					total++
					request := total
					mu.Unlock()
					if request > 1 {
						tt.serve(c, request)
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			f := newForward(t, forward.Config{URL: url})
			if a := deliver(t, f, newTask()); a.Outcome != delivery.OutcomeDone {
				t.Fatalf("first: %+v", a)
			}
			a := deliver(t, f, newTask())
			if a.Outcome != delivery.OutcomeRetry || a.BrokeOff != tt.broke || !strings.Contains(a.Error, "did it crash?") {
				t.Errorf("second: %+v", a)
			}
			mu.Lock()
			defer mu.Unlock()
			if total != 1+tt.times {
				t.Errorf("the application got it %d times, want %d", total-1, tt.times)
			}
		})
	}
}

// TestBrokeOffAndGone: the application died of the request on a kept
// connection, and nobody listens any more. The event was sent all the same.
func TestBrokeOffAndGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Read(make([]byte, 64<<10))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.Read(make([]byte, 64<<10))
		l.Close()
	}()
	f := newForward(t, forward.Config{URL: "http://" + l.Addr().String()})
	deliver(t, f, newTask())
	a := deliver(t, f, newTask())
	<-done
	if !a.BrokeOff || a.RequestHeader == nil || !cmpCodes(a.ErrorCodes, 75000) || !strings.Contains(a.Error, "did it crash?") || !strings.Contains(a.Error, "connection refused") {
		t.Errorf("attempt: %+v", a)
	}
}

func cmpCodes(codes []int, want int) bool { return len(codes) == 1 && codes[0] == want }

// TestAttemptsAreWatched: an attempt that exceeds its limit is reported, here at
// once.
func TestAttemptsAreWatched(t *testing.T) {
	attempts := telemetry.NewAttempts(slog.New(slog.DiscardHandler), -time.Hour)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		for attempts.Check() == nil && r.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	})
	f := newForward(t, forward.Config{URL: url, Attempts: attempts})
	if a := deliver(t, f, newTask()); a.Outcome != delivery.OutcomeDone {
		t.Errorf("delivered: %+v", a)
	}
	if a, _ := f.Pass(t.Context(), newTask().Event); a.Outcome != delivery.OutcomeDone {
		t.Errorf("passed: %+v", a)
	}
	if err := attempts.Check(); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
