package edges

import (
	"os/exec"
	"testing"
)

// Tmpfs returns a directory with a file system of its own, of a size such as
// "8m", that is there until the test ends. It skips the test if it may not mount
// one.
func Tmpfs(tb testing.TB, size string) string {
	tb.Helper()
	dir := tb.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0700,size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		tb.Skipf("cannot mount a small file system (it takes root): %v %s", err, out)
	}
	tb.Cleanup(func() {
		// Lazily: a test that failed may have left a process there.
		if out, err := exec.Command("umount", "--lazy", dir).CombinedOutput(); err != nil {
			tb.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}
