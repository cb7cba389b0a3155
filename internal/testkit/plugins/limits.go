//go:build unix

package plugins

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// hog takes 1 GiB of memory, and keeps it.
func hog() {
	for range 64 {
		block := make([]byte, 16<<20)
		for i := range block {
			block[i] = byte(i)
		}
		hoarded = append(hoarded, block)
		time.Sleep(time.Millisecond)
	}
	select {}
}

var hoarded [][]byte

// reportLimits logs what the process may do, and has tried.
func reportLimits(ctx context.Context, _ *webhook.Event) error {
	var files, core syscall.Rlimit
	if err := errors.Join(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files), syscall.Getrlimit(syscall.RLIMIT_CORE, &core)); err != nil {
		return err
	}
	oom, _ := os.ReadFile("/proc/self/oom_score_adj")
	_, secret := os.ReadFile(os.Getenv("HS_TEST_SECRET"))
	work := os.WriteFile("mine", nil, 0o600)
	groups, _ := os.Getgroups()
	opened := 0
	var err error
	for ; err == nil && opened < 10_000; opened++ {
		var f *os.File
		if f, err = os.Open(os.DevNull); err == nil {
			defer f.Close()
		}
	}
	sdk.Log(ctx).Info("limits", "line", fmt.Sprintf("files=%d/%d many=%v stopped=%v core=%d/%d oom=%s gomemlimit=%s uid=%d gid=%d groups=%v home=%s secret=%v work=%v",
		files.Cur, files.Max, opened > 50, errors.Is(err, syscall.EMFILE), core.Cur, core.Max, strings.TrimSpace(string(oom)), os.Getenv("GOMEMLIMIT"),
		os.Getuid(), os.Getgid(), groups, os.Getenv("HOME"), errors.Is(secret, os.ErrPermission), work))
	return nil
}

// dialer says whether it can connect to a socket.
func dialer() {
	conn, err := net.Dial("unix", os.Getenv("HS_TEST_SOCKET"))
	if err == nil {
		conn.Close()
	}
	fmt.Fprintln(rawStdout, err)
}
