package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// load FILE N: sends events from N clients until the sidecar is gone, and
// writes the id of each that was acknowledged to FILE. It returns when a few
// dozen were; the rest happens while the script continues.
func cmdLoad(ts *testscript.TestScript, _ bool, args []string) {
	clients, err := strconv.Atoi(args[1])
	ts.Check(err)
	sample, _ := event.Sample("message.received")
	id := webhook.Decode("application/json", sample).ID
	url, key := ts.Getenv("WEBHOOKS"), worldOf(ts).key
	file := ts.MkAbs(args[0])

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	enough := make(chan struct{})
	acked := make(chan string)
	for range clients {
		wg.Go(func() {
			client := &http.Client{Transport: new(http.Transport)}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				own := uuid.NewString()
				body := bytes.ReplaceAll(sample, []byte(id), []byte(own))
				res, err := client.Do(signedRequest(url, key, time.Now(), body))
				if err != nil {
					return // the sidecar has stopped listening
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					acked <- own
				}
			}
		})
	}
	go func() { wg.Wait(); close(acked) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n := 0
		for own := range acked {
			if err := appendLine(file, []byte(own)); err != nil {
				panic(err) // the ledger is the test
			}
			if n++; n == 50 {
				close(enough)
			}
		}
	}()
	worldOf(ts).load = done
	ts.Defer(func() { cancel(); <-done })
	select {
	case <-enough:
	case <-time.After(patience):
		ts.Fatalf("no load within %v", patience)
	}
}

// allcalled LEDGER CALLS: waits until the load has ended, and then until each
// id in the ledger was handled.
func cmdAllCalled(ts *testscript.TestScript, _ bool, args []string) {
	select {
	case <-worldOf(ts).load:
	case <-time.After(patience):
		ts.Fatalf("the load has not ended: is the sidecar still there?")
	}
	soon(ts, func() error {
		calls := map[string]bool{}
		f, err := os.Open(ts.MkAbs(args[1]))
		if err != nil {
			return err
		}
		defer f.Close()
		scanner := bufio.NewScanner(f)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			var c call
			if json.Unmarshal(scanner.Bytes(), &c) == nil { // the last line may be under way
				calls[c.ID] = true
			}
		}
		ids := strings.Fields(ts.ReadFile(args[0]))
		missing := 0
		for _, id := range ids {
			if !calls[id] {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d acknowledged events were not handled", missing, len(ids))
		}
		ts.Logf("%d acknowledged events, all handled", len(ids))
		return nil
	})
}

// allstored LEDGER EXPORT: each event of a ledger of load is in an export.
func cmdAllStored(ts *testscript.TestScript, _ bool, args []string) {
	export := ts.ReadFile(args[1])
	ids := strings.Fields(ts.ReadFile(args[0]))
	if len(ids) == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
	for _, id := range ids {
		if !strings.Contains(export, `"id":"`+id+`"`) {
			ts.Fatalf("%s was acknowledged and is not in %s", id, args[1])
		}
	}
}
