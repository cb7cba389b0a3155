package deploy

import (
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads a compose file as docker compose does, against its schema.
func load(t *testing.T, path string, env ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, path)}, cli.WithName("test"), cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose(t *testing.T) {
	project := load(t, "examples/flask/compose.yaml", "TELNYX_PUBLIC_KEY=telnyx", "APP_PUBLIC_KEY=own")
	sidecar, err := project.GetService("hookswitch")
	if err != nil {
		t.Fatal(err)
	}
	app, err := project.GetService("app")
	if err != nil {
		t.Fatal(err)
	}
	if v := sidecar.Environment["TELNYX_PUBLIC_KEY"]; v == nil || *v != "telnyx" {
		t.Error("the sidecar does not verify with Telnyx's key")
	}
	if v := app.Environment["TELNYX_PUBLIC_KEY"]; v == nil || *v != "own" {
		t.Error("the app does not verify with the sidecar's key")
	}
	durable := false
	for _, v := range sidecar.Volumes {
		_, named := project.Volumes[v.Source]
		durable = durable || v.Target == "/var/lib/hookswitch" && named
	}
	if !durable {
		t.Error("events are not on a named volume")
	}
	if len(app.Ports) > 0 {
		t.Error("the app is open to the world; only the sidecar should be")
	}
	for name, s := range project.Services {
		if s.Build == nil {
			continue
		}
		file := filepath.Join(s.Build.Context, s.Build.Dockerfile)
		relative, err := filepath.Rel(mustAbs(t, root), file)
		if err != nil {
			t.Fatal(err)
		}
		stages(t, relative)
		t.Logf("%s is built by %s", name, relative)
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
