package accept

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func trusting(t testing.TB, list string) (p Proxies) {
	t.Helper()
	if err := p.UnmarshalText([]byte(list)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClientBehindProxies(t *testing.T) {
	const peer = "10.0.0.5:4711"
	for _, tt := range []struct {
		name, trusted, peer string
		header              []string
		want                string
		why                 doubt
	}{
		{"no proxy", "", "203.0.113.9:1", nil, "203.0.113.9:1", ""},
		{"nobody is believed", "", peer, []string{"203.0.113.9"}, peer, strangePeer},
		{"a stranger is not believed", "10.0.0.6", peer, []string{"203.0.113.9"}, peer, strangePeer},
		{"a proxy that says nothing", "10.0.0.5", peer, nil, peer, ""},
		{"one proxy", "10.0.0.5", peer, []string{"203.0.113.9"}, "203.0.113.9", ""},
		{"what the sender made up", "10.0.0.5", peer, []string{"192.0.2.1, 203.0.113.9"}, "203.0.113.9", ""},
		{"junk that the sender made up", "10.0.0.5", peer, []string{"<b>,,1.2.3, 203.0.113.9"}, "203.0.113.9", ""},
		{"two proxies", "10.0.0.0/8", peer, []string{"192.0.2.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9", ""},
		{"lines count as one list", "10.0.0.0/8", peer, []string{"192.0.2.1", "203.0.113.9,10.9.9.9", "10.7.7.7"}, "203.0.113.9", ""},
		{"a proxy that is not believed ends it", "10.0.0.5", peer, []string{"203.0.113.9, 10.9.9.9"}, "10.9.9.9", ""},
		{"all are proxies", "private", peer, []string{"192.168.1.1, 10.9.9.9"}, "192.168.1.1", ""},
		{"with a port", "10.0.0.5", peer, []string{"203.0.113.9:55"}, "203.0.113.9", ""},
		{"IPv6", "10.0.0.5", peer, []string{"2001:DB8::0:1"}, "2001:db8::1", ""},
		{"IPv6 in brackets", "10.0.0.5", peer, []string{"[2001:db8::1]"}, "2001:db8::1", ""},
		{"IPv6 with a port", "10.0.0.5", peer, []string{"[2001:db8::1]:55"}, "2001:db8::1", ""},
		{"IPv4 dressed as IPv6", "10.0.0.0/8", peer, []string{"203.0.113.9,::ffff:10.1.1.1"}, "203.0.113.9", ""},
		{"a peer dressed as IPv6", "10.0.0.5", "[::ffff:10.0.0.5]:1", []string{"203.0.113.9"}, "203.0.113.9", ""},
		{"a peer with a zone", "fe80::1", "[fe80::1%eth0]:1", []string{"203.0.113.9"}, "203.0.113.9", ""},
		{"loopback", "loopback", "[::1]:1", []string{"203.0.113.9"}, "203.0.113.9", ""},
		{"private is not loopback", "private", "127.0.0.1:1", []string{"203.0.113.9"}, "127.0.0.1:1", strangePeer},
		{"empty", "10.0.0.5", peer, []string{""}, peer, unreadable},
		{"spaces", "10.0.0.5", peer, []string{"  "}, peer, unreadable},
		{"ends in a comma", "10.0.0.5", peer, []string{"203.0.113.9,"}, peer, unreadable},
		{"unknown", "10.0.0.5", peer, []string{"203.0.113.9, unknown"}, peer, unreadable},
		{"junk between proxies", "10.0.0.0/8", peer, []string{"203.0.113.9, nginx, 10.1.1.1"}, peer, unreadable},
		{"a name", "10.0.0.5", peer, []string{"hooks.example.com"}, peer, unreadable},
		{"a zone", "10.0.0.5", peer, []string{"fe80::1%<script>"}, peer, unreadable},
		{"half a bracket", "10.0.0.5", peer, []string{"[2001:db8::1"}, peer, unreadable},
		{"a peer that is no address", "loopback", "@", []string{"203.0.113.9"}, "@", strangePeer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Proxies
			if tt.trusted != "" {
				p = trusting(t, tt.trusted)
			}
			got, why := p.client(tt.peer, http.Header{"X-Forwarded-For": tt.header})
			if got != tt.want || why != tt.why {
				t.Errorf("client %q, doubt %q; want %q, %q", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestProxiesSayWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ list, want string }{
		{"nginx", `has "nginx", which is not an IP address, and names are not looked up: write addresses`},
		{"10.0.0.5,", `has "", which is empty: remove a comma`},
		{"10.0.0.5/8", "write 10.0.0.0/8 for the network, or 10.0.0.5 for the address"},
		{"10.0.0.0/33", "which is not a network"},
		{"0.0.0.0/0", "which is everybody"},
		{"loopback,::/0", "which is everybody"},
		{"fe80::1%eth0", "which has a zone"},
		{"::ffff:10.0.0.0/104", "write it like 10.0.0.0/8"},
		{"a,b", `has "a", which is not an IP address, and names are not looked up: write addresses or networks such as 10.0.0.5,192.168.1.0/24, or loopback or private; has "b"`},
	} {
		var p Proxies
		err := p.UnmarshalText([]byte(tt.list))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.list, err, tt.want)
		}
		if p.believes(netip.MustParseAddr("127.0.0.1")) {
			t.Errorf("%s: a part of a wrong list is believed", tt.list)
		}
	}
	p := trusting(t, " Loopback, 10.0.0.0/8 ,2001:DB8::1,::ffff:192.0.2.1")
	if text, _ := p.MarshalText(); string(text) != "loopback,10.0.0.0/8,2001:db8::1,::ffff:192.0.2.1" {
		t.Errorf("shown as %s", text)
	}
	for addr, want := range map[string]bool{"127.1.2.3": true, "::1": true, "10.255.0.1": true, "11.0.0.1": false, "2001:db8::1": true, "192.0.2.1": true} {
		if p.believes(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: believed %v", addr, !want)
		}
	}
}

// FuzzForwardedFor: whatever the header says, the result is the peer, or an
// address of the header behind which only proxies stand.
func FuzzForwardedFor(f *testing.F) {
	f.Add("203.0.113.9", "10.1.1.1", true)
	f.Add("a,[::1]:5,10.0.0.1", "", true)
	f.Add("fe80::1%x", ",,", false)
	p := trusting(f, "10.0.0.0/8,loopback")
	f.Fuzz(func(t *testing.T, first, second string, proxy bool) {
		peer := "203.0.113.1:1"
		if proxy {
			peer = "10.0.0.5:1"
		}
		got, why := p.client(peer, http.Header{"X-Forwarded-For": {first, second}})
		if got == peer {
			if why == "" {
				t.Error("not believed, without a reason")
			}
			return
		}
		addr, err := netip.ParseAddr(got)
		if err != nil || !proxy || why != "" || addr.Zone() != "" || addr != addr.Unmap() {
			t.Fatalf("%q of %q, %q: %v, doubt %q", got, first, second, err, why)
		}
		hops := strings.Split(first+","+second, ",")
		for i := len(hops) - 1; i >= 0; i-- {
			at, ok := hop(hops[i])
			if ok && at == addr {
				return
			}
			if ok && !p.believes(at) {
				t.Fatalf("%q stands before %s, which is not a proxy", got, at)
			}
		}
		t.Fatalf("%q is not in %q, %q", got, first, second)
	})
}
