package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/internal/durable"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// appFile is in the data directory while an app runs beside the sidecar.
const appFile = "app.json"

// appMark is the environment variable that marks the processes of an app.
const appMark = "RUN_BY_HOOKSWITCH"

// appRun is the record of the started app. A sidecar that is killed cannot stop
// its app; on Linux the kernel tells the process that the sidecar started, but
// not its children, and a shell that is told leaves the server behind. So the
// next start ends what is left.
//
// A group's number may have been reused by then. A process belongs to the app if
// it has the mark in its environment, which children inherit, or is the started
// process itself: with this number, started at that time in this boot.
type appRun struct {
	Group   int    `json:"group"`   // number of the process group, and of the process that was started; 0 if it is about to be
	Started string `json:"started"` // when that was, in the system's terms
	Mark    string `json:"mark"`    // value of appMark
	Command string `json:"command"`
}

// write stores r where the next start looks.
func (r appRun) write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, appFile), text)
}

// endLeftover ends what is left of the app if the last sidecar on the data
// directory was killed: SIGTERM, and SIGKILL after limit. The caller owns the
// directory.
func endLeftover(dir string, limit time.Duration, log *slog.Logger) {
	path := filepath.Join(dir, appFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var last appRun
	if err == nil {
		err = json.Unmarshal(text, &last)
	}
	if err == nil && last.Group == 0 {
		last.Group = groupOf(last.Mark) // killed at the moment of the start
	}
	if err == nil && last.Group > 1 && isLeftover(last) {
		log.Warn("the app of the last run is still there, since that run was killed: ending it", "code", telemetry.CodeAppLeft, "group", last.Group, "command", last.Command)
		err = endLast(last, limit)
	}
	if err != nil {
		log.Error("what is left of the app of the last run could not be ended: it may hold the port of the next", "code", telemetry.CodeAppLeft, "file", path, "error", err)
	}
	_ = os.Remove(path) // it is of no more use
}

// endLast ends a process group known to be the last app's.
func endLast(last appRun, limit time.Duration) error {
	if err := signalGroup(last.Group, false); err != nil {
		return err
	}
	if goneWithin(last, limit) {
		return nil
	}
	if err := signalGroup(last.Group, true); err != nil {
		return err
	}
	if !goneWithin(last, limit) {
		return fmt.Errorf("process group %d is still there after SIGKILL", last.Group)
	}
	return nil
}

// goneWithin waits for the end of the remaining processes.
func goneWithin(last appRun, limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for isLeftover(last) {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}
