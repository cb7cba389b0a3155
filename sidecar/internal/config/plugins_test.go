package config_test

import (
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

func TestLimitsOfPlugins(t *testing.T) {
	for _, tt := range []struct {
		memory config.ByteSize
		files  int
		want   string
	}{
		{0, 0, ""},
		{32 << 20, 16, ""},
		{1 << 20, 4096, "HOOKSWITCH_PLUGIN_MEMORY"},
		{512 << 20, 3, "HOOKSWITCH_PLUGIN_OPEN_FILES"},
		{512 << 20, -1, "HOOKSWITCH_PLUGIN_OPEN_FILES"},
	} {
		cfg, err := config.Load()
		if err != nil {
			t.Fatal(err)
		}
		cfg.PluginMemory, cfg.PluginOpenFiles = tt.memory, tt.files
		err = cfg.ValidateDev()
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bytes and %d files: got %v, want %q", tt.memory, tt.files, err, tt.want)
		}
	}
}
