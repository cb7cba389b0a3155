package pluginhost

import "time"

// timings are the times that the supervisor allows. They are not configuration:
// tests shorten them.
type timings struct {
	dump  time.Duration // for the goroutine dump after SIGQUIT
	prove time.Duration // of silence, after which its event is blamed for its end

	pingEvery  time.Duration
	pingWait   time.Duration
	pingMisses int           // in a row, until the process is killed
	stuck      time.Duration // holding only events nobody waits for, until it is killed

	// hold is for how long an event waits for a process before it is given
	// back. A plugin that has crashed once is there again within it, and the
	// events go on without a commit and a notice for each; another sidecar that
	// could take them does not wait long. Beyond it the plugin is in a crash
	// loop, failed or disabled, and may be down for hours.
	hold time.Duration

	backoffBase time.Duration
	backoffMax  time.Duration
	settled     time.Duration // ready for so long, and the backoff starts over

	crashMax    int           // ends and failed starts
	crashWindow time.Duration // in so long: it has failed
	probe       time.Duration // between the starts of one that has failed

	rescan      time.Duration // between looks at the plugin directory that nothing prompts
	stable      time.Duration // a file has not changed for so long, and is taken
	lookAgain   time.Duration // between looks while something changes
	changePause time.Duration // between changes of one plugin, after a few
	goneGrace   time.Duration // a file is not there for so long, and its plugin is removed
}

func defaultTimings() timings {
	return timings{
		dump:        time.Second,
		prove:       time.Second,
		pingEvery:   5 * time.Second,
		pingWait:    2 * time.Second,
		pingMisses:  3,
		stuck:       30 * time.Second,
		hold:        time.Second,
		backoffBase: 100 * time.Millisecond,
		backoffMax:  30 * time.Second,
		settled:     time.Minute,
		crashMax:    10,
		crashWindow: 10 * time.Minute,
		probe:       5 * time.Minute,
		rescan:      10 * time.Second, // and up to half of it more
		stable:      500 * time.Millisecond,
		lookAgain:   100 * time.Millisecond,
		changePause: 30 * time.Second,
		goneGrace:   10 * time.Second,
	}
}
