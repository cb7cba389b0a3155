// Package service is the plugin's side of the protocol, without the process
// around it: a gRPC service that hands events to a [webhook.Mux]. Package sdk
// serves it to a host, and package sdktest to a test.
package service

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// MessageMax is the size in bytes of the largest gRPC message on either side.
const MessageMax = 16 << 20

// Config is what a [Service] is made from. All fields are required except
// Configure.
type Config struct {
	Name        string
	Version     string
	Mux         *webhook.Mux
	MaxInFlight int // events handled at the same time
	Configure   func(ctx context.Context, settings []byte) error
	Log         *slog.Logger
}

// Service implements the plugin service. It is safe for concurrent use.
type Service struct {
	pluginpb.UnimplementedPluginServiceServer

	cfg     Config
	stop    chan struct{} // closed by Stop
	endOnce sync.Once

	running sync.WaitGroup // handlers
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, stop: make(chan struct{})}
}

// Describe says what the plugin is.
func (s *Service) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{
		Name:         s.cfg.Name,
		Version:      s.cfg.Version,
		Sdk:          "hookswitch-go",
		Language:     "go",
		Patterns:     s.cfg.Mux.Patterns(),
		Capabilities: &pluginpb.Capabilities{DeliverStream: true},
		MaxInFlight:  uint32(s.cfg.MaxInFlight),
	}, nil
}

// Configure hands the settings to the plugin. Its error is for the operator of
// the host.
func (s *Service) Configure(ctx context.Context, req *pluginpb.ConfigureRequest) (resp *pluginpb.ConfigureResponse, err error) {
	resp = new(pluginpb.ConfigureResponse)
	if s.cfg.Configure == nil {
		if len(req.GetConfigJson()) > 0 {
			s.cfg.Log.Warn("this plugin has no settings; its settings file is ignored")
		}
		return resp, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = status.Errorf(codes.Internal, "configure panicked: %v", v)
		}
	}()
	if err := s.cfg.Configure(ctx, req.GetConfigJson()); err != nil {
		resp.Errors = append(resp.Errors, &pluginpb.ConfigError{Message: valid(err.Error())})
	}
	return resp, nil
}

// Handle handles one event: the minimal profile, for hosts that want no stream.
func (s *Service) Handle(ctx context.Context, req *pluginpb.HandleRequest) (*pluginpb.HandleResponse, error) {
	s.running.Add(1)
	defer s.running.Done()
	ctx, cancel := s.withStop(ctx)
	defer cancel()
	var res *pluginpb.Result
	finished := make(chan struct{})
	go func() { // a handler that ends its goroutine must not end the server's
		defer close(finished)
		s.handle(ctx, req.GetEvent(), func(r *pluginpb.Result) { res = r })
	}()
	<-finished
	return &pluginpb.HandleResponse{Result: res}, nil
}

// Stop cancels the contexts of all events. It may be called again.
func (s *Service) Stop() { s.endOnce.Do(func() { close(s.stop) }) }

// Wait waits until no handler is running, for at most d, and reports whether
// none is.
func (s *Service) Wait(d time.Duration) bool {
	idle := make(chan struct{})
	go func() {
		s.running.Wait()
		close(idle)
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

func (s *Service) withStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
