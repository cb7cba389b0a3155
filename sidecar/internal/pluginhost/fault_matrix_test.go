//go:build unix

package pluginhost

// The fault matrix: faults of plugins and their surroundings, and the test that
// shows the result. Each runs a process that really has the fault.
//
//	fault                                            test
//	kill -9 in mid-call                              TestKilledInMidCallTheNextProcessGetsTheEvent, TestOneContractForAllKinds/*/a_crash
//	handler that hangs, process that is stopped      TestTimeouts, TestHungPluginIsReplaced (with the dump), TestHungLineProgramIsReplaced
//	stop of a hung plugin                            TestStop/does_not_wait_for_a_process_that_does_not_run, TestStopOfLineProgram
//	exit at the start, panic in init                 TestStart/an_exit…, TestPluginThatPanicsAtTheStart, TestLineProgramThatDoesNotStart
//	starts that grow rarer                           TestBackoff
//	no handshake, garbage, noise before it           TestStart/without_a_handshake…, …/too_much_output…, …/output_before…
//	wrong cookie                                     TestPluginOfAnotherProgram
//	wrong version, wrong protocol                    TestStart/another_version…, …/another_protocol…
//	binary that is cut off, for another machine,
//	  empty, or text                                 TestFileThatIsNoProgram
//	settings that are refused                        TestStart/settings…, TestLineSettings
//	flood on stderr, 10 MB line, invalid UTF-8,
//	  {"@message":1}, 1 MB on stdout, no newline     TestOutputCannotHurtTheHost
//	certificate in field 6, address elsewhere        TestStart/a_certificate…, …/an_address…, …/a_socket…, TestPluginToHost
//	memory hog, by itself and by a child             TestMemoryLimit
//	too many open files                              TestLimitsOfTheProcess
//	fork bomb                                        TestForkBomb
//	child that holds stderr open                     TestProcessesOfThePluginDieWithIt, TestEscapedProcessHoldsNothingUp
//	slow consumer                                    TestSlowConsumer
//	result of an unknown seq, second answer, more
//	  events than credit                             TestCreditIsNeverExceeded, TestLineAnswers
//	answer after the time-out                        TestTimeouts
//	poisonous event                                  TestEventThatKillsBecomesADeadLetter, TestBrokenLineProgramGetsOneEvent
//	host killed, host panics                         TestKilledHostLeavesNoProcess, TestPanickingHostLeavesNoProcess
//	SIGTERM to host and plugins at once, as systemd  TestSignalToEverybody, TestStop/a_plugin_ignores…
//	file of the socket deleted                       TestDeletedSocket
//	stranger at the socket                           TestPluginsRunAsAnotherUser; run directory: TestRunDir/open_to_others…
//	environment                                      TestEnvironmentIsTheAllowList, TestLineProgramGetsAnEnvironmentOfItsOwn
//	threads that end (PDEATHSIG)                     TestPluginOutlivesThreads
//	plugin of a later protocol                       TestPluginOfALaterProtocol
//	remote server that is late, hung, killed         TestRemoteServerLivesByItself, TestHungRemoteServer, TestOneContractForAllKinds/remote

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
)

func TestTheFaultMatrixNamesTests(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	parts, err := filepath.Glob("*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, file := range append(files, parts...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	text, err := os.ReadFile("fault_matrix_test.go")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(text), "import (")
	names := regexp.MustCompile(`Test\w+`).FindAllString(table, -1)
	for _, name := range names {
		if !strings.Contains(all, "func "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
	if len(names) < 30 {
		t.Errorf("the table names %d tests", len(names))
	}
}

func TestPluginOfAnotherProgram(t *testing.T) {
	wantDown(t, newSetup(t, nil, "foreign"), "no handshake", "exit status 1", "This binary is a plugin")
}

func TestPluginThatPanicsAtTheStart(t *testing.T) {
	s := newSetup(t, nil, "panics")
	wantDown(t, s, "no handshake", "exit status 2", "panic: no DSN", "testkit/plugins")
	s.log.wait(t, 1, "ERROR panic: no DSN")
}

func TestFileThatIsNoProgram(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	alien := bytes.Clone(binary[:64<<10])
	const machine = 18 // where an ELF file says which processor it is for
	alien[machine], alien[machine+1] = 0xff, 0x7f
	for name, content := range map[string][]byte{
		"cut": binary[:len(binary)/3], "alien": alien, "empty": nil, "text": []byte("not a program\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, func(c *Config) {
				if err := os.WriteFile(filepath.Join(c.Dir, "bad"), content, 0o755); err != nil {
					t.Fatal(err)
				}
			}, "good")
			s.start(t)
			s.log.wait(t, 1, "plugin is down", "plugin=bad")
			if st := s.plugin(t, "bad").Status(); st.LastError == "" {
				t.Errorf("status %+v", st)
			} else {
				t.Log(st.LastError)
			}
			if a := deliver(t, s.plugin(t, "good"), task(1, "ack")); a.Outcome != delivery.OutcomeDone {
				t.Errorf("the plugin beside it: got %+v", a)
			}
		})
	}
}

func TestForkBomb(t *testing.T) {
	alive, waitGone := lifetime(t)
	t.Setenv("HS_TEST_ALIVE", alive)
	s := newSetup(t, func(c *Config) { c.Env = append(c.Env, "HS_TEST_ALIVE") }, "bomb")
	s.launch.Timings.Lifeline, s.launch.Timings.Term = time.Millisecond, time.Millisecond // it does not watch it
	s.start(t)
	p := s.plugin(t, "bomb")
	if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("got %+v", a)
	}
	begun := time.Now()
	if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, 2, "plugin is ready")
	deliver(t, p, task(2, "ack"))
	s.Stop()
	waitGone()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a hundred processes, twice, are gone after %v", took)
	}
}

