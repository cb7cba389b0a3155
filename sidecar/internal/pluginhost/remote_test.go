//go:build unix

package pluginhost

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// certificate makes a certificate for 127.0.0.1 and returns its files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

func TestRemoteWithTLSAndToken(t *testing.T) {
	cert, key := certificate(t)
	other, _ := certificate(t)
	listens := make(chan string, 10)
	startFar(t, listens, "HS_TEST_LISTEN=tcp 127.0.0.1:0", "HS_TEST_CERT="+cert, "HS_TEST_KEY="+key, "HS_TEST_TOKEN=s3cret")
	address := <-listens
	tests := []struct {
		name, more, token string
		want              string // part of the error, or nothing
	}{
		{"the right token", `,"tls":true,"ca_file":"` + cert + `","token_file":"token"`, "s3cret\n", ""},
		{"the wrong token", `,"tls":true,"ca_file":"` + cert + `","token_file":"token"`, "gu3ss", "Unauthenticated"},
		{"no token", `,"tls":true,"ca_file":"` + cert + `"`, "", "Unauthenticated"},
		{"no file of a token", `,"tls":true,"ca_file":"` + cert + `","token_file":"token"`, "", `"token_file"`},
		{"a token that is none", `,"tls":true,"ca_file":"` + cert + `","token_file":"token"`, "two\nlines", "one line of printable"},
		{"another authority", `,"tls":true,"ca_file":"` + other + `"`, "", "certificate"},
		{"a file without an authority", `,"tls":true,"ca_file":"token"`, "x", "has no certificate in PEM form"},
		{"no file of an authority", `,"tls":true,"ca_file":"missing"`, "", `"ca_file"`},
		{"no TLS where there is some", ``, "", "describe"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, func(c *Config) {
				writeManifest(t, c, "far", `{"protocol":"remote","address":"`+address+`","max_in_flight":3`+tt.more+`}`)
				if tt.token != "" {
					if err := os.WriteFile(filepath.Join(c.Dir, "token"), []byte(tt.token), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
			if tt.want != "" {
				wantDown(t, s, tt.want)
				if got := s.Plugins()[0].Status().LastError; strings.Contains(got, "gu3ss") {
					t.Errorf("the token is in the error %q", got)
				}
				return
			}
			s.start(t)
			p := s.plugin(t, "far")
			if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
				t.Errorf("got %+v", a)
			}
			if st := p.Status(); st.Credit != 3 { // of the server's 8
				t.Errorf("credit %d", st.Credit)
			}
		})
	}
}

// The server is nobody's child: it may come later, is connected to again, and
// goes on when the host stops.
func TestRemoteServerLivesByItself(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	remote := func() *setup {
		s := newSetup(t, func(c *Config) {
			writeManifest(t, c, "far", `{"protocol":"remote","address":"unix:`+socket+`"}`)
		})
		s.timings.backoffBase, s.timings.backoffMax = 10*time.Millisecond, 10*time.Millisecond
		s.start(t)
		return s
	}
	s := remote()
	s.log.wait(t, 2, "plugin is down", "remote plugin at unix:"+socket, "no such file")
	startFar(t, nil, "HS_TEST_LISTEN=unix "+socket)
	if a := deliver(t, s.plugin(t, "far"), task(1, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("got %+v", a)
	}
	s.Stop()
	s.log.wait(t, 1, "INFO plugin stopped")

	s = remote()
	if a := deliver(t, s.plugin(t, "far"), task(2, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("the next host: got %+v", a)
	}
	if st := s.plugin(t, "far").Status(); st.Restarts != 0 || st.PID != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestHungRemoteServer(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	listener, err := net.Listen("unix", socket) // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := newSetup(t, func(c *Config) {
		c.StartTimeout = 200 * time.Millisecond
		writeManifest(t, c, "far", `{"protocol":"remote","address":"unix:`+socket+`"}`)
	})
	wantDown(t, s, "plugin was not ready within 200ms", socket)
}
