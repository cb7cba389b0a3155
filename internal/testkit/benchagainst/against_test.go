//go:build unix

package benchagainst

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A figure is computed from the results of one run of one tree.
type figure struct {
	name string
	of   func(run) float64
}

// run has the metrics of one run: by benchmark, without its number of processors, and
// unit.
type run map[string]map[string]float64

const (
	verifying = "BenchmarkAccept/sqlite/verify-only/conns="
	durable   = "BenchmarkAccept/sqlite/durable/conns="
	cycle     = "BenchmarkCycle/sqlite/conns=64"
)

func share(conns string) figure {
	return figure{"durable / verify-only, " + conns + " connections", func(r run) float64 {
		return r[durable+conns]["events/s"] / r[verifying+conns]["events/s"]
	}}
}

// over is what one benchmark takes beyond verifying only.
func over(name, benchmark, unit string) figure {
	return figure{name, func(r run) float64 { return r[benchmark][unit] - r[verifying+"64"][unit] }}
}

var figures = []figure{
	share("16"), share("64"), share("256"),
	over("CPU µs over verify-only, accept, 64", durable+"64", "cpu-µs"),
	over("CPU µs over verify-only, cycle, 64", cycle, "cpu-µs"),
	{"cycles a second, 64", func(r run) float64 { return r[cycle]["cycles/s"] }},
	over("bytes written, accept, 64", durable+"64", "written-B"),
	over("bytes written, cycle, 64", cycle, "written-B"),
	{"p99 ms of the 200, 64", func(r run) float64 { return r[durable+"64"]["p99-ms"] }},
}

// longest bounds one run of a benchmark: the cycle never ends if an event was refused.
const longest = 2 * time.Minute

func TestAgainst(t *testing.T) {
	rev := os.Getenv("HOOKSWITCH_AGAINST")
	if rev == "" {
		t.Skip("HOOKSWITCH_AGAINST has no revision to compare with: make bench-against REV=...")
	}
	rounds := number(t, "HOOKSWITCH_AGAINST_ROUNDS", 9)
	events := number(t, "HOOKSWITCH_AGAINST_EVENTS", 4000)
	root := strings.TrimSpace(command(t, "", "git", "rev-parse", "--show-toplevel"))
	programs := map[string]string{"old": build(t, other(t, root, rev)), "new": build(t, root)}
	results := map[string][]run{}
	for round := range rounds {
		names := []string{"old", "new"}
		rand.Shuffle(2, func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			results[name] = append(results[name], measure(t, programs[name], events))
		}
		t.Logf("round %d of %d", round+1, rounds)
	}
	t.Logf("%-42s %10s %10s %18s %18s", "", "old", "new", "ratio of medians", "median of ratios")
	for _, f := range figures {
		olds, news, ratios := make([]float64, rounds), make([]float64, rounds), make([]float64, rounds)
		for i := range rounds {
			olds[i], news[i] = f.of(results["old"][i]), f.of(results["new"][i])
			ratios[i] = news[i] / olds[i]
		}
		t.Logf("%-42s %10.2f %10.2f %18.2f %18.2f", f.name, median(olds), median(news), median(news)/median(olds), median(ratios))
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(variable), strconv.Itoa(otherwise)))
	if err != nil || n < 1 {
		t.Fatalf("%s is %q: it must be a number from 1", variable, os.Getenv(variable))
	}
	return n
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// other checks the revision out beside this tree.
func other(t *testing.T, root, rev string) (dir string) {
	dir = filepath.Join(t.TempDir(), "tree")
	command(t, root, "git", "worktree", "add", "--detach", dir, rev)
	t.Cleanup(func() { command(t, root, "git", "worktree", "remove", "--force", dir) })
	return dir
}

func build(t *testing.T, dir string) (program string) {
	program = filepath.Join(t.TempDir(), "bench")
	command(t, dir, "go", "test", "-c", "-o", program, "./sidecar")
	return program
}

// measure runs each benchmark in a process of its own, so that the system says what
// it has cost. That includes the clients, and to sign what they send: all of which
// is the same in each benchmark, and cancels out in a difference.
func measure(t *testing.T, program string, events int) run {
	r := run{}
	for _, name := range []string{
		verifying + "16", verifying + "64", verifying + "256",
		durable + "16", durable + "64", durable + "256", cycle,
	} {
		metrics, err := benchmark(t, program, name, events)
		for try := 0; err != nil && try < 3; try++ { // a request may be refused where the machine is slow
			t.Log(err)
			metrics, err = benchmark(t, program, name, events)
		}
		if err != nil {
			t.Fatal(err)
		}
		r[name] = metrics
	}
	return r
}

func benchmark(t *testing.T, program, name string, events int) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, program, "-test.run=^$", "-test.bench="+pattern, fmt.Sprintf("-test.benchtime=%dx", events))
	out, err := cmd.Output()
	metrics := parse(string(out))[name]
	if err == nil && metrics == nil {
		err = errors.New("no result")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	metrics["cpu-µs"] = float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / float64(events)
	metrics["written-B"] = float64(use.Oublock) * 512 / float64(events)
	return metrics, nil
}

// parse reads lines such as "BenchmarkX/a-2   4000   79 ns/op   3.5 events/s".
func parse(output string) run {
	r := run{}
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0]
		if i := strings.LastIndexByte(name, '-'); i > 0 && !strings.ContainsAny(name[i+1:], "=/") {
			name = name[:i]
		}
		metrics := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			metrics[fields[i+1]], _ = strconv.ParseFloat(fields[i], 64)
		}
		r[name] = metrics
	}
	return r
}

func TestParse(t *testing.T) {
	r := parse("goos: linux\n" + durable + "64-2 \t 4000\t 79513 ns/op\t 12.50 cpu-µs\t 3000 events/s\nPASS\n")
	if got := r[durable+"64"]; len(r) != 1 || got["events/s"] != 3000 || got["cpu-µs"] != 12.5 {
		t.Errorf("parsed %v", r)
	}
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
