//go:build unix

package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// The test binary is also the programs that the tests run: a plugin, and a host
// to be killed.
const programEnv = "SDK_TEST_PROGRAM"

var _ = func() int {
	if os.Getenv(programEnv) == "plugin" {
		fmt.Println("printed while packages are initialised")
	}
	return 0
}()

func TestMain(m *testing.M) {
	// A program with the race detector sleeps before it exits, otherwise.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	switch os.Getenv(programEnv) {
	case "plugin":
		pluginMain()
	case "host":
		hostMain()
	default:
		os.Exit(m.Run())
	}
}

type pluginSettings struct {
	Greeting string `json:"greeting" default:"hello"`
}

func pluginMain() {
	fmt.Println("printed by main, without a newline that a scanner could stop at: 1|1|unix|/x|grpc")
	greeting := ""
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, _ *webhook.Event, m *event.Message) error {
		sdk.Log(ctx).Info("somebody wrote", "greeting", greeting)
		switch m.Text {
		case "retry":
			return webhook.RetryAfter(errors.New("busy"), time.Minute)
		case "dead":
			return webhook.Permanent(errors.New("no such user"))
		case "panic":
			panic("oops")
		case "slow":
			time.Sleep(300 * time.Millisecond)
			fmt.Fprintln(os.NewFile(3, "pipe"), "finished")
		case "hang":
			select {}
		}
		return nil
	})
	sdk.Plugin{Name: "greeter", Version: "1.2.0", Mux: &mux,
		Configure: sdk.Settings(func(_ context.Context, s *pluginSettings) error {
			greeting = s.Greeting
			return nil
		})}.Serve()
}

func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return child(exe, name, args...)
}

func child(exe, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), programEnv+"="+name)
	return cmd
}

// pluginProcess starts the plugin as a host does, and returns what its
// handshake says.
func pluginProcess(cmd *exec.Cmd, dir string) (stdin io.Closer, handshake string, err error) {
	cmd.Env = append(cmd.Env, "HOOKSWITCH_PLUGIN=hookswitch.plugin.v1", "PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR="+dir)
	if stdin, err = cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	return stdin, strings.TrimSpace(line), err
}

// dial connects to where a handshake says.
func dial(handshake string) (*grpc.ClientConn, error) {
	fields := strings.Split(handshake, "|")
	if len(fields) < 5 || fields[0] != "1" || fields[1] != "1" || fields[2] != "unix" || fields[4] != "grpc" {
		return nil, fmt.Errorf("the first line of output is %q", handshake)
	}
	return grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", fields[3])
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// socketDir is short enough for the path of a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestProcessIsNotHurtByNoiseOrSignals(t *testing.T) {
	cmd := program(t, "plugin")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, handshake, err := pluginProcess(cmd, socketDir(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(handshake) // and so the noise was not on standard output
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pluginpb.NewPluginServiceClient(conn)
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGTERM} {
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		about, err := client.Describe(t.Context(), &pluginpb.DescribeRequest{}, grpc.WaitForReady(true))
		if err != nil {
			t.Fatalf("after %v: %v", signal, err)
		}
		if about.GetName() != "greeter" || about.GetVersion() != "1.2.0" || !bytes.Contains(about.GetConfigJsonSchema(), []byte("greeting")) {
			t.Errorf("described as %v", about)
		}
	}
	conn.Close()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end of the lifeline: %v", err)
	}
	for _, text := range []string{"printed while packages are initialised", "printed by main"} {
		if !strings.Contains(stderr.String(), text) {
			t.Errorf("standard error lacks %q: %s", text, stderr.String())
		}
	}
}

// hostMain is a host that gives its plugin an event, says so, and waits to be
// killed. Nothing but the lifeline tells the plugin of its end.
func hostMain() {
	err := func() error {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := child(exe, "plugin")
		cmd.Stderr = os.Stderr
		cmd.ExtraFiles = []*os.File{os.NewFile(3, "pipe")}
		_, handshake, err := pluginProcess(cmd, os.Args[1])
		if err != nil {
			return err
		}
		cmd.ExtraFiles[0].Close()
		conn, err := dial(handshake)
		if err != nil {
			return err
		}
		stream, err := pluginpb.NewPluginServiceClient(conn).Deliver(context.Background(), grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil { // the credit
			return err
		}
		if text := os.Args[2]; text != "idle" {
			return stream.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Events{Events: &pluginpb.EventBatch{
				Events: []*pluginpb.Event{{Seq: 1, Body: message(text), ContentType: "application/json", Timeout: durationpb.New(time.Minute)}},
			}}})
		}
		return nil
	}()
	fmt.Println(err)
	select {}
}

