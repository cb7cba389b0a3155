package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// tampers are the values of --tamper, each of which a receiver has to refuse.
var tampers = []string{"body", "signature", "timestamp", "key"}

// volley is a number of events that "hookswitch trigger" sends.
type volley struct {
	to     string
	key    ed25519.PrivateKey
	tamper string // one of tampers, or ""
	count  int
	rate   adminapi.Rate // events per second, 0: as fast as it goes
	next   func() (body []byte, e *webhook.Event, contentType string, err error)
	out    io.Writer
	notes  io.Writer

	json bool // sum up as JSON

	mu    sync.Mutex
	took  []time.Duration
	codes map[int]int
	ids   []string // of events that were accepted
}

// request returns the signed request of a new event, or one that is tampered with.
func (v *volley) request(ctx context.Context) (*http.Request, *webhook.Event, error) {
	body, e, contentType, err := v.next()
	if err != nil {
		return nil, nil, err
	}
	key := v.key
	if v.tamper == "key" {
		if _, key, err = ed25519.GenerateKey(nil); err != nil {
			return nil, nil, err
		}
	}
	now := time.Now()
	timestamp, signature := webhook.Sign(key, now, body)
	switch v.tamper {
	case "body":
		body = bytes.Clone(body)
		if len(body) == 0 {
			body = []byte(" ")
		}
		body[len(body)/2] ^= 1
	case "signature":
		first := "A"
		if signature[0] == 'A' {
			first = "B"
		}
		signature = first + signature[1:]
	case "timestamp":
		timestamp = strconv.FormatInt(now.Unix()-1, 10)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.to, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "hookswitch-trigger/"+version)
	return req, e, nil
}

func (v *volley) client() *http.Client {
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: volleyClients},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // to Telnyx a redirect is a failure
		},
	}
}

// unreachable adds what to do when nothing answers.
func (v *volley) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("nothing listens at %s: start \"hookswitch dev\" in another terminal, or name your receiver with --to", v.to)
	}
	return &exitError{exitUnreachable, err}
}

// one sends one event and shows the result. It returns the event if it was
// accepted.
func (v *volley) one(ctx context.Context) (*webhook.Event, error) {
	req, e, err := v.request(ctx)
	if err != nil {
		return nil, err
	}
	how := "signed with the development key"
	if v.tamper != "" {
		how = "with a wrong " + v.tamper
	}
	fmt.Fprintf(v.out, "→ POST %s   %s, %d bytes, %s\n", v.to, typeName(e.Type), req.ContentLength, how)
	start := time.Now()
	res, err := v.client().Do(req)
	if err != nil {
		return nil, v.unreachable(err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only shown
	fmt.Fprintf(v.out, "← %d in %s   event %s\n", res.StatusCode, roundDuration(time.Since(start)), cmp.Or(e.ID, "without an id"))
	switch accepted := res.StatusCode == http.StatusOK; {
	case v.tamper != "" && accepted:
		return nil, fmt.Errorf("the receiver accepted a request with a wrong %s: it does not verify signatures", v.tamper)
	case v.tamper != "":
		fmt.Fprintln(v.out, "  refused, as it should be")
		return nil, nil
	case !accepted:
		hint := ""
		if res.StatusCode == http.StatusUnauthorized {
			hint = "\nthe receiver must accept the development key: \"hookswitch dev\" does, and \"hookswitch keys dev --export\" prints it for a receiver of your own"
		}
		return nil, fmt.Errorf("not accepted: %s%s", oneLine(string(bytes.TrimSpace(answer))), hint)
	}
	return e, nil
}

// volleyClients is how many events are under way at the same time.
const volleyClients = 16

// many sends them all, and sums up.
func (v *volley) many(ctx context.Context) error {
	v.codes = make(map[int]int)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, turns := v.client(), make(chan struct{})
	var done atomic.Int64
	var wg sync.WaitGroup
	for range min(volleyClients, v.count) {
		wg.Go(func() {
			for range turns {
				if err := v.send(ctx, client); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	start := time.Now()
	p := newProgress(v.notes, "sent", v.count)
	v.pace(ctx, turns, func() { p.at(int(done.Load())) })
	close(turns)
	wg.Wait()
	p.end()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return v.sum(ctx, time.Since(start))
}

// pace hands out a turn for each event, no faster than the rate.
func (v *volley) pace(ctx context.Context, turns chan<- struct{}, between func()) {
	start := time.Now()
	for i := range v.count {
		between()
		if v.rate > 0 {
			due := start.Add(time.Duration(float64(i) / float64(v.rate) * float64(time.Second)))
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(due)):
			}
		}
		select {
		case <-ctx.Done():
			return
		case turns <- struct{}{}:
		}
	}
}

func (v *volley) send(ctx context.Context, client *http.Client) error {
	req, e, err := v.request(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return v.unreachable(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // to use the connection again
	res.Body.Close()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.codes[res.StatusCode]++
	if res.StatusCode == http.StatusOK {
		v.ids = append(v.ids, e.ID)
	}
	v.took = append(v.took, time.Since(start))
	return nil
}

// sum prints the summary.
func (v *volley) sum(ctx context.Context, took time.Duration) error {
	slices.Sort(v.took)
	quantile := func(q float64) time.Duration { return roundDuration(v.took[int(q*float64(len(v.took)-1))]) }
	if len(v.took) == 0 {
		return &exitError{exitInterrupted, errors.New("interrupted before the first answer")}
	}
	if v.json {
		result := volleyResult{
			URL: v.to, Sent: len(v.took), Answers: v.codes, Seconds: took.Seconds(),
			P50: quantile(0.5).Seconds(), P99: quantile(0.99).Seconds(), Accepted: append([]string{}, v.ids...),
		}
		if err := json.NewEncoder(v.out).Encode(result); err != nil {
			return err
		}
		return v.judge(ctx)
	}
	var codes []string
	for code, n := range v.codes {
		codes = append(codes, fmt.Sprintf("%d: %d", code, n))
	}
	slices.Sort(codes)
	fmt.Fprintf(v.out, "sent %d events in %s (%.3g/s)   answers %s   p50 %s  p99 %s\n", len(v.took), roundDuration(took),
		float64(len(v.took))/took.Seconds(), strings.Join(codes, ", "), quantile(0.5), quantile(0.99))
	return v.judge(ctx)
}

// volleyResult is the output of "hookswitch trigger -o json". Fields are only ever
// added.
type volleyResult struct {
	URL      string      `json:"url"`
	Sent     int         `json:"sent"`
	Answers  map[int]int `json:"answers"` // by status
	Seconds  float64     `json:"seconds"`
	P50      float64     `json:"p50_seconds"`
	P99      float64     `json:"p99_seconds"`
	Accepted []string    `json:"accepted"` // ids of events
}

// judge returns an error if the answers are not the expected ones.
func (v *volley) judge(ctx context.Context) error {
	accepted := v.codes[http.StatusOK]
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, fmt.Errorf("interrupted: %d were not sent", v.count-len(v.took))}
	case v.tamper != "" && accepted > 0:
		return fmt.Errorf("the receiver accepted %d requests with a wrong %s: it does not verify signatures", accepted, v.tamper)
	case v.tamper == "" && accepted < len(v.took):
		return fmt.Errorf("%d were not accepted", len(v.took)-accepted)
	}
	return nil
}
