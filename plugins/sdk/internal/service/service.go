// Package service is the plugin's side of the protocol, without the process
// around it: a gRPC service that hands events to a [webhook.Mux]. Package sdk
// serves it to a host, and package sdktest to a test.
package service

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// MessageMax is the size in bytes of the largest gRPC message on either side.
const MessageMax = 16 << 20

// defaultInFlight is how many events a plugin handles at once. Handlers mostly
// wait for others; a plugin can ask for fewer.
const defaultInFlight = 64

// Config configures a [Service]. All fields are required except where noted.
type Config struct {
	Name        string
	Version     string
	Mux         *webhook.Mux
	MaxInFlight int // events handled at the same time; 0 means 64
	Log         *slog.Logger

	// Configure and Schema are nil for a plugin without settings.
	Configure func(ctx context.Context, settings []byte) Configured
	Schema    []byte
}

// Configured is the result of applying settings.
type Configured struct {
	Errors      []FieldError
	Patterns    []string // of the events that are wanted; nil: those of the Mux
	MaxInFlight int      // 0: that of Config
}

// FieldError is package sdk's type of that name.
type FieldError struct {
	Field   string
	Message string
}

// Service implements the plugin service. It is safe for concurrent use.
type Service struct {
	pluginpb.UnimplementedPluginServiceServer

	cfg     Config
	stop    chan struct{} // closed by Stop
	endOnce sync.Once

	running sync.WaitGroup // handlers

	mu     sync.Mutex
	places chan struct{} // holds one for each running handler; replaced by Configure
}

// New returns a Service.
func New(cfg Config) *Service {
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultInFlight
	}
	return &Service{
		cfg:    cfg,
		stop:   make(chan struct{}),
		places: make(chan struct{}, cfg.MaxInFlight),
	}
}

// MaxInFlight returns how many events are handled at the same time.
func (s *Service) MaxInFlight() int { return cap(s.room()) }

func (s *Service) room() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places
}

// Describe describes the plugin.
func (s *Service) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{
		Name:         s.cfg.Name,
		Version:      s.cfg.Version,
		Sdk:          "hookswitch-go",
		Language:     "go",
		Patterns:     s.cfg.Mux.Patterns(),
		Capabilities: &pluginpb.Capabilities{DeliverStream: true},
		MaxInFlight:  uint32(s.MaxInFlight()),

		ConfigJsonSchema: s.cfg.Schema,
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
			s.cfg.Log.Error("configure panicked", "panic", v, "stack", string(debug.Stack()))
			err = status.Errorf(codes.Internal, "configure panicked: %v", v)
		}
	}()
	got := s.cfg.Configure(ctx, req.GetConfigJson())
	for _, e := range got.Errors {
		resp.Errors = append(resp.Errors, &pluginpb.ConfigError{Field: valid(e.Field), Message: valid(e.Message)})
	}
	if got.MaxInFlight > 0 {
		s.mu.Lock()
		s.places = make(chan struct{}, got.MaxInFlight)
		s.mu.Unlock()
	}
	resp.Patterns, resp.MaxInFlight = got.Patterns, uint32(got.MaxInFlight)
	return resp, nil
}

// Handle handles one event: the minimal profile, for hosts that want no stream.
func (s *Service) Handle(ctx context.Context, req *pluginpb.HandleRequest) (*pluginpb.HandleResponse, error) {
	places, ok := s.enter()
	if !ok {
		return &pluginpb.HandleResponse{Result: overload(req.GetEvent().GetSeq())}, nil
	}
	ctx, cancel := s.withStop(ctx)
	defer cancel()
	var res *pluginpb.Result
	finished := make(chan struct{})
	go func() { // a handler that ends its goroutine must not end the server's
		defer close(finished)
		defer s.running.Done()
		defer func() { <-places }()
		s.handle(ctx, req.GetEvent(), func(r *pluginpb.Result) { res = r })
	}()
	<-finished
	return &pluginpb.HandleResponse{Result: res}, nil
}

// enter takes a place for a handler, and reports whether there was one. For a
// host that keeps to the protocol there always is, except after a broken stream,
// whose handlers still have theirs. The caller receives from the channel when
// the handler has ended, and calls running.Done when nothing is left to do.
func (s *Service) enter() (<-chan struct{}, bool) {
	places := s.room()
	select {
	case places <- struct{}{}:
		s.running.Add(1)
		return places, true
	default:
		return nil, false
	}
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
