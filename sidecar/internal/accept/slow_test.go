package accept_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// TestSlowStrangersDoNotKeepEventsOut: as many requests as there is room for say
// half of what they announce, with a signature that may be anybody's. A genuine
// event is stored all the same, each time, and the oldest of them pay.
func TestSlowStrangersDoNotKeepEventsOut(t *testing.T) {
	const places = 2048
	if n := listen.Limit(); n > 0 && n < 3*places {
		t.Skipf("the limit of open files is %d, too few for both ends of %d connections", n, places)
	}
	f := start(t, nil)
	head := fmt.Sprintf("POST /webhooks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"+
		"Telnyx-Timestamp: %d\r\nTelnyx-Signature-Ed25519: %s\r\n\r\n{", time.Now().Unix(), base64.StdEncoding.EncodeToString(make([]byte, 64)))
	conns := make([]net.Conn, places)
	for i := range conns {
		c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	for range 3 {
		if res, answer := f.send(t, "/webhooks", webhooktest.Sample("message.received")); res.StatusCode != http.StatusOK {
			t.Fatalf("a genuine event was answered %d %s", res.StatusCode, answer)
		}
	}
	// Whether one of them was shed depends on whether all had begun; with one
	// more they certainly have.
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, places)
	for _, c := range conns {
		go func() {
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second)) // longer than the server's own limit
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				answered <- err.Error()
				return
			}
			res.Body.Close()
			answered <- fmt.Sprint(res.StatusCode, res.Header["Retry-After"], res.Close)
		}()
	}
	select {
	case got := <-answered:
		if got != "503 [1] true" {
			t.Errorf("one that has lost its place was answered %s", got)
		}
	case <-time.After(9 * time.Second): // before readTimeout
		t.Error("nobody has lost a place")
	}
	for _, c := range conns {
		c.Close()
	}
	f.stop()
	if !strings.Contains(f.log.String(), "code=request-shed") {
		t.Errorf("the log:\n%.2000s", f.log)
	}
}
