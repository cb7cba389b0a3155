package link

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// HealthService is the name that the health check of go-plugin uses.
const HealthService = "plugin"

// unary is the carrier of plugins that implement only Handle: one call for
// each event, whose deadline is the event's timeout and the grace.
type unary struct {
	link   *Link
	client pluginpb.PluginServiceClient
	health grpc_health_v1.HealthClient
	grace  time.Duration

	mu      sync.Mutex
	seq     uint64
	running int
	late    bool          // a call was not answered in time: its server may still be working
	idle    chan struct{} // has room for one: the last call was answered
}

// OpenUnary returns a link to a plugin that implements only Handle, and takes so
// many events at once.
func OpenUnary(conn grpc.ClientConnInterface, inFlight int, grace time.Duration) *Link {
	l := newLink()
	l.carrier = &unary{
		link:   l,
		client: pluginpb.NewPluginServiceClient(conn),
		health: grpc_health_v1.NewHealthClient(conn),
		grace:  grace,
		idle:   make(chan struct{}, 1),
	}
	l.window.resize(max(inFlight, 1))
	return l
}

func (u *unary) send(e *pluginpb.Event) *call {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.link.IsClosing() { // under the lock, so that Drain counts what passes
		return nil
	}
	u.seq++
	u.running++
	e.Seq = u.seq
	c := &call{seq: e.Seq, result: make(chan *pluginpb.Result, 1)}
	go u.handle(e, c)
	return c
}

func (u *unary) handle(e *pluginpb.Event, c *call) {
	ctx, cancel := context.WithTimeout(context.Background(), e.GetTimeout().AsDuration()+u.grace)
	defer cancel()
	sent := time.Now()
	resp, err := u.client.Handle(ctx, &pluginpb.HandleRequest{Event: e})
	switch {
	case err == nil:
		c.result <- cmp.Or(resp.GetResult(), new(pluginpb.Result))
	case ctx.Err() == nil && u.broken(err):
		u.link.End(err)
	case ctx.Err() == nil:
		if status.Code(err) == codes.DeadlineExceeded && time.Since(sent) >= e.GetTimeout().AsDuration() {
			u.abandon(c) // the words of a library: the handler may still run
		}
		// The plugin refused the call, as servers do when a handler throws.
		c.result <- &pluginpb.Result{Seq: c.seq, Outcome: &pluginpb.Result_Retry{
			Retry: &pluginpb.Retry{Code: status.Code(err).String(), Reason: status.Convert(err).Message()},
		}}
	}
	u.link.window.release()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running--; u.running == 0 {
		select {
		case u.idle <- struct{}{}:
		default:
		}
	}
}

// broken reports whether the error of a call says that the connection broke,
// which is how the death of the process begins to show, or that the host closed
// it. A plugin may use the same codes for its own trouble; then it answers.
func (u *unary) broken(err error) bool {
	if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), u.grace)
	defer cancel()
	return u.Ping(ctx) != nil
}

// cancel has nothing to do: the call has a deadline.
func (u *unary) cancel(*call) bool { return true }

// Stuck is always false: each call has a deadline.
func (u *unary) Stuck() bool { return false }

// Strays is always 0: each call has one result.
func (u *unary) Strays() int { return 0 }

// abandon is called before the caller learns that the time was up, so that
// Holding is true by the next event.
func (u *unary) abandon(*call) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.late = true
}

func (u *unary) Holding() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.late
}

func (u *unary) Ping(ctx context.Context) error {
	resp, err := u.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: HealthService})
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	if err == nil && resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		err = errors.New("health check: " + resp.GetStatus().String())
	}
	return err
}

func (u *unary) Drain(ctx context.Context, _ time.Duration) error {
	for {
		u.mu.Lock()
		running := u.running
		u.mu.Unlock()
		if running == 0 {
			return nil
		}
		select {
		case <-u.idle:
		case <-u.link.done:
			return u.link.cause
		case <-ctx.Done():
			return errors.New("events were still unanswered at the end of the drain")
		}
	}
}
