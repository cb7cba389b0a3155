//go:build unix

package webhook_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/ratio"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// What the official Go SDK (telnyx-go v4.97.0, read and unwrap) costs in units
// of the bare signature check, as recorded on another machine: the module
// cannot be fetched where these benchmarks run, so they compare with the
// recorded ratio.
const (
	sdkSeed  = 2.90 // the documented deliveryUpdate event, compacted
	sdkLarge = 18.4 // a message of 20 kB
)

// BenchmarkRatios reports the CPU time of a whole event in units of the bare
// check of the same signature ("B"), on the same bytes. The cases take turns
// in random order, and the ratio is the median of those of the rounds, since
// the speed of a shared machine changes by the second.
func BenchmarkRatios(b *testing.B) {
	for _, size := range []struct {
		name string
		body []byte
		sdk  float64
	}{
		{"seed", compactSample(b, "message.sent"), sdkSeed},
		{"20kB", largeMessage(b), sdkLarge},
	} {
		signer := webhooktest.NewSigner()
		v := &webhook.Verifier{Keys: signer.Keys(), Tolerance: 24 * time.Hour}
		nop := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		var mux webhook.Mux
		webhook.On(&mux, event.MessageSent, func(context.Context, *webhook.Event, *event.Message) error { return nil })
		r := newReplay(signer, size.body)
		timestamp, text := webhook.Sign(signer.PrivateKey(), time.Now(), size.body)
		message, sig := append([]byte(timestamp+"|"), size.body...), decodeBase64(b, text)
		w := nullWriter{http.Header{}}
		var byJSON webhook.Mux // decodes the payload with encoding/json, as was done once
		byJSON.Handle("message.sent", func(_ context.Context, e *webhook.Event) error {
			return json.Unmarshal(e.Payload, new(event.Message))
		})
		handler, typed, old := v.Handler(nop), v.Handler(&mux), v.Handler(&byJSON)
		ratios := ratio.Medians(b.N,
			func() {
				if !ed25519.Verify(signer.Public(), message, sig) {
					panic("invalid")
				}
			},
			func() { handler.ServeHTTP(w, r.again()) },
			func() { typed.ServeHTTP(w, r.again()) },
			func() { old.ServeHTTP(w, r.again()) },
		)
		b.ReportMetric(ratios[1], size.name+":envelope/B")
		b.ReportMetric(ratios[2], size.name+":typed/B")
		b.ReportMetric(ratios[3], size.name+":typed-by-encoding/json/B")
		b.ReportMetric(ratios[1]/size.sdk, size.name+":envelope/recorded-SDK")
		b.ReportMetric(ratios[2]/size.sdk, size.name+":typed/recorded-SDK")
	}
	b.ReportMetric(0, "ns/op")
}

// largeMessage is a message to many, of about 20 kB.
func largeMessage(b *testing.B) []byte {
	to := make([]map[string]string, 160)
	for i := range to {
		to[i] = map[string]string{"phone_number": fmt.Sprintf("+1555010%04d", i), "status": "queued",
			"carrier": "Example Wireless of Somewhere", "line_type": "Wireless"}
	}
	body, err := event.Edit(webhooktest.Sample("message.sent"), "application/json", event.Change{Path: "payload.to", Value: to})
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, body); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkStalledUploads opens a thousand connections that announce 1 MiB and
// send five bytes. It reports how much more memory is resident, and how many
// of the handlers the middleware's own deadline freed.
func BenchmarkStalledUploads(b *testing.B) {
	const clients = 1000
	for range b.N {
		signer := webhooktest.NewSigner()
		var freed atomic.Int32
		done := make(chan struct{})
		v := &webhook.Verifier{Keys: signer.Keys(), BodyTimeout: 3 * time.Second}
		v.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			webhook.Deny(w, r)
			if freed.Add(1) == clients {
				close(done)
			}
		}))
		server := httptest.NewServer(v.Handler(http.NotFoundHandler()))
		before := resident(b)
		conns := make([]net.Conn, 0, clients)
		head := signer.NewRequest("/", make([]byte, 1<<20)).Header
		for range clients {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, conn)
			var text bytes.Buffer
			text.WriteString("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n")
			if err := head.Write(&text); err != nil {
				b.Fatal(err)
			}
			text.WriteString("\r\nxxxxx")
			if _, err := conn.Write(text.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		after := resident(b)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
		}
		b.ReportMetric(float64(after-before)/(1<<20), "MiB-more")
		b.ReportMetric(float64(freed.Load()), "freed-of-1000")
		for _, c := range conns {
			c.Close()
		}
		server.Close()
	}
}

// resident returns the resident memory of this process in bytes.
func resident(b *testing.B) int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skipf("resident memory can be read on Linux only: %v", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// BenchmarkDedupeMemory reports what a million remembered events take.
func BenchmarkDedupeMemory(b *testing.B) {
	const ids = 1_000_000
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := new(webhook.MemoryDedupe)
		for i := range ids {
			key := "id:" + strconv.Itoa(i)
			_, _ = d.Claim(context.Background(), key)
			_ = d.Done(context.Background(), key)
		}
		missed := 0
		for i := range ids {
			if c, _ := d.Claim(context.Background(), "id:"+strconv.Itoa(i)); c != webhook.Seen {
				missed++
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/ids, "B/entry")
		b.ReportMetric(float64(missed), "missed")
		runtime.KeepAlive(d)
	}
}
