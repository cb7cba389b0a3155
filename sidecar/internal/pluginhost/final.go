package pluginhost

import (
	"errors"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// isFinal reports whether an error stays the same however often the plugin is
// started.
func isFinal(err error) bool {
	start, ok := errors.AsType[*process.StartError](err)
	return catalog.IsFinal(err) || ok && start.Final()
}
