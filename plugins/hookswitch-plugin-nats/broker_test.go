package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
)

// serverEnv names the program of the broker: make nats builds it, at the version
// that the Makefile names, and make check sets it.
const serverEnv = "HOOKSWITCH_NATS_SERVER"

// soon bounds every wait. It is long because only a failure waits for it.
const soon = 30 * time.Second

// broker is a real nats-server with JetStream. It is stopped when the test ends.
type broker struct {
	t      *testing.T
	path   string
	dir    string
	args   []string
	port   string
	cmd    *exec.Cmd
	output output.Buffer
}

// newBroker starts a broker, or skips the test if there is no program for it.
func newBroker(t *testing.T, args ...string) *broker {
	t.Helper()
	path := os.Getenv(serverEnv)
	if path == "" {
		t.Skipf("%s is not set: make nats builds the broker and says how", serverEnv)
	}
	b := &broker{t: t, path: path, dir: t.TempDir(), args: args, port: "-1"}
	b.start()
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the broker printed:\n%s", b.output.String())
		}
	})
	return b
}

// start starts the broker on the port that it had, if it had one, and waits
// until it takes connections.
func (b *broker) start() {
	b.t.Helper()
	ports := b.t.TempDir()
	b.cmd = exec.Command(b.path, append([]string{"--jetstream", "--store_dir", b.dir, "--addr", "127.0.0.1", "--port", b.port,
		"--ports_file_dir", ports}, b.args...)...)
	b.cmd.Stdout, b.cmd.Stderr = &b.output, &b.output
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.eventually(func() error {
		files, err := filepath.Glob(filepath.Join(ports, "*.ports"))
		if err != nil || len(files) == 0 {
			return errors.New("it has no port yet")
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return err
		}
		var listening struct{ NATS []string }
		if err := json.Unmarshal(text, &listening); err != nil || len(listening.NATS) == 0 {
			return fmt.Errorf("ports %s: %w", text, err)
		}
		u, err := url.Parse(listening.NATS[0])
		if err != nil {
			return err
		}
		b.port = u.Port()
		conn, err := net.Dial("tcp", "127.0.0.1:"+b.port)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// kill ends the broker at once, as a crash does.
func (b *broker) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

func (b *broker) url() string { return "nats://127.0.0.1:" + b.port }

// connect returns a connection of the test's own.
func (b *broker) connect(opts ...nats.Option) *nats.Conn {
	b.t.Helper()
	conn, err := nats.Connect(b.url(), opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(conn.Close)
	return conn
}

// eventually calls done until it returns nil.
func (b *broker) eventually(done func() error) {
	b.t.Helper()
	deadline := time.Now().Add(soon)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("after %v: %v\n%s", soon, err, b.output.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// settingsOf returns settings for a broker, with more of them as JSON members.
func settingsOf(url string, more ...string) string {
	return "{" + strings.Join(append([]string{fmt.Sprintf(`"url": %q`, url)}, more...), ", ") + "}"
}

// certificate writes a certificate for 127.0.0.1 that is its own authority, and
// its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
