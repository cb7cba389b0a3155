package listen

import "net"

// IsLoopback reports whether a host, a name or an IP address, is this machine and
// cannot be reached from another.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