// Events that wait for a slow plugin are not copied, and not sent before there
// is credit for them.
func TestSlowConsumer(t *testing.T) {
	s := newSetup(t, nil, "slowpoke")
	s.launch.Timings.Lifeline = time.Millisecond // it does not watch it
	s.start(t)
	p := s.plugin(t, "slowpoke")
	work := task(1, "ack")
	work.Event.Body = append(work.Event.Body, bytes.Repeat([]byte(" "), 1<<20)...)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	deliver(t, p, work)
	before := heap()
	const events = 500
	// The last one waits for all the others, which takes a while on a slow machine.
	ctx, cancel := context.WithTimeout(t.Context(), 6*soon)
	defer cancel()
	var wg sync.WaitGroup
	for range events {
		wg.Go(func() {
			if a, err := p.Deliver(ctx, work); err != nil || a.Outcome != delivery.OutcomeDone {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
	most := int64(0)
	for st := p.Status(); st.Meter.Done < events/2 && !t.Failed(); st = p.Status() {
		if st.InFlight > plugins.SlowpokeCredit {
			t.Errorf("%d events are out", st.InFlight)
		}
		most = max(most, heap()-before)
	}
	wg.Wait()
	// Half a gigabyte waited. What may be there are the events that are out, in a
	// few copies each, and the goroutines that wait.
	if most > 64<<20 {
		t.Errorf("the heap grew by %d MiB", most>>20)
	}
	t.Logf("the heap grew by %d MiB at most", most>>20)
}

func TestDeletedSocket(t *testing.T) {
	s := startSetup(t, nil, "good")
	p := s.plugin(t, "good")
	deliver(t, p, task(1, "ack"))
	pid := p.Status().PID
	if err := os.Remove(socketOf(p)); err != nil {
		t.Fatal(err)
	}
	if a := deliver(t, p, task(2, "ack")); a.Outcome != delivery.OutcomeDone || p.Status().PID != pid {
		t.Errorf("the connection that there was: got %+v", a)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, 2, "plugin is ready")
	if a := deliver(t, p, task(3, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("the next process: got %+v", a)
	}
}

func TestPluginOfALaterProtocol(t *testing.T) {
	s := newSetup(t, nil, "newer")
	s.launch.Timings.Lifeline = time.Millisecond // it does not watch it
	s.start(t)
	p := s.plugin(t, "newer")
	if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("got %+v", a)
	}
	if a := deliver(t, p, task(2, "outcome")); a.Outcome != delivery.OutcomeRetry {
		t.Errorf("an outcome that is not known: got %+v", a)
	}
	if st := p.Status(); st.Version != "9" || st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
}

// startHost runs a host with the plugin "good" in a process of its own. It
// returns, besides, what the host prints, and the id of the plugin's process.
func startHost(t *testing.T, env ...string) (host *exec.Cmd, stdin io.Writer, out *bufio.Scanner, pid int) {
	t.Helper()
	s := newSetup(t, nil, "good") // for the directory
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host = &exec.Cmd{Path: exe, Args: []string{hostProgram}, Env: append(os.Environ(), append(env,
		"HS_TEST_DIR="+s.dir, "HS_TEST_STATE="+s.cfg.StateDir, "HS_TEST_RUN="+shortDir(t))...)}
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if stdin, err = host.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if host.Stderr, err = os.Create(filepath.Join(t.TempDir(), "stderr")); err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill() })
	out = bufio.NewScanner(stdout)
	for out.Scan() && out.Text() != "ready" {
		if _, number, ok := strings.Cut(out.Text(), "plugin:good "); ok {
			pid, _ = strconv.Atoi(number)
		}
	}
	if pid == 0 {
		t.Fatal("the host has no plugin")
	}
	return host, stdin, out, pid
}

func TestPanickingHostLeavesNoProcess(t *testing.T) {
	alive, waitGone := lifetime(t)
	host, stdin, _, _ := startHost(t, "HS_TEST_ALIVE="+alive, "HS_TEST_END=panic")
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := host.Wait(); err == nil || err.Error() != "exit status 2" {
		t.Errorf("the host ended with %v", err)
	}
	begun := time.Now()
	waitGone()
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the plugin lived on for %v", took)
	}
}

// systemd signals all processes of a service, unless it is told not to. The
// plugin must not end before the host has what it works on.
func TestSignalToEverybody(t *testing.T) {
	alive, waitGone := lifetime(t)
	host, _, out, pid := startHost(t, "HS_TEST_ALIVE="+alive, "HS_TEST_END=sigterm")
	log, err := os.Open(host.Stderr.(*os.File).Name())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for text, deadline := "", time.Now().Add(soon); !strings.Contains(text, "begun"); {
		more, err := io.ReadAll(log)
		if text += string(more); err != nil || time.Now().After(deadline) {
			t.Fatalf("the event does not begin: %q, %v", text, err)
		}
	}
	for _, p := range []int{pid, -pid, host.Process.Pid} {
		if err := syscall.Kill(p, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	if !out.Scan() || out.Text() != string(delivery.OutcomeDone)+"<nil>" {
		t.Errorf("the event under way: %q", out.Text())
	}
	if err := host.Wait(); err != nil {
		t.Error(err)
	}
	waitGone()
}
