// Package benchagainst compares the way of an event through this tree with that
// through another revision of it, on the machine it runs on: make bench-against.
//
// The benchmarks of both trees are built and take turns, since a shared machine is
// not equally fast from one minute to the next: what is compared is the median of
// each, and the ratios within each round. It needs git, and a clone that has the
// revision. It measures the store in SQLite, and judges nothing.
package benchagainst
