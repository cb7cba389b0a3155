package accept

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// forwardedFor is the header in which a proxy names its client. Others are not
// read: a proxy that writes this one passes on a "Forwarded" or an "X-Real-IP"
// that the sender has made up, and nothing tells which of them a proxy wrote.
const forwardedFor = "X-Forwarded-For"

// Proxies are the peers whose X-Forwarded-For is believed. The zero value
// believes nobody.
type Proxies struct {
	items []string // as they were written
	nets  []netip.Prefix
}

// networks are the words for networks that need no numbers.
var networks = map[string][]netip.Prefix{
	"loopback": prefixes("127.0.0.0/8", "::1/128"),
	"private":  prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}

func prefixes(list ...string) (nets []netip.Prefix) {
	for _, text := range list {
		nets = append(nets, netip.MustParsePrefix(text))
	}
	return nets
}

// UnmarshalText parses addresses and networks, separated by commas. It reports
// all that is wrong with them.
func (p *Proxies) UnmarshalText(text []byte) error {
	*p = Proxies{}
	var wrong []string
	for item := range strings.SplitSeq(string(text), ",") {
		item = strings.ToLower(strings.TrimSpace(item))
		nets, err := network(item)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("has %q, %v", untrusted.Clip(item, maxPath), err))
			continue
		}
		p.items, p.nets = append(p.items, item), append(p.nets, nets...)
	}
	if len(wrong) > 0 {
		*p = Proxies{}
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// MarshalText returns the list as UnmarshalText reads it.
func (p Proxies) MarshalText() ([]byte, error) { return []byte(strings.Join(p.items, ",")), nil }

// network returns the networks of one item of the list.
func network(item string) ([]netip.Prefix, error) {
	if nets := networks[item]; nets != nil {
		return nets, nil
	}
	const like = "write addresses or networks such as 10.0.0.5,192.168.1.0/24, or loopback or private"
	if item == "" {
		return nil, errors.New("which is empty: remove a comma")
	}
	if addr, err := netip.ParseAddr(item); err == nil {
		if addr.Zone() != "" {
			return nil, errors.New("which has a zone: leave out what begins with the percent sign")
		}
		addr = addr.Unmap()
		return []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	net, err := netip.ParsePrefix(item)
	switch {
	case err != nil && strings.Contains(item, "/"):
		return nil, errors.New("which is not a network: " + like)
	case err != nil:
		return nil, errors.New("which is not an IP address, and names are not looked up: " + like)
	case net.Addr().Is4In6():
		return nil, errors.New("which is an IPv4 network in the form of IPv6: write it like 10.0.0.0/8")
	case net.Bits() == 0:
		return nil, errors.New("which is everybody, so that everybody could claim any address: give the network of the proxy")
	case net != net.Masked():
		return nil, fmt.Errorf("which is an address and a network: write %s for the network, or %s for the address", net.Masked(), net.Addr())
	}
	return []netip.Prefix{net}, nil
}

// believes reports whether a peer is one of the proxies.
func (p Proxies) believes(addr netip.Addr) bool {
	return slices.ContainsFunc(p.nets, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// doubt is the reason why a header that names the sender was not believed.
type doubt string

const (
	strangePeer doubt = "it is not in HOOKSWITCH_TRUSTED_PROXIES"
	unreadable  doubt = "its X-Forwarded-For is not a list of addresses"
)

// client returns the address of the sender of a request that came from a peer,
// "host:port": the peer itself, or what the proxies between say. Each proxy
// appends the address that it heard from, so the list is read from its end, and
// the first address that is not a proxy's is the sender's: what stands before it
// may be made up. If all are proxies, the first one began. The result has no port
// then. A list with anything else on that way is not believed at all.
func (p Proxies) client(peer string, header http.Header) (string, doubt) {
	lines := header.Values(forwardedFor)
	if len(lines) == 0 {
		return peer, ""
	}
	last, err := netip.ParseAddrPort(peer)
	if err != nil || !p.believes(plain(last.Addr())) {
		return peer, strangePeer
	}
	client := ""
	for _, line := range slices.Backward(lines) {
		for line != "" {
			cut := strings.LastIndexByte(line, ',')
			addr, ok := hop(line[cut+1:])
			if !ok {
				return peer, unreadable
			}
			client, line = addr.String(), line[:max(cut, 0)]
			if !p.believes(addr) {
				return client, ""
			}
		}
	}
	if client == "" {
		return peer, unreadable // lines without anything in them
	}
	return client, ""
}

// hop parses one address of X-Forwarded-For. Some proxies add the port.
func hop(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t")
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(text)
		addr = with.Addr()
	}
	return plain(addr), err == nil && addr.Zone() == "" // a zone may be any text
}

// plain returns an address in its one form: without a zone, and an IPv4 address
// not dressed as one of IPv6.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// proxied holds the proxies in effect, and whether it was said that they are not
// those that webhooks come through.
type proxied struct {
	Proxies
	said atomic.Bool
}

// SetProxies changes which peers are believed about the sender of a request, from
// now on.
func (s *Server) SetProxies(p Proxies) { s.proxies.Store(&proxied{Proxies: p}) }

// identify returns the request with the address of its sender for that of the
// peer. The connection keeps its own: the limits on connections are about peers.
func (s *Server) identify(r *http.Request) (*http.Request, doubt) {
	client, why := s.proxies.Load().client(r.RemoteAddr, r.Header)
	if client == r.RemoteAddr {
		return r, why
	}
	r = r.WithContext(r.Context()) // a handler leaves the request that it was given as it is
	r.RemoteAddr = client
	return r, why
}

// warnOfProxy says once that a genuine webhook came through a proxy that was not
// believed. Telnyx sends no such header; what anybody else sends proves nothing.
func (s *Server) warnOfProxy(r *http.Request) {
	if of(r).doubt == "" || s.proxies.Load().said.Swap(true) {
		return
	}
	peer := r.RemoteAddr
	if ap, err := netip.ParseAddrPort(peer); err == nil {
		peer = plain(ap.Addr()).String()
	}
	s.cfg.Log.Warn("webhooks come through a proxy that is not believed about who sent them, so log and records have the proxy's address",
		"code", telemetry.CodeProxyDoubted, "proxy", peer, "reason", string(of(r).doubt), "fix", of(r).doubt.fix(peer))
}

// fix says what would make the header believed.
func (d doubt) fix(peer string) string {
	if d == strangePeer {
		return "add " + peer + " to HOOKSWITCH_TRUSTED_PROXIES, or remove X-Forwarded-For there"
	}
	return "have the proxy send the IP address of its client"
}
