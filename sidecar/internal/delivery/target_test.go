package delivery_test

import (
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

func TestTargetsAreNamedByTheirKind(t *testing.T) {
	target := delivery.Plugin.Target("archive")
	if target != "plugin:archive" {
		t.Errorf("the target is %q", target)
	}
	if name, ok := delivery.Plugin.Cut(target); name != "archive" || !ok {
		t.Errorf("as a plugin it is %q, %v", name, ok)
	}
	if name, ok := delivery.Forward.Cut(target); name != target || ok {
		t.Errorf("as a forward it is %q, %v", name, ok)
	}
}
