package plugincheck

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// byHand runs the program the way a person would, without a host.
func (v *verifier) byHand() {
	v.check("run by hand", "without the cookie it says what it is, and ends", func() (string, error) {
		path, err := filepath.Abs(v.path)
		if err != nil {
			return "", skip(err.Error())
		}
		scratch, err := newScratch("")
		if err != nil {
			return "", skip(err.Error())
		}
		defer scratch.close()
		ctx, cancel := context.WithTimeout(v.ctx, verifyByHand)
		defer cancel()
		cmd := exec.CommandContext(ctx, path)
		cmd.Dir, cmd.Env = scratch.work, process.Environ(v.cfg.Environ, v.cfg.Env)
		cmd.WaitDelay = time.Second
		text, err := cmd.CombinedOutput()
		switch _, exited := errors.AsType[*exec.ExitError](err); {
		case ctx.Err() != nil:
			return "", fmt.Errorf("it was still running after %v", verifyByHand)
		case err != nil && !exited:
			return "", skip("it cannot be run: " + err.Error())
		}
		for line := range bytes.Lines(text) {
			if process.IsHandshake(line) {
				return "", errors.New("it prints a handshake to anybody who runs it")
			}
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return "", errors.New("it says nothing")
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		return fmt.Sprintf("%.70q", first), nil
	})
}

func (s *session) shutdown() (string, error) {
	ctx, cancel := s.within(verifyEnd)
	defer cancel()
	begun := time.Now()
	err := s.proc.Conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) == codes.Unimplemented {
		return "", skip("it does not have it, and ends by the lifeline")
	}
	return s.endsBy(begun)
}

// endsBy waits until the process ends by itself.
func (s *session) endsBy(begun time.Time) (string, error) {
	select {
	case <-s.proc.Dead():
		return "after " + time.Since(begun).Round(time.Millisecond).String(), nil
	case <-time.After(verifyEnd):
		return "", fmt.Errorf("it was still running after %v", time.Since(begun).Round(time.Millisecond))
	case <-s.v.ctx.Done():
		return "", s.v.ctx.Err()
	}
}

func (s *session) brokenSettings() (string, error) {
	ctx, cancel := s.within(cmp.Or(s.cfg.StartTimeout, DefaultStartTimeout))
	defer cancel()
	resp, err := s.client().Configure(ctx, &pluginpb.ConfigureRequest{Name: s.Report.Name, ConfigJson: []byte(`{"`)})
	if err != nil {
		return "", s.withExit(err)
	}
	if _, err := s.describeAgain(); err != nil {
		return "", s.withExit(err)
	}
	if len(resp.GetErrors()) == 0 {
		return "ignored", nil
	}
	e := resp.GetErrors()[0]
	return "refused: " + strings.TrimPrefix(e.GetField()+": "+e.GetMessage(), ": "), nil
}

func (s *session) surviveSignals() (string, error) {
	events, err := s.events(min(verifyBatch, s.sender.capacity()), nil)
	if err != nil {
		return "", err
	}
	type answer struct {
		got string
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		got, err := s.deliver(events, nil)
		answered <- answer{got, err}
	}()
	s.proc.Signal(syscall.SIGTERM)
	s.proc.Signal(syscall.SIGINT)
	a := <-answered
	if a.err == nil {
		a.got, a.err = s.keepDelivering()
	}
	if a.err != nil && s.proc.Lines != nil && s.proc.WaitDone(verifyEnd) {
		return "", skip("it ends then: its events come again")
	}
	return a.got, a.err
}

// keepDelivering sends events for a while, one after the other. A program may react
// to a signal only after it has answered the events that it has, so it must be
// kept busy until then.
func (s *session) keepDelivering() (got string, err error) {
	begun := time.Now()
	for n := 0; n < verifyRounds || time.Since(begun) < verifyWhile; n++ {
		if got, err = s.deliver(s.events(1, nil)); err != nil {
			return got, err
		}
		select {
		case <-s.proc.Dead():
			return "", s.withExit(errors.New("it ended"))
		case <-s.v.ctx.Done():
			return "", s.v.ctx.Err()
		case <-time.After(verifyWhile / verifyRounds):
		}
	}
	return got, nil
}

func (s *session) loseLifeline() (string, error) {
	if _, err := s.underWay(verifyBatch); err != nil {
		return "", err
	}
	begun := time.Now()
	s.proc.Cut()
	return s.endsBy(begun)
}
