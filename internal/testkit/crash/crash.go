// Package crash judges a crash test: from a ledger of what was acknowledged
// and what each target saw, and from nothing else, it says whether an
// acknowledged event was lost.
//
// The driver, which kills sidecars, writes the ledger with [Ledger]; [Judge]
// reads it. Program check is Judge as a process of its own.
package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// Entry is a line of a ledger.
type Entry struct {
	Kind   string `json:"kind"` // "targets", "acked", "took" or "kill"
	ID     string `json:"id,omitempty"`
	Target string `json:"target,omitempty"`

	// Targets are all that must get every event. Of a ledger's first line.
	Targets []string `json:"targets,omitempty"`

	// InFlight is how many attempts at one target there may have been at a
	// kill.
	InFlight int `json:"in_flight,omitempty"`
}

// Ledger is a file that entries are appended to. It is safe for concurrent use.
type Ledger struct {
	mu sync.Mutex
	f  *os.File // guarded by mu
}

// Create makes the ledger of a run that delivers to these targets.
func Create(path string, targets ...string) (*Ledger, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	l := &Ledger{f: f}
	return l, l.Write(Entry{Kind: "targets", Targets: targets})
}

// Write appends an entry.
func (l *Ledger) Write(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.f.Write(append(line, '\n'))
	return err
}

// Close closes the file.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

// Verdict is the result of reading a ledger.
type Verdict struct {
	Acked, Kills int
	Lost         map[string][]string // by target, acknowledged events that it never took
	Repeated     map[string]int      // by target, how often it took an event again
	Bound        int                 // how often a target may have
}

// OK reports whether nothing was lost and no more repeated than was in flight.
func (v *Verdict) OK() bool {
	for _, ids := range v.Lost {
		if len(ids) > 0 {
			return false
		}
	}
	for _, n := range v.Repeated {
		if n > v.Bound {
			return false
		}
	}
	return v.Acked > 0 && v.Kills > 0
}

// String says it in a few lines.
func (v *Verdict) String() string {
	text := fmt.Sprintf("%d events acknowledged, %d kills, at most %d repetitions allowed at each target", v.Acked, v.Kills, v.Bound)
	for target, ids := range v.Lost {
		text += fmt.Sprintf("\n%s: %d lost, %d repeated", target, len(ids), v.Repeated[target])
		if len(ids) > 0 {
			text += fmt.Sprintf(": %v", ids[:min(len(ids), 10)])
		}
	}
	return text
}

// Judge reads a ledger. It returns an error if it cannot be read.
func Judge(r io.Reader) (*Verdict, error) {
	v := &Verdict{Lost: make(map[string][]string), Repeated: make(map[string]int)}
	acked := make(map[string]bool)
	took := make(map[string]map[string]int)
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		var e Entry
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("crash: ledger: %w", err)
		}
		switch e.Kind {
		case "targets":
			for _, name := range e.Targets {
				took[name] = make(map[string]int)
			}
		case "acked":
			acked[e.ID] = true
		case "took":
			if took[e.Target] == nil {
				return nil, fmt.Errorf("crash: ledger: there is no target %q", e.Target)
			}
			took[e.Target][e.ID]++
		case "kill":
			v.Kills++
			v.Bound += e.InFlight
		default:
			return nil, fmt.Errorf("crash: ledger: entry of kind %q", e.Kind)
		}
	}
	v.Acked = len(acked)
	for name, events := range took {
		v.Lost[name] = nil
		for id := range acked {
			if events[id] == 0 {
				v.Lost[name] = append(v.Lost[name], id)
			}
		}
		slices.Sort(v.Lost[name])
		for _, n := range events {
			v.Repeated[name] += n - 1
		}
	}
	return v, scanner.Err()
}
