package adminapi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// testConfig shows settings, and reloads them in each way that can end.
func testConfig(t *testing.T, f *fixture) {
	var fail error
	cfg := f.cfg
	cfg.Settings = func() []adminapi.Setting {
		return []adminapi.Setting{{Name: "HOOKSWITCH_ADMIN_TOKEN", Value: "***", Source: "file", From: "/run/token", Secret: true, Reload: true, Description: "token"}}
	}
	cfg.Reload = func(context.Context) (adminapi.Reloaded, error) {
		return adminapi.Reloaded{At: time.Now(), Changed: []string{"HOOKSWITCH_TIMEOUT"}, Restart: []string{}}, fail
	}
	api, err := adminapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := *f
	g.api = api
	if list := decode[struct{ Data []adminapi.Setting }](t, g.call(t, "GET", "/api/v1/config", "", 200)).Data; len(list) != 1 || list[0].From != "/run/token" {
		t.Errorf("settings %+v", list)
	}
	g.call(t, "GET", "/api/v1/config?x=1", "", 400)
	if r := decode[adminapi.Reloaded](t, g.call(t, "POST", "/api/v1/reload", "", 200)); len(r.Changed) != 1 {
		t.Errorf("reloaded %+v", r)
	}
	fail = adminapi.BadConfiguration([]adminapi.ConfigProblem{{Variable: "HOOKSWITCH_TIMEOUT", Value: "5", Text: "needs a unit"}})
	if p := decode[adminapi.Problem](t, g.call(t, "POST", "/api/v1/reload", "", 422)); len(p.Problems) != 1 || p.Problems[0].Value != "5" {
		t.Errorf("problem %+v", p)
	}
	fail = adminapi.NotReloaded(errors.New("the disk is gone"))
	g.call(t, "POST", "/api/v1/reload", "", 500)
}
