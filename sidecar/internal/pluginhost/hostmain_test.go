//go:build unix

package pluginhost

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// hostProgram is the name under which the test binary is a host, for the tests
// in which the host is killed.
const hostProgram = "test-host"

// hostMain runs a host on the directories in its environment, says so, and
// waits to be killed.
func hostMain() {
	h, err := New(Config{
		Dir:      os.Getenv("HS_TEST_DIR"),
		RunDir:   os.Getenv("HS_TEST_RUN"),
		StateDir: os.Getenv("HS_TEST_STATE"),
		Env:      []string{"HS_TEST_ALIVE"},
		Environ:  os.Environ(),
	})
	if err == nil {
		err = h.Start(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, p := range h.Plugins() {
		if p.Status().State != StateReady {
			fmt.Printf("%s is %+v\n", p.Name(), p.Status())
			os.Exit(1)
		}
	}
	for _, p := range h.Plugins() {
		fmt.Printf("%s %d\n", p.Name(), p.Status().PID)
	}
	fmt.Println("ready")
	hostEnds(h)
}

// hostEnds is what the host of a test does after it has said that it is ready,
// as HS_TEST_END says.
func hostEnds(h *Host) {
	switch os.Getenv("HS_TEST_END") {
	case "panic": // as soon as the test wants it
		_, _ = os.Stdin.Read(make([]byte, 1))
		panic("the host has a bug")
	case "sigterm": // in good order, with an event under way
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		outcome := make(chan string, 1)
		p := h.Plugins()[0]
		go func() {
			a, err := p.Deliver(context.Background(), task(1, "slow"))
			outcome <- fmt.Sprint(a.Outcome, err)
		}()
		<-stop
		h.Stop()
		fmt.Println(<-outcome)
		os.Exit(0)
	}
	select {}
}

// socketOf returns the path of the socket of the only process.
func socketOf(p *Plugin) string {
	files, _ := filepath.Glob(filepath.Join(p.host.launch.RunDir, "*", "*"))
	if len(files) != 1 {
		return ""
	}
	return files[0]
}
