package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// An id may be given by its beginning, as tables show it. It is looked up among
// the latest events.
const (
	resolvePages = 10 // of 200 events
	resolveMin   = 4  // characters
)

// eventFilter is readFilter with whole ids.
func eventFilter(ctx context.Context, c *cli.Command, api *client) (adminapi.Filter, error) {
	f, err := readFilter(c)
	if err != nil {
		return f, err
	}
	mayAll := slices.ContainsFunc(c.Flags, func(flag cli.Flag) bool { return flag.Names()[0] == "all" })
	if mayAll && f.Empty() && !f.All {
		return f, usageError("%s: give ids or a filter such as --type or --since, or --all for everything", words(c))
	}
	for i, id := range f.IDs {
		if f.IDs[i], err = wholeID(ctx, api, id); err != nil {
			return f, err
		}
	}
	return f, nil
}

// wholeID returns the whole id of the event or delivery that id, or its beginning,
// names.
func wholeID(ctx context.Context, api *client, id string) (string, error) {
	if len(id) >= 36 || len(id) < resolveMin { // a whole UUID, or hardly anything
		return id, nil
	}
	var e adminapi.Event
	err := api.get(ctx, "/events/"+url.PathEscape(id), nil, &e)
	if ee, ok := errors.AsType[*exitError](err); err == nil || !ok || ee.code != exitNothing {
		return id, err
	}
	var found []string
	query := url.Values{"limit": {"200"}}
	for range resolvePages {
		var page adminapi.EventPage
		if err := api.get(ctx, "/events", query, &page); err != nil {
			return id, err
		}
		for _, e := range page.Data {
			for _, own := range []string{e.ID, e.DeliveryID} {
				if len(own) > len(id) && strings.EqualFold(own[:len(id)], id) {
					found = append(found, e.DeliveryID)
					break
				}
			}
		}
		if page.NextCursor == "" {
			break
		}
		query.Set("cursor", page.NextCursor)
	}
	slices.Sort(found)
	switch found = slices.Compact(found); len(found) {
	case 1:
		return found[0], nil
	case 0:
		return id, &exitError{exitNothing, fmt.Errorf("nothing here has the id %q, and none of the latest %d events begins with it", id, 200*resolvePages)}
	}
	return id, &exitError{exitNothing, fmt.Errorf("%d events begin with %q: give more of the id", len(found), id)}
}

// wholeReplay is wholeID for replays.
func wholeReplay(ctx context.Context, api *client, id string) (string, error) {
	if len(id) >= 36 {
		return id, nil
	}
	var list struct{ Data []adminapi.Replay }
	if err := api.get(ctx, "/replays", nil, &list); err != nil {
		return id, err
	}
	var found []string
	for _, r := range list.Data {
		if strings.HasPrefix(r.ID, strings.ToLower(id)) {
			found = append(found, r.ID)
		}
	}
	if len(found) > 1 {
		return id, &exitError{exitNothing, fmt.Errorf("%d replays begin with %q: give more of the id", len(found), id)}
	}
	if len(found) == 1 && len(id) >= resolveMin {
		return found[0], nil
	}
	return id, &exitError{exitNothing, fmt.Errorf("no replay has an id that begins with %q: \"hookswitch replay list\" shows them", id)}
}
