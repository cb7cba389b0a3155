package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// setLimits bounds open files and forbids core dumps. The process has begun to
// run by then, but not to do anything with events.
func setLimits(pid int, files uint64) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, new(unix.Rlimit), nil); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if files == 0 {
		return nil
	}
	var now unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	files = min(files, now.Max) // only root may raise it
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}, nil); err != nil {
		return fmt.Errorf("limit open files to %d: %w", files, err)
	}
	return nil
}

// oomOffer is how much sooner than the host a plugin is killed by a kernel that
// runs out of memory, of 1000.
const oomOffer = 500

func offerToOOM(pid int) error {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return os.WriteFile(procFile(pid, "oom_score_adj"), []byte(strconv.Itoa(min(own+oomOffer, 1000))), 0)
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// processGroups lists the processes of the machine by group.
func processGroups() map[int][]int {
	entries, _ := os.ReadDir("/proc") // without it each leader is measured alone
	groups := make(map[int][]int)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields := procStat(pid); fields != nil {
			if pgid, err := strconv.Atoi(fields[statGroup]); err == nil {
				groups[pgid] = append(groups[pgid], pid)
			}
		}
	}
	return groups
}

// residentMemory returns the memory of a process, or 0 if it is no longer in the
// group: its number may have been reused.
func residentMemory(pid, pgid int) int64 {
	fields := procStat(pid)
	if fields == nil || fields[statGroup] != strconv.Itoa(pgid) {
		return 0
	}
	pages, err := strconv.ParseInt(fields[statResident], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Fields of /proc/PID/stat behind the name, which proc(5) counts from 3.
const (
	statGroup    = 5 - 3
	statResident = 24 - 3
)

// procStat returns the fields behind the name, which may itself contain spaces
// and parentheses; nil if the process is gone.
func procStat(pid int) []string {
	text, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= statResident {
		return nil
	}
	return fields
}
