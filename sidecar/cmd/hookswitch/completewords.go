package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// statusWords are the values of --status. A stream has more than a list.
var (
	statusWords = []string{"pending", "retrying", "done", "dead", "discarded", "unhandled"}
	liveWords   = []string{"accepted", "duplicate", "rejected", "pending", "retrying", "failed", "done", "dead", "unhandled"}
)

// flagValues returns the values of the flag that is being typed, as far as they are
// known.
func (t *typing) flagValues(ctx context.Context) []candidate {
	command := words(t.c)
	switch t.flag {
	case "type":
		return typeWords(true)
	case "status":
		if command == "tail" {
			return plain(liveWords...)
		}
		return plain(statusWords...)
	case "filter":
		return t.filterWords(ctx)
	case "target":
		return t.targets(ctx)
	case "to":
		if command == "replay" {
			return t.targets(ctx)
		}
	case "since", "until":
		return plain("10m", "1h", "24h", "7d", "today", "yesterday")
	case "event":
		if command == "verify" {
			return append(t.rejected(ctx), t.events(ctx, "/events")...)
		}
		return typeWords(command == "plugins new")
	case "output":
		return plain(t.forms(command)...)
	case "format":
		return plain("md", "env", "jsonschema")
	case "tamper":
		return plain(tampers...)
	}
	return nil
}

// forms returns the values of --output.
func (t *typing) forms(command string) []string {
	switch {
	case command == "tail":
		return []string{"pretty", "compact", "json"}
	case command == "version", command == "trigger", command == "wait", strings.HasPrefix(command, "keys "):
		return []string{"text", "json"}
	}
	return []string{"table", "json", "jsonl"}
}

// arguments returns what the next argument of the command may be.
func (t *typing) arguments(ctx context.Context) []candidate {
	switch command := words(t.c); command {
	case "trigger":
		if len(t.args) == 0 {
			return plain(event.Samples()...)
		}
	case "events types", "events count", "wait":
		return typeWords(true)
	case "events get", "events payload":
		if len(t.args) == 0 {
			return t.events(ctx, "/events")
		}
	case "events list", "events export", "replay", "tail":
		return t.events(ctx, "/events")
	case "dead list", "dead requeue", "dead discard":
		return t.events(ctx, "/dead-letters")
	case "replay status", "replay cancel":
		return t.replays(ctx)
	case "plugins info", "plugins logs", "plugins reload", "plugins enable", "plugins disable", "plugins rollback":
		if len(t.args) == 0 {
			return t.plugins(ctx)
		}
	case "help":
		return t.topics()
	}
	return nil
}

func plain(words ...string) (list []candidate) {
	for _, word := range words {
		list = append(list, candidate{word: word})
	}
	return list
}

// typeWords returns the event types, and with patterns those of their groups.
func typeWords(patterns bool) (list []candidate) {
	for _, name := range event.Names() {
		group, _, _ := strings.Cut(name, ".")
		if star := (candidate{group + ".*", "every event type of this group"}); patterns && !slices.Contains(list, star) {
			list = append(list, star)
		}
		info, _ := event.Lookup(name)
		list = append(list, candidate{name, info.Product})
	}
	return list
}

// filterWords returns the words of a --filter: names, and after "=" their values.
func (t *typing) filterWords(ctx context.Context) []candidate {
	name, _, has := strings.Cut(t.word, "=")
	if !has {
		return plain("status=", "type=", "target=", "since=", "until=", "text=", "error=", "id=")
	}
	of := *t
	of.flag = name
	list := of.flagValues(ctx)
	for i := range list {
		list[i].word = name + "=" + list[i].word
	}
	return list
}

// ask reads an answer of the sidecar, and reports whether there is one.
func (t *typing) ask(ctx context.Context, path string, query url.Values, v any) bool {
	api, err := connect(t.c.Root())
	return err == nil && api.get(ctx, path, query, v) == nil
}

func (t *typing) targets(ctx context.Context) (list []candidate) {
	var s adminapi.Status
	if !t.ask(ctx, "/status", nil, &s) {
		return nil
	}
	for _, target := range s.Targets {
		meaning := fmt.Sprintf("%d pending, %d retrying, %d dead", target.Pending, target.Retrying, target.Dead)
		if !target.Configured {
			meaning += ", gone"
		}
		list = append(list, candidate{target.Target, meaning})
	}
	return list
}

func (t *typing) events(ctx context.Context, path string) (list []candidate) {
	var page adminapi.EventPage
	if !t.ask(ctx, path, url.Values{"limit": {"200"}}, &page) {
		return nil
	}
	for _, e := range page.Data {
		id := e.ID
		if id == "" || strings.ContainsAny(id, " \t\n'\"\\$`*?[") { // the sender chose it
			id = e.DeliveryID
		}
		list = append(list, candidate{id, fmt.Sprintf("%s %s %s", clock(e.ReceivedAt), typeName(e.Type), e.Status)})
	}
	return list
}

func (t *typing) rejected(ctx context.Context) (list []candidate) {
	var page struct{ Data []adminapi.Rejected }
	if !t.ask(ctx, "/rejected", nil, &page) {
		return nil
	}
	for _, r := range page.Data {
		list = append(list, candidate{r.ID, fmt.Sprintf("%s rejected: %s", clock(r.At), r.Reason)})
	}
	return list
}

func (t *typing) replays(ctx context.Context) (list []candidate) {
	var page struct{ Data []adminapi.Replay }
	if !t.ask(ctx, "/replays", nil, &page) {
		return nil
	}
	for _, r := range page.Data {
		list = append(list, candidate{r.ID, fmt.Sprintf("%s %s %d/%d", clock(r.CreatedAt), r.State, r.Seen, r.Total)})
	}
	return list
}

func (t *typing) plugins(ctx context.Context) (list []candidate) {
	var page struct{ Data []adminapi.Plugin }
	if !t.ask(ctx, "/plugins", nil, &page) {
		return nil
	}
	for _, p := range page.Data {
		list = append(list, candidate{p.Name, strings.TrimSpace(p.State + " " + p.Version)})
	}
	return list
}

// topics returns what "hookswitch help" explains.
func (t *typing) topics() (list []candidate) {
	about := t.c.Root()
	for _, name := range t.args {
		if about = about.Command(name); about == nil {
			return nil
		}
	}
	for _, sub := range about.VisibleCommands() {
		list = append(list, candidate{sub.Name, sub.Usage})
	}
	if len(t.args) > 0 {
		return list
	}
	list = append(list, candidate{"codes", "list the log codes"})
	for _, info := range telemetry.Codes() {
		list = append(list, candidate{string(info.Code), info.What})
	}
	return list
}
