// Package port finds ports for programs that keep theirs when they are restarted, so
// that they cannot be given 0.
package port

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Systems take the ports of outgoing connections from above most. One of those could
// be taken by such a connection while a program is restarted, or a client that looks
// for the program could even connect to itself.
const least, most = 20_000, 32_000

// given are the ports that other tests of the process have.
var given sync.Map

// Free returns a port of 127.0.0.1 that nobody listens on.
func Free(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		port := strconv.Itoa(least + rand.IntN(most-least))
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	tb.Fatal("no port is free")
	return ""
}
