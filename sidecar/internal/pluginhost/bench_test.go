//go:build unix

package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// BenchmarkDeliver is one event to a process that does nothing, and its result,
// by how the two travel and how many are under way at the same time. The body
// has 1.2 KB. The processes answer without looking at the event, except for sdk:
// that is the stream to a plugin made with the SDK, which decodes it and calls
// a handler in a goroutine. http is a POST to a server on loopback.
//
//	go test -run '^$' -bench Deliver ./sidecar/internal/pluginhost
func BenchmarkDeliver(b *testing.B) {
	work := task(1, "ack")
	work.Event.Body = append(work.Event.Body, bytes.Repeat([]byte(" "), 1100)...)
	for _, way := range []struct {
		name  string
		start func(b *testing.B) peer
	}{
		{"stream", func(b *testing.B) peer { return benchPlugin(b, "widestream", work, nil) }},
		{"sdk", func(b *testing.B) peer { return benchPlugin(b, "wide", work, nil) }},
		{"jsonl", func(b *testing.B) peer {
			return benchPlugin(b, "quick", work, func(c *Config) {
				writeManifest(b, c, "quick", `{"protocol":"jsonl","command":["quick"],"events":["*"],"max_in_flight":256}`)
			})
		}},
		{"unary", func(b *testing.B) peer { return benchPlugin(b, "wideunary", work, nil) }},
		{"http", func(b *testing.B) peer { return benchHTTP(b, work.Event.Body) }},
	} {
		for _, callers := range []int{1, 8, 64, 256} {
			b.Run(fmt.Sprintf("%s/inflight=%d", way.name, callers), func(b *testing.B) {
				benchCallers(b, callers, way.start(b))
			})
		}
	}
}

// peer is the process at the other end.
type peer struct {
	pid  int
	call func() error // sends it an event and waits for the answer
}

// benchCallers makes b.N calls, so many at a time, and reports how long they
// take, and the time on the processor of both processes together, which depends
// less on what else the machine does.
func benchCallers(b *testing.B, callers int, p peer) {
	if err := p.call(); err != nil { // connected, and warm
		b.Fatal(err)
	}
	took := make([][]time.Duration, callers)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	cpu := cpuTime(os.Getpid()) + cpuTime(p.pid)
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				begun := time.Now()
				if err := p.call(); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(begun))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	cpu = cpuTime(os.Getpid()) + cpuTime(p.pid) - cpu
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) == 0 {
		return
	}
	micros := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Nanoseconds()) / 1e3 }
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(micros(0.5), "p50-µs")
	b.ReportMetric(micros(0.99), "p99-µs")
	if cpu > 0 {
		b.ReportMetric(float64(cpu.Microseconds())/float64(len(all)), "cpu-µs/event")
	}
}

// cpuTime returns how long a process has been on a processor, where /proc says
// it; in steps of 10 ms.
func cpuTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * 10 * time.Millisecond
}

func benchPlugin(b *testing.B, program string, work delivery.Task, edit func(*Config)) peer {
	s := startSetup(b, func(c *Config) {
		c.Log = slog.New(slog.DiscardHandler)
		if edit != nil {
			edit(c)
		}
	}, program)
	p := s.plugin(b, program)
	return peer{pid: p.Status().PID, call: func() error {
		a, err := p.Deliver(b.Context(), work)
		if err == nil && a.Outcome != delivery.OutcomeDone {
			err = fmt.Errorf("outcome %s: %s", a.Outcome, a.Error)
		}
		return err
	}}
}

func benchHTTP(b *testing.B, body []byte) peer {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	server := &exec.Cmd{Path: exe, Args: []string{"httpd"}, Env: append(os.Environ(), process.CookieKey+"=x")}
	stdout, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	out := bufio.NewScanner(stdout)
	if !out.Scan() {
		b.Fatal("the server does not listen")
	}
	url := "http://" + out.Text() + "/"
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return peer{pid: server.Process.Pid, call: func() error {
		ctx, cancel := context.WithTimeout(b.Context(), soon) // as a forward has
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}}
}

// BenchmarkStart is one plugin from the start of its process to the first event
// that it could take, and its stop.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := startSetup(b, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) }, "good")
		s.Stop()
	}
}
