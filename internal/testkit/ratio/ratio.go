//go:build unix

// Package ratio compares what things cost on a machine whose speed changes by the
// second: it lets them take turns, and compares CPU time within each turn.
package ratio

import (
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// Medians returns the CPU time of each case relative to the first: the median of
// the ratios of n rounds, but of 41 at least and 410 at most. In each round the
// cases take turns in random order.
func Medians(n int, cases ...func()) []float64 {
	const rounds, calls = 41, 60
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	all := make([][]float64, len(cases))
	for range max(rounds, min(n, 10*rounds)) {
		spent := make([]float64, len(cases))
		for _, i := range rand.Perm(len(cases)) {
			before := cpuTime()
			for range calls {
				cases[i]()
			}
			spent[i] = float64(cpuTime() - before)
		}
		for i := range cases {
			all[i] = append(all[i], spent[i]/spent[0])
		}
	}
	medians := make([]float64, len(cases))
	for i := range all {
		slices.Sort(all[i])
		medians[i] = all[i][len(all[i])/2]
	}
	return medians
}

// cpuTime is the CPU time of this process, the garbage collector included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
