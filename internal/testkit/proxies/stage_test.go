package proxies

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/port"
	"github.com/hookswitch/hookswitch/internal/testkit/program"
	"github.com/hookswitch/hookswitch/internal/testkit/telnyx"
	"github.com/hookswitch/hookswitch/internal/testkit/until"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// stage is where a story takes place: a sender, perhaps a proxy, the sidecar and
// an app.
type stage struct {
	t          *testing.T
	hookswitch string // path
	dir        string
	port       string   // where webhooks are sent to
	backend    string   // the port of the sidecar
	env        []string // of the sidecar
	sidecar    *exec.Cmd
	telnyx     *telnyx.Telnyx // sends from the address of the sender
	app        *telnyx.App
}

func newStage(t *testing.T, hookswitch string) *stage {
	t.Helper()
	s := &stage{t: t, hookswitch: hookswitch, dir: t.TempDir(), port: port.Free(t), backend: port.Free(t), app: new(telnyx.App)}
	var err error
	if s.telnyx, err = telnyx.New("https://127.0.0.1:" + s.port); err != nil {
		t.Fatal(err)
	}
	s.telnyx.Client.Transport = s.transport(s.certificate())
	if err := os.Mkdir(s.dir+"/plugins", 0o755); err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(s.app)
	t.Cleanup(app.Close)
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "TELNYX_PUBLIC_KEY=" + s.telnyx.PublicKey(),
		"HOOKSWITCH_STORE=file:" + s.dir + "/data", "HOOKSWITCH_PLUGIN_DIR=" + s.dir + "/plugins", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
		"HOOKSWITCH_TRUSTED_PROXIES=127.0.0.1", "HOOKSWITCH_LOG_LEVEL=warn", "HOOKSWITCH_FORWARD_TO=" + app.URL,
	}
	return s
}

func (s *stage) transport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(sender)}}
	return &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8}
}

// certificate writes one for 127.0.0.1, in the forms that the programs want.
func (s *stage) certificate() *x509.CertPool {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, text := range map[string][]byte{"tls.crt": crt, "tls.key": pkcs8, "tls.pem": append(bytes.Clone(crt), pkcs8...)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(crt)
	return roots
}

// startSidecar starts it and waits until it is ready. It listens on the port that
// webhooks are sent to, with a certificate, or on the one behind the proxy.
func (s *stage) startSidecar(alone bool) {
	s.t.Helper()
	env := append(s.env[:len(s.env):len(s.env)], "HOOKSWITCH_LISTEN=127.0.0.1:"+s.backend)
	if alone {
		env = append(s.env[:len(s.env):len(s.env)], "HOOKSWITCH_LISTEN=127.0.0.1:"+s.port, "HOOKSWITCH_TLS_CERT_FILE="+s.dir+"/tls.crt", "HOOKSWITCH_TLS_KEY_FILE="+s.dir+"/tls.key")
	}
	_ = os.Remove(s.dir + "/data/run.json")
	s.sidecar = s.start("sidecar", env, s.hookswitch, "run")
	s.until("the sidecar", func() error { return s.admin("/readyz", nil) })
}

// stopSidecar stops it, which must be graceful.
func (s *stage) stopSidecar() {
	s.t.Helper()
	if err := s.sidecar.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.sidecar.Wait(); err != nil {
		s.t.Errorf("the sidecar, told to stop: %v", err)
	}
}

// admin reads from the sidecar's admin listener.
func (s *stage) admin(path string, into any) error {
	text, err := os.ReadFile(s.dir + "/data/run.json")
	if err != nil {
		return err
	}
	var here struct{ Admin string }
	if err := json.Unmarshal(text, &here); err != nil {
		return err
	}
	res, err := http.Get(here.Admin + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch into := into.(type) {
	case nil:
	case *string:
		*into = string(body)
	default:
		err = errors.Join(err, json.Unmarshal(body, into))
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", path, res.Status, body)
	}
	return err
}

// start starts a program, whose output is shown if the test fails.
func (s *stage) start(name string, env []string, command ...string) *exec.Cmd {
	s.t.Helper()
	return program.Start(s.t, name, s.dir, env, command...)
}

func (s *stage) until(what string, done func() error) {
	s.t.Helper()
	until.Nil(s.t, patience, what, done)
}

// send sends a signed body to a path, with more headers in pairs.
func (s *stage) send(path string, body []byte, header ...string) (status int, err error) {
	return s.telnyx.Send(s.t.Context(), path, body, header...)
}

func (s *stage) reachable() error {
	status, err := s.send("/webhooks", []byte(`{}`), webhook.HeaderSignature, base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize)))
	if err == nil && status != http.StatusUnauthorized {
		err = fmt.Errorf("a wrong signature is answered %d", status)
	}
	return err
}
