package process

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Resources limit a plugin's use of the machine. The zero value leaves it
// all but core dumps, which would hold what events say.
type Resources struct {
	Memory    int64    // bytes of all processes of its group together; 0 for no limit
	OpenFiles uint64   // of each process; 0 for as many as the host
	Account   *Account // whose processes they are; nil for the host's own
	NoRoot    bool     // they must not be root's
}

// Permit returns an error if a plugin would run as root and must not.
func (r Resources) Permit(f catalog.Entry) error {
	if r.NoRoot && f.Kind != catalog.KindRemote {
		return fmt.Errorf("the sidecar runs as root, and so would the plugin %s: set HOOKSWITCH_PLUGIN_USER to a user that owns nothing else, or to root to allow it", f.Name)
	}
	return nil
}

// environment returns the variables that tell a plugin its limits, except
// those that it has.
//
// Go programs collect garbage more eagerly when they come near to GOMEMLIMIT,
// instead of growing until they are killed. A limit on address space
// (RLIMIT_AS) does not suit them: an idle one has reserved more than a gigabyte.
func (r Resources) environment(has []string) (add []string) {
	set := func(name, value string) {
		if !slices.ContainsFunc(has, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			add = append(add, name+"="+value)
		}
	}
	if r.Memory > 0 {
		set("GOMEMLIMIT", strconv.FormatInt(r.Memory/10*9, 10))
	}
	return add
}

// limit applies the limits to a process that has just been started. What the
// system does not permit is logged and skipped.
func (r Resources) limit(pid int, log *slog.Logger) {
	if err := setLimits(pid, r.OpenFiles); err != nil {
		log.Warn("limits of a plugin could not be set", "code", telemetry.CodePluginLimits, "error", err)
	}
	if err := offerToOOM(pid); err != nil {
		log.Debug("the kernel could not be told to kill the plugin before the sidecar", "error", err)
	}
}

// watchMemory kills the process group when it has too much, until the process
// has ended.
func (r *runner) watchMemory() {
	if r.res.Memory <= 0 {
		return
	}
	ticker := time.NewTicker(r.measure)
	defer ticker.Stop()
	for {
		select {
		case <-r.dead:
			return
		case <-ticker.C:
		}
		if used := r.groups.memory(r.pid); used > r.res.Memory {
			r.condemn(fmt.Errorf("killed by the host: memory: it had %d MiB, and plugins may have %d MiB", used>>20, r.res.Memory>>20))
			return
		}
	}
}

// condemn kills the process group, and records why as how it ended.
func (r *runner) condemn(why error) {
	r.mu.Lock()
	r.verdict = why
	r.mu.Unlock()
	r.signal(syscall.SIGKILL)
}

// groupsAge is how old the list of group members may be. Making it takes a look at
// every process of the machine.
const groupsAge = 2 * time.Second

// groups measures process groups. One serves all plugins of a host. It is safe
// for concurrent use.
type groups struct {
	mu      sync.Mutex
	at      time.Time     // of members
	members map[int][]int // process group → its processes
}

// memory returns how many bytes of memory the processes of a group occupy. What
// several of them share counts for each.
func (g *groups) memory(pgid int) (sum int64) {
	g.mu.Lock()
	if now := time.Now(); now.Sub(g.at) > groupsAge {
		g.members, g.at = processGroups(), now
	}
	members := g.members[pgid]
	g.mu.Unlock()
	leader := false
	for _, pid := range members {
		leader = leader || pid == pgid
		sum += residentMemory(pid, pgid)
	}
	if !leader { // younger than the list
		sum += residentMemory(pgid, pgid)
	}
	return sum
}
