package pluginhost

import (
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

// unary is the carrier of plugins that implement only Handle: one call for
// each event, whose deadline is the event's timeout and the grace.
type unary struct {
	link   *link
	client pluginpb.PluginServiceClient
	health grpc_health_v1.HealthClient
	grace  time.Duration

	mu      sync.Mutex
	seq     uint64
	running int
	idle    chan struct{} // has room for one: the last call was answered
}

func openUnary(l *link, conn grpc.ClientConnInterface, inFlight int, grace time.Duration) {
	l.carrier = &unary{
		link:   l,
		client: pluginpb.NewPluginServiceClient(conn),
		health: grpc_health_v1.NewHealthClient(conn),
		grace:  grace,
		idle:   make(chan struct{}, 1),
	}
	l.window.resize(max(inFlight, 1))
}

func (u *unary) send(e *pluginpb.Event) *call {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.link.isClosing() { // under the lock, so that drain counts what passes
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
	resp, err := u.client.Handle(ctx, &pluginpb.HandleRequest{Event: e})
	switch {
	case err == nil:
		res := resp.GetResult()
		if res == nil {
			res = new(pluginpb.Result)
		}
		c.result <- res
	case status.Code(err) == codes.Unavailable, status.Code(err) == codes.Canceled:
		// The connection broke, which is how the death of the process
		// begins to show, or the host closed it.
		u.link.end(err)
	case ctx.Err() == nil:
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

// cancel has nothing to do: the deadline of the call says it all.
func (u *unary) cancel(*call) bool { return true }
func (u *unary) abandon(*call)     {}
func (u *unary) stuck() bool       { return false }
func (u *unary) strays() int       { return 0 }

func (u *unary) ping(ctx context.Context) error {
	resp, err := u.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: healthService})
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	if err == nil && resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		err = errors.New("health check: " + resp.GetStatus().String())
	}
	return err
}

func (u *unary) drain(ctx context.Context, _ time.Duration) error {
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
