package process

import "time"

// DefaultStartTimeout is how long a plugin may take until it is ready, unless its
// user says otherwise.
const DefaultStartTimeout = 10 * time.Second

// Timings are the times that a process is given. They are not configuration:
// tests shorten them.
type Timings struct {
	Grace    time.Duration // for a result after Cancel
	Idle     time.Duration // for Drained when there is nothing left to do
	Shutdown time.Duration // for the answer to Shutdown
	Lifeline time.Duration // to end after the lifeline is cut
	Term     time.Duration // to end after SIGTERM
	Reap     time.Duration // for the kernel to end it after SIGKILL
	Obituary time.Duration // for the exit status after the stream broke
	Memory   time.Duration // between measurements of its memory
	Settle   time.Duration // without a hello, until a program that reads lines is taken to have started
}

// DefaultTimings returns the times that processes are given outside of tests.
func DefaultTimings() Timings {
	return Timings{
		Grace:    2 * time.Second,
		Idle:     2 * time.Second,
		Shutdown: time.Second,
		Lifeline: 2 * time.Second,
		Term:     2 * time.Second,
		Reap:     2 * time.Second,
		Obituary: 200 * time.Millisecond,
		Memory:   time.Second,
		Settle:   500 * time.Millisecond,
	}
}
