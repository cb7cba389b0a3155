package config

import (
	"net"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// Admin says where the sidecar can be inspected and managed, and by whom.
type Admin struct {
	AdminListen string `env:"HOOKSWITCH_ADMIN_LISTEN" envDefault:"127.0.0.1:9080" desc:"address of the delivery records and the API" example:"0.0.0.0:9080"`

	// AdminSocket is the path of a socket for the commands of this program,
	// which only its user may open. The default is in DataDir.
	AdminSocket string `env:"HOOKSWITCH_ADMIN_SOCKET" desc:"path of the socket for the commands; by default in the data directory" example:"/run/hookswitch/admin.sock"`

	// AdminToken is the bearer token of the delivery record API. Without it
	// any token will do, and AdminListen must be a loopback address.
	AdminToken Secret `env:"HOOKSWITCH_ADMIN_TOKEN" desc:"bearer token of the admin listener; required unless it is on loopback" reload:"true" secret:"true"`

	// AdminHosts are the host names, besides those of this machine, that
	// AdminListen answers for. Without a token it answers for no others; with
	// one, for any, unless some are given here.
	AdminHosts []string `env:"HOOKSWITCH_ADMIN_HOSTS" desc:"host names that the admin listener answers for, besides localhost; with a token, any by default" example:"ops.example.com,10.0.0.5" reload:"true"`

	// AdminReadOnly refuses all changes on AdminListen. The commands on this
	// machine use AdminSocket, which still takes them.
	AdminReadOnly bool `env:"HOOKSWITCH_ADMIN_READONLY" envDefault:"false" desc:"refuse all changes on the admin listener; the socket still accepts them" reload:"true"`

	Pprof bool `env:"HOOKSWITCH_PPROF" envDefault:"false" desc:"serve profiles of the program under /debug/pprof/ on the admin listener"`

	// MetricsListen is an address that serves the metrics, and nothing else,
	// to scrapers without a token. They are on AdminListen in any case.
	MetricsListen string `env:"HOOKSWITCH_METRICS_LISTEN" desc:"address that serves /metrics to scrapers without a token"`
}

// validateAdmin checks who can reach the admin listener.
func (c *Config) validateAdmin(problem *Error) {
	if host, _, err := net.SplitHostPort(c.AdminListen); err == nil && c.AdminToken == "" && !listen.IsLoopback(host) {
		problem.add("HOOKSWITCH_ADMIN_LISTEN", "can be reached from other machines: set HOOKSWITCH_ADMIN_TOKEN, or listen on 127.0.0.1")
	}
	for _, host := range c.AdminHosts {
		if host == "" || strings.ContainsAny(host, "/@ *") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			problem.add("HOOKSWITCH_ADMIN_HOSTS", "has an item that is not a host name: write names without scheme and port, such as ops.example.com,10.0.0.5")
		}
	}
}
