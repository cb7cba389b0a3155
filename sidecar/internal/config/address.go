package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// Listener is an address that the sidecar listens on, and the variable that
// says so.
type Listener struct{ Variable, Address string }

// Listeners returns the addresses that c has the sidecar listen on.
func (c *Config) Listeners() []Listener {
	list := []Listener{{"HOOKSWITCH_LISTEN", c.Listen}, {"HOOKSWITCH_ADMIN_LISTEN", c.AdminListen}}
	if c.MetricsListen != "" {
		list = append(list, Listener{"HOOKSWITCH_METRICS_LISTEN", c.MetricsListen})
	}
	return list
}

// target is a URL that the sidecar sends to, and the variable that has it.
type target struct{ variable, url string }

// targets returns the URLs that events and alerts are sent to.
func (c *Config) targets() []target {
	var list []target
	if c.ForwardTo != "" {
		list = append(list, target{"HOOKSWITCH_FORWARD_TO", c.ForwardTo})
	}
	for _, r := range c.Routes {
		list = append(list, target{r.prefix() + "TO", r.To})
	}
	if c.AlertURL != "" {
		list = append(list, target{"HOOKSWITCH_ALERT_URL", string(c.AlertURL)})
	}
	return list
}

func (c *Config) validateListen(problem *Error) {
	all := c.Listeners()
	for i, l := range all {
		if err := checkListen(l.Address); err != nil {
			problem.add(l.Variable, err.Error())
			continue
		}
		for _, other := range all[:i] {
			if samePlace(l.Address, other.Address) {
				problem.add(l.Variable, "is the address of "+other.Variable+": give each listener a port of its own")
			}
		}
	}
}

// checkListen reports what is wrong with an address to listen on.
func checkListen(address string) error {
	if strings.Contains(address, "://") {
		return errors.New("is a URL: write an address such as :8080 or 127.0.0.1:8080")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		if strings.Count(address, ":") > 1 && !strings.Contains(address, "[") {
			return errors.New("is not an address: write one of IPv6 in brackets, like [::1]:8080")
		}
		return errors.New("is not an address: write it like :8080 or 127.0.0.1:8080")
	}
	if host == "*" {
		return fmt.Errorf("has no host that can be listened on: write :%s for all addresses of this machine", port)
	}
	if _, err := portNumber(port); err != nil {
		return err
	}
	if host != "" {
		return checkHost(host)
	}
	return nil
}

// portNumber returns the number of a port. 0 is that of any free one.
func portNumber(port string) (int, error) {
	if n, err := strconv.ParseInt(port, 10, 64); err == nil {
		if n < 0 || n > 65535 || port[0] == '+' {
			return 0, fmt.Errorf("has the port %s, and a port is a number up to 65535", port)
		}
		return int(n), nil
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil || port == "" {
		return 0, fmt.Errorf("has the port %q, which is not a number up to 65535: write it like :8080", port)
	}
	return n, nil
}

// checkHost reports what is wrong with an IP address or the name of a host.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	bad := name == "" || len(name) > 253
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		// An underscore is not allowed, but common in the names that compose
		// gives to services.
		bad = bad || label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool {
				return r < 0x80 && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
			})
		last = label
	}
	if bad {
		return fmt.Errorf("has the host %q, which is neither a name nor an IP address", untrusted.Clip(host, maxShown))
	}
	if strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("has the host %q, which is not an IP address: one has four numbers up to 255", untrusted.Clip(host, maxShown))
	}
	return nil
}

// checkURL reports what is wrong with a URL to send to; example is a good one. It only
// repeats the host: the rest may be secret.
func checkURL(text, example string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is not an http or https URL: write it like " + example)
	case u.Hostname() == "":
		return errors.New("has no host: write it like " + example)
	}
	if port := u.Port(); port != "" {
		n, err := portNumber(port)
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("has the port 0, which nothing can listen on: write it like " + example)
		}
	}
	return checkHost(u.Hostname())
}

// samePlace reports whether the texts of two addresses show that they cannot both
// be listened on.
func samePlace(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	m, errA := portNumber(portA)
	n, errB := portNumber(portB)
	if errA != nil || errB != nil || m != n || m == 0 {
		return false
	}
	return strings.EqualFold(hostA, hostB) || isWildcard(hostA) || isWildcard(hostB)
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// lookupLimit bounds how long the name of a host is looked up for a warning.
const lookupLimit = time.Second

// ownListener returns the listener that a URL leads to, if it is one of the
// sidecar's own: its events would come back to it. The addresses of the URL and
// of the listener are compared, not their text, since the same place has many
// spellings: a name, localhost, [::1], 0.0.0.0, an address of this machine.
func ownListener(ctx context.Context, text string, listeners []Listener) (own Listener, found bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return Listener{}, false
	}
	to, err := portNumber(cmp.Or(u.Port(), u.Scheme)) // "http" and "https" are names of ports as well
	if err != nil {
		return Listener{}, false
	}
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			continue
		}
		if n, err := portNumber(port); err != nil || n != to || n == 0 {
			continue
		}
		if reaches(ctx, u.Hostname(), host) {
			return l, true
		}
	}
	return Listener{}, false
}

// reaches reports whether what is sent to a host arrives at a listener on
// another, or the same one.
func reaches(ctx context.Context, to, listening string) bool {
	if strings.EqualFold(to, listening) {
		return true
	}
	ours := addresses(ctx, listening)
	for _, ip := range addresses(ctx, to) {
		if ip.IsUnspecified() { // what is sent there goes to this machine
			ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if to == "::" || to == "[::]" {
				ip = netip.IPv6Loopback()
			}
		}
		for _, own := range ours {
			if own == ip || own.IsUnspecified() && (ip.IsLoopback() || ofThisMachine(ip)) {
				return true
			}
		}
	}
	return false
}

// addresses returns those of a host: an empty one is that of all addresses.
func addresses(ctx context.Context, host string) []netip.Addr {
	if host == "" {
		return []netip.Addr{netip.IPv6Unspecified()}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap().WithZone("")}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	list, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host) // a name that is not known leads nowhere
	for i := range list {
		list[i] = list[i].Unmap().WithZone("")
	}
	return list
}

// ofThisMachine reports whether an address is one of this machine's.
func ofThisMachine(ip netip.Addr) bool {
	all, _ := net.InterfaceAddrs() // what is not known is not compared
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap().WithZone("") == ip {
			return true
		}
	}
	return false
}
