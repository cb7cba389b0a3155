// Package simulation runs the core of the sidecar in a world of its own: the
// SQLite store, the dispatcher, retention and replays are the real ones; the disk,
// the clocks and the targets are made up, and all follow from one seed. A model
// that knows only what was promised judges what happens.
//
// It consists of tests: start with TestSimulation, and "make simulate". The world
// is one bubble of testing/synctest, so hours take seconds.
//
// # What follows from the seed
//
// The same seed gives the same history. Each call of the store, and each answer of
// a target, begins at an instant of its own, which follows from the seed and from
// what the call is about. Syncs take time, so the groups of commits are those that
// arrived during the sync before. At nearly every instant one chain of effects is
// under way; and there is one processor, so where two begin at the same nanosecond,
// such as the loops of all targets after a step of the clock, their order rarely
// changes. It is left to chance, and so are: which case a select takes when two are
// ready, SQLite's own random numbers (salts in its log, which nothing depends on),
// and what a killed process does until its goroutines have ended, which the world
// does not see.
//
// # What is simulated
//
// The files are real ones, in memory where the system has a file system for that: so
// SQLite's shared memory and locks are what they are. What a disk would hold after a
// power cut, and which writes and syncs fail, is the layer's below SQLite (package
// faultvfs). A bubble has one clock, which cannot be set: so steps of the wall clock
// are added to what the store is given and to what the dispatcher and retention read,
// and the wall clock is never behind the bubble's. Package accept is not in it: the
// driver calls the store and wakes the dispatcher as that package does. Nor are routes
// that pass an answer through, and the reserve on a small disk: the store asks the
// system how much room there is, and what is full here are single writes.
package simulation
