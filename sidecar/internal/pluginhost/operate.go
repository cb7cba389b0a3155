package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// ErrNoPlugin is returned when there is no plugin of that name.
var ErrNoPlugin = errors.New("pluginhost: there is no such plugin")

// plugin returns a plugin by its name or that of its target.
func (h *Host) plugin(name string) (*Plugin, error) {
	for _, p := range h.Plugins() {
		if p.file.Name == name || p.Name() == name {
			return p, nil
		}
	}
	return nil, ErrNoPlugin
}

// Reload reads the file and the settings of a plugin again, starts a new process
// even if they have not changed, and waits until it has taken over or failed. A
// build that failed before is tried again.
func (h *Host) Reload(ctx context.Context, name string) error {
	p, err := h.plugin(name)
	if err != nil {
		return err
	}
	list, err := h.catalog.Scan(map[string]string{p.file.Name: p.orders.get().file.Path})
	if err != nil {
		return fmt.Errorf("pluginhost: %w", err)
	}
	file := p.file
	if i := slices.IndexFunc(list.Plugins, func(f catalog.Entry) bool { return f.Name == p.file.Name }); i >= 0 {
		file = list.Plugins[i]
	}
	return p.order(ctx, func(o *order) { o.file, o.force = file, true })
}

// SetEnabled starts a plugin, or stops it until it is enabled again, even if the
// host is restarted meanwhile. Events that it wants are kept for it.
func (h *Host) SetEnabled(ctx context.Context, name string, enabled bool) error {
	p, err := h.plugin(name)
	if err != nil {
		return err
	}
	if err := h.catalog.Disable(p.file.Name, !enabled); err != nil {
		return fmt.Errorf("pluginhost: %w", err)
	}
	return p.order(ctx, func(o *order) { o.enabled = enabled })
}

// Rollback goes back to the program that ran before the current one, until the file
// changes. It waits until that has taken over or failed.
func (h *Host) Rollback(ctx context.Context, name string) error {
	p, err := h.plugin(name)
	if err != nil {
		return err
	}
	if err := h.catalog.RollBack(p.orders.get().file, p.Status().Digest); err != nil {
		return fmt.Errorf("pluginhost: %w", err)
	}
	return p.order(ctx, func(o *order) { o.force, o.rollback = true, true })
}

// order gives an order and waits for its result.
func (p *Plugin) order(ctx context.Context, change func(*order)) error {
	return p.orders.wait(ctx, p.orders.give(change), p.ended)
}

// Logs calls each with the last lines that a plugin has printed or the host has
// logged about it, as JSON of [LogLine], oldest first. With follow it continues
// with every new line until ctx ends or the plugin is gone.
func (h *Host) Logs(ctx context.Context, name string, lines int, follow bool, each func(json.RawMessage) error) error {
	p, err := h.plugin(name)
	if err != nil {
		return err
	}
	batch, next, more := p.ring.last(max(lines, 0))
	for {
		for _, line := range batch {
			if err := each(line); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-more:
		case <-p.ended:
			return nil
		case <-h.stopping:
			return nil
		case <-ctx.Done():
			return nil
		}
		batch, next, more = p.ring.from(next)
	}
}
