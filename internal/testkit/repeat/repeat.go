// Package repeat says how often tests repeat what they compute in bulk: random
// inputs, and combinations of them.
package repeat

import "testing"

// Times returns n, or with -short a tenth of it, but at least one.
//
// "make check" runs every test two or three times: as it is ("make test"), with
// the race detector and a newer Go ("make newergo"), and for 386 ("make ports").
// The first has all the repetitions. The others run with -short: they look for
// races and for what depends on the size of an int, which a tenth of the inputs
// shows as well, and under them a repetition takes up to twenty times as long.
//
// It is for the number of repetitions only: what is checked, each case of a table,
// and each type of an event is the same with -short.
func Times(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}