func message(text string) []byte {
	return fmt.Appendf(nil, `{"data":{"event_type":"message.received","id":"1","payload":{"text":%q}}}`, text)
}

// vanish kills a host whose plugin has the event, and returns how long the
// plugin was there after that, and what it wrote into the pipe.
func vanish(t *testing.T, text string) (time.Duration, string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	host := program(t, "host", socketDir(t), text)
	host.ExtraFiles = []*os.File{writer}
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	logReader, logWriter, err := os.Pipe() // of host and plugin
	if err != nil {
		t.Fatal(err)
	}
	defer logReader.Close()
	host.Stderr = logWriter
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	logWriter.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Fatalf("the host says %q, %v", line, err)
	}
	log := bufio.NewScanner(logReader)
	for text != "idle" && log.Scan() && !strings.Contains(log.Text(), "somebody wrote") {
	}
	go func() { _, _ = io.Copy(io.Discard, logReader) }()
	began := time.Now()
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := reader.SetReadDeadline(began.Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	written, err := io.ReadAll(reader) // until nobody has the other end
	if err != nil {
		t.Errorf("the plugin is still there: %v", err)
	}
	took := time.Since(began)
	_ = host.Wait()
	return took, string(written)
}

func TestProcessEndsWithItsHost(t *testing.T) {
	t.Run("idle within 100 ms", func(t *testing.T) {
		// The best of several: on a busy machine a process may wait longer
		// than that for its turn.
		best := time.Hour
		for range 10 {
			took, _ := vanish(t, "idle")
			if best = min(best, took); best <= 100*time.Millisecond {
				break
			}
		}
		t.Logf("gone %v after its host", best)
		if best > 100*time.Millisecond {
			t.Errorf("gone %v after its host", best)
		}
	})
	t.Run("after the event that it has", func(t *testing.T) {
		if took, written := vanish(t, "slow"); written != "finished\n" {
			t.Errorf("wrote %q in %v", written, took)
		}
	})
	t.Run("when a handler does not end", func(t *testing.T) {
		if took, _ := vanish(t, "hang"); took < time.Second {
			t.Errorf("the handler had only %v", took)
		}
	})
}

func TestProcessRunByHand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	body := func(text string) string { return write(text+".json", string(message(text))) }
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // a part of each
	}{
		{"done", []string{"run", "--event", body("hello")}, 0, "message.received: done in ", "somebody wrote"},
		{"a sample", []string{"run", "--event", "message.received"}, 0, "message.received: done in ", "greeting=hello"},
		{"settings", []string{"run", "--event", "message.received", "--settings", write("good", `{"greeting":"salut"}`)}, 0, "done", "greeting=salut"},
		{"retry", []string{"run", "--event", body("retry")}, 75, "retry, not before 1m0s, after ", "attempt=1"},
		{"dead letter", []string{"run", "--event=" + body("dead"), "--attempt=3"}, 65, "dead letter after ", "attempt=3"},
		{"panic", []string{"run", "--event", body("panic")}, 75, "process_test.go:", "handler panicked: oops"},
		{"timeout", []string{"run", "--event", body("slow"), "--timeout", "1h"}, 0, "done", ""},
		{"refused settings", []string{"run", "--event", "message.received", "--settings", write("bad", `{"greting":""}`)}, 78, "",
			`greting: unknown setting, did you mean "greeting"?`},
		{"settings that are not there", []string{"run", "--event", "message.received", "--settings", "/nowhere"}, 66, "", "/nowhere"},
		{"an event of another type", []string{"run", "--event", "call.hangup"}, 66, "", "it handles: message.received"},
		{"a type with a mistake", []string{"run", "--event", "message.recieved"}, 66, "", "did you mean message.received?"},
		{"no event", []string{"run"}, 2, "", "which event?"},
		{"an unknown flag", []string{"run", "--evnt", "x"}, 2, "", "flag provided but not defined: -evnt"},
		{"an argument too many", []string{"run", "--event", "message.received", "x"}, 2, "", `unexpected argument "x"`},
		{"help", []string{"run", "--help"}, 0, "The exit code is 0 if the event is done", ""},
		{"version", []string{"version"}, 0, "1.2.0", ""},
		{"describe", []string{"describe"}, 0, `"settings_schema": {`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := program(t, "plugin", tt.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("printed %s, and to standard error %s; want %q and %q", stdout.String(), stderr.String(), tt.stdout, tt.stderr)
			}
		})
	}
	t.Run("standard input", func(t *testing.T) {
		cmd := program(t, "plugin", "run", "--event", "-")
		cmd.Stdin = bytes.NewReader(message("dead"))
		if _ = cmd.Run(); cmd.ProcessState.ExitCode() != 65 {
			t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
		}
	})
}
