package config

import (
	"slices"
	"testing"
)

// TestMerge: which settings change, and where they come from then.
func TestMerge(t *testing.T) {
	old, err := From([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_TIMEOUT=1s", "HOOKSWITCH_PATHS=/a",
		"HOOKSWITCH_ROUTE_0_TO=http://a/", "HOOKSWITCH_ROUTE_0_MATCH=a.*"})
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, ".env", "TELNYX_PUBLIC_KEY="+testKey+"\nHOOKSWITCH_TIMEOUT=2s\nHOOKSWITCH_PATHS=/b\nHOOKSWITCH_ADMIN_TOKEN=x\nHOOKSWITCH_ROUTE_1_TO=http://b/\n")
	next, err := From(nil, file)
	if err != nil {
		t.Fatal(err)
	}
	merged, changed, restart := old.Merge(&next)
	if want := []string{"HOOKSWITCH_ADMIN_TOKEN", "HOOKSWITCH_ROUTE_0_MATCH", "HOOKSWITCH_ROUTE_0_TO", "HOOKSWITCH_ROUTE_1_TO", "HOOKSWITCH_TIMEOUT"}; !slices.Equal(changed, want) {
		t.Errorf("changed %q", changed)
	}
	if !slices.Equal(restart, []string{"HOOKSWITCH_PATHS"}) {
		t.Errorf("restart %q", restart)
	}
	from := make(map[string]string)
	for _, s := range merged.Settings() {
		from[s.Name] = s.Value + " " + s.Source
	}
	for name, want := range map[string]string{"HOOKSWITCH_TIMEOUT": "2s file", "HOOKSWITCH_PATHS": "/a environment", "HOOKSWITCH_ROUTE_1_TO": "http://b/ file", "HOOKSWITCH_LISTEN": ":8080 default"} {
		if from[name] != want {
			t.Errorf("%s is %s, want %s", name, from[name], want)
		}
	}
}
