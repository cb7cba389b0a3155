package pluginhost

import (
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// State is the state of a plugin's supervisor.
type State string

// The states of a plugin.
//
//	verifying ──► starting ──► ready ──► draining ──► stopped
//	    │            │ ▲         │
//	    │            ▼ │         │ the process ended, or hung
//	    │          backoff ◄─────┘
//	    ▼            │ too often
//	  failed ◄───────┘            disabled: by an operator
//
// Events wait in the store while a plugin is not ready. Only stopped is final: a
// failed plugin is tried now and then, and started at once when its file or its
// settings change or an operator asks.
const (
	StateVerifying State = "verifying" // its file is checked and copied
	StateStarting  State = "starting"  // from the exec to the first event it could take
	StateReady     State = "ready"     // takes events
	StateBackoff   State = "backoff"   // ended or did not start; waits for the next start
	StateFailed    State = "failed"    // ended too often, or cannot start as it is
	StateDisabled  State = "disabled"  // an operator does not want it to run
	StateDraining  State = "draining"  // finishes the events it has
	StateStopped   State = "stopped"   // and will not start again
)

// Status is a snapshot of a plugin, for people and for metrics.
type Status struct {
	Name     string // "archive"; the target is "plugin:archive"
	File     string // the path of its file
	Misfit   bool   // the file is not a plugin: its name, which is Name then, cannot be that of one
	State    State
	Since    time.Time // of the state
	Enabled  bool
	PID      int       // of the process, 0 if there is none
	Up       time.Time // when the process became ready, zero if none is
	Version  string    // as last described
	SDK      string    // likewise
	Patterns []string  // the event types it wants, as last described
	Digest   string    // SHA-256 of the program that runs, or is to run
	Rollback bool      // an operator has gone back to an older program than the file is

	Restarts    int // how often a process was started after one had ended or failed
	Reloads     int // how often a process took over from one that was well
	LastError   string
	LastErrorAt time.Time
	Update      *Update // the update that did not work, if it is still what the file is

	InFlight     int // events that the plugin has now
	Credit       int // how many it is willing to have
	Suspects     int // events that were there when a process died
	StrayResults int // results that nobody waited for, of the current process
	DroppedLines int // lines of log that the current process wrote too fast

	Meter
}

// Update is a new program, or new settings, that did not come up. The old process
// keeps running.
type Update struct {
	Digest string
	Reason string
	At     time.Time
}

// Target returns the name by which the dispatcher knows the plugin.
func (s *Status) Target() string { return delivery.Plugin.Target(s.Name) }
