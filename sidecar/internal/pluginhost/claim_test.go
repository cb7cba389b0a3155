//go:build unix

package pluginhost

import (
	"errors"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// Which of two plugins that are the same is not run.
func TestRival(t *testing.T) {
	type change func(h *Host, short, long *Plugin)
	same := claim{digest: "d", about: "a"}
	with := func(settings string) claim { return claim{digest: "d", about: "a", settings: settings} }
	claims := func(c claim) change { return func(_ *Host, short, _ *Plugin) { short.claim = c } }
	starts := func(digest string) change {
		return func(_ *Host, short, _ *Plugin) { short.setStatus(func(st *Status) { st.Digest = digest }) }
	}
	ran := func(p *Plugin) {
		check(t, p.host.catalog.Ready(&catalog.Build{Entry: p.file}, ""))
	}
	for _, tt := range []struct {
		name   string
		there  change // of the plugin with the shorter name
		claim  claim  // of the one with the longer
		rival  bool
		unsure bool
	}{
		{"the same", claims(same), same, true, false},
		{"the same with the same settings", claims(with("s")), with("s"), true, false},
		{"settings of its own", claims(same), with("s"), false, false},
		{"other settings", claims(with("t")), with("s"), false, false},
		{"none beside one with settings, which comes first", claims(with("s")), same, true, false},
		{"none beside one with settings, which comes second", func(_ *Host, short, long *Plugin) {
			short.claim = with("s")
			ran(long)
		}, same, false, false},
		{"none beside one with settings, and both have run", func(_ *Host, short, long *Plugin) {
			short.claim = with("s")
			ran(short)
			ran(long)
		}, same, true, false},
		{"another program", claims(claim{digest: "e", about: "a"}), same, false, false},
		{"another description", claims(claim{digest: "d", about: "b"}), same, false, false},
		{"no digest", claims(claim{about: "a"}), claim{about: "a"}, false, false},
		{"one that is disabled", func(_ *Host, short, _ *Plugin) {
			short.claim = same
			short.orders.give(func(o *order) { o.enabled = false })
		}, same, false, false},
		{"one that was refused for this one", func(_ *Host, short, long *Plugin) { short.claim, short.rival = same, long }, same, false, false},
		{"one that is being looked at", starts(""), same, false, true},
		{"one that is being started", starts("d"), same, false, true},
		{"another that is being started", starts("e"), same, false, false},
		{"one that is being started after this one", func(h *Host, short, long *Plugin) {
			starts("d")(h, short, long)
			ran(long)
		}, same, false, false},
		{"one that did not start", func(h *Host, short, long *Plugin) {
			starts("d")(h, short, long)
			short.orders.decided(short.orders.get().gen, errors.New("it cannot"))
		}, same, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSetup(t, nil, "good", "unary-2")
			short, long := s.plugin(t, "good"), s.plugin(t, "unary-2")
			tt.there(s.Host, short, long)
			rival, unsure := s.rival(long, tt.claim)
			if (rival == short) != tt.rival || rival != nil && !tt.rival || unsure != tt.unsure {
				t.Errorf("rival %t, unsure %t", rival != nil, unsure)
			}
		})
	}
}
