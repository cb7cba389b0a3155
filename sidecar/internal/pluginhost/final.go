package pluginhost

import (
	"errors"
	"strings"
	"syscall"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// isFinal reports whether an error stays the same however often the plugin is
// started.
func isFinal(err error) bool {
	if catalog.IsFinal(err) {
		return true
	}
	if _, ok := errors.AsType[*refusal](err); ok {
		return true
	}
	if errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.EACCES) {
		return true
	}
	text := err.Error() // go-plugin has no other way to tell
	return strings.Contains(text, "incompatible API version") || strings.Contains(text, "unsupported plugin protocol") ||
		strings.Contains(text, "Unsupported plugin protocol")
}
