package deploy

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// nobody is the USER of the image.
const nobody = 65532

// runImage runs the sidecar in the image until its health check passes, and
// stops it as docker stop does.
func runImage(t *testing.T, image string) {
	if os.Getuid() != 0 {
		t.Skip("not root: the image is built and not run")
	}
	for dir, mode := range map[string]os.FileMode{"plugins": 0o755, "tmp": 0o777 | os.ModeSticky, "var/lib/hookswitch": 0o700} {
		path := filepath.Join(image, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(image, "var/lib/hookswitch"), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for dir := image; dir != "/"; dir = filepath.Dir(dir) { // nobody must get to it
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o005 != 0o005 {
			if !strings.HasPrefix(dir, os.TempDir()) || dir == os.TempDir() {
				t.Skipf("%s cannot be entered by others", dir)
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}

	env := imageEnv(t)
	env = append(env, "HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
		"TELNYX_PUBLIC_KEY=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=") // of RFC 8032, test 1
	inImage := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/hookswitch", args...)
		cmd.Dir, cmd.Env = "/", env
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Stdin = strings.NewReader("") // there is no /dev/null in there
		return cmd
	}
	if out := command(t, inImage(t.Context(), "version")); !strings.Contains(out, "image-test") {
		t.Errorf("version says %q", out)
	}
	var log bytes.Buffer
	run := inImage(t.Context(), "run")
	run.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID // it is process 1, as in a container
	run.Stdout, run.Stderr = &log, &log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		out, err := inImage(t.Context(), "health").CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			_ = run.Process.Kill()
			_ = run.Wait()
			t.Fatalf("the health check fails: %v: %s\n%s", err, out, log.String())
		}
		time.Sleep(20 * time.Millisecond) // polls another process
	}
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Errorf("stopped by SIGTERM: %v\n%s", err, log.String())
	}
	if !strings.Contains(log.String(), "drained") {
		t.Errorf("it did not drain:\n%s", log.String())
	}
	if err := inImage(t.Context(), "health").Run(); err == nil {
		t.Error("the health check passes without a sidecar")
	}
}

// imageEnv are the ENV lines of the image.
func imageEnv(t *testing.T) (env []string) {
	all := stages(t, dockerFile)
	for _, c := range all[len(all)-1].Commands {
		if c, ok := c.(*instructions.EnvCommand); ok {
			for _, pair := range c.Env {
				env = append(env, pair.String())
			}
		}
	}
	return env
}
