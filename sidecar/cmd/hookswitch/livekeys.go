package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// liveKeys are the keys of a live view, if standard input and output are a terminal.
// Everything they do can be done by a command, too.
type liveKeys struct {
	screen  *console
	connect func() (*client, error)
	quit    func()
}

const keysHelp = "keys: r retry the latest failure, o open the latest event, c copy its id, / filter, q quit, ? help"

// watch starts to read keys. The returned function ends that and restores the
// terminal; it may be called more than once.
func (k *liveKeys) watch(ctx context.Context) (stop func()) {
	if !isTerminal(k.screen.out) || k.screen.form == "json" || variables(config.Environ())["TERM"] == "dumb" {
		return func() {}
	}
	board := openKeyboard(os.Stdin)
	if board == nil {
		return func() {}
	}
	onAbort(ctx, board.close) // of the second Ctrl-C
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer board.close() // also in a panic
		k.screen.note(keysHelp)
		board.run(ctx, func(typed []byte) { k.press(ctx, typed) })
	}()
	return func() {
		board.close()
		cancel()
		<-done
	}
}

// severalBytes is what keys such as arrows send.
var severalBytes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|O.)`)

// press does what keys are for. Keys that send several bytes, such as arrows, do
// nothing.
func (k *liveKeys) press(ctx context.Context, typed []byte) {
	for _, key := range severalBytes.ReplaceAllString(string(typed), "") {
		if k.screen.typing(key) {
			continue
		}
		var err error
		switch key {
		case 'r':
			err = k.retry(ctx)
		case 'o':
			err = k.open(ctx)
		case 'c':
			k.copy()
		case 'q':
			k.quit()
		case '?', 'h':
			k.screen.note(keysHelp)
		}
		if err != nil && ctx.Err() == nil {
			k.screen.note(err.Error())
		}
	}
}

// retry delivers the latest event that failed again, to the target that failed.
func (k *liveKeys) retry(ctx context.Context) error {
	_, failed := k.screen.shown()
	if failed.DeliveryID == "" {
		k.screen.note("nothing that was shown has failed")
		return nil
	}
	api, err := k.connect()
	if err != nil {
		return err
	}
	var r adminapi.Replay
	req := adminapi.ReplayRequest{Filter: adminapi.Filter{IDs: []string{failed.DeliveryID}}, To: []string{failed.Target}}
	if err := api.call(ctx, http.MethodPost, "/replays", nil, req, &r); err != nil {
		return err
	}
	k.screen.note(fmt.Sprintf("%s is delivered again to %s", strings.TrimSpace(short(cmp.Or(failed.ID, failed.DeliveryID))), failed.Target))
	return nil
}

// open shows the latest event with its attempts.
func (k *liveKeys) open(ctx context.Context) error {
	latest, _ := k.screen.shown()
	if latest.DeliveryID == "" {
		k.screen.note("no event was shown yet")
		return nil
	}
	api, err := k.connect()
	if err != nil {
		return err
	}
	var e adminapi.Event
	if err := api.get(ctx, "/events/"+url.PathEscape(latest.DeliveryID), nil, &e); err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("%s  %s  received %s, %d bytes, %s", cmp.Or(e.ID, e.DeliveryID), typeName(e.Type), clock(e.ReceivedAt), e.BodySize, e.Status)}
	for i := len(e.Attempts) - 1; i >= 0; i-- {
		a := e.Attempts[i]
		answer := a.Error
		if a.Error == "" && a.ResponseStatus != 0 {
			answer = fmt.Sprint(a.ResponseStatus)
		}
		lines = append(lines, fmt.Sprintf("attempt %d at %s, %s: %s %s", a.N, a.Target, clock(a.StartedAt), a.Outcome, answer))
	}
	lines = append(lines, "all of it: hookswitch events get "+cmp.Or(e.ID, e.DeliveryID))
	k.screen.note(lines...)
	return nil
}

// copy puts the id of the latest event into the clipboard of the terminal (OSC 52),
// which not every terminal allows: the id is shown, too.
func (k *liveKeys) copy() {
	latest, _ := k.screen.shown()
	id := cmp.Or(latest.ID, latest.DeliveryID)
	if id == "" {
		k.screen.note("no event was shown yet")
		return
	}
	if o, ok := k.screen.out.(*outlet); ok {
		o.clipboard(id)
	}
	k.screen.note("copied " + id)
}

// clipboard hands a text to the terminal's clipboard.
func (o *outlet) clipboard(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = fmt.Fprintf(o.to, "\x1b]52;c;%s\a", base64.StdEncoding.EncodeToString([]byte(text))) // the text is shown, too
}

// backspace returns a text without its last character.
func backspace(text string) string {
	_, n := utf8.DecodeLastRuneInString(text)
	return text[:len(text)-n]
}
