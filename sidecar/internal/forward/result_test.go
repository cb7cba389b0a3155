package forward_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
)

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		status  int
		outcome delivery.Outcome
		code    int
	}{
		{200, delivery.OutcomeDone, 0},
		{201, delivery.OutcomeDone, 0},
		{204, delivery.OutcomeDone, 0},
		{300, delivery.OutcomeRetry, 75300},
		{301, delivery.OutcomeRetry, 75300},
		{307, delivery.OutcomeRetry, 75300},
		{400, delivery.OutcomeRetry, 75400},
		{401, delivery.OutcomeRetry, 75499},
		{404, delivery.OutcomeRetry, 75404},
		{408, delivery.OutcomeRetry, 75499},
		{410, delivery.OutcomeFailed, 75499},
		{425, delivery.OutcomeRetry, 75499},
		{429, delivery.OutcomeRetry, 75499},
		{500, delivery.OutcomeRetry, 75500},
		{503, delivery.OutcomeRetry, 75599},
		{599, delivery.OutcomeRetry, 75599},
		{700, delivery.OutcomeRetry, 75000},
	} {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			url, last := app(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("a redirect was followed")
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				if tt.status != 204 {
					io.WriteString(w, "said the app")
				}
			})
			a := deliver(t, newForward(t, forward.Config{URL: url}), newTask())
			var codes []int
			if tt.code != 0 {
				codes = []int{tt.code}
			}
			if a.Outcome != tt.outcome || a.ResponseStatus != tt.status || a.RetryAfter != 0 || !cmp.Equal(a.ErrorCodes, codes) {
				t.Errorf("attempt: %+v", a)
			}
			if (a.Error == "") != (tt.outcome == delivery.OutcomeDone) || a.Error != "" && !strings.Contains(a.Error, fmt.Sprint(tt.status)) {
				t.Errorf("error: %q", a.Error)
			}
			if tt.status != 204 && string(a.ResponseBody) != "said the app" {
				t.Errorf("body: %q", a.ResponseBody)
			}
			if last.method != "POST" {
				t.Errorf("last request: %+v", last)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name, value string
		status      int
		least, most time.Duration
	}{
		{"seconds", "120", 503, 2 * time.Minute, 2 * time.Minute},
		{"a date", now.Add(time.Hour).UTC().Format(http.TimeFormat), 429, 59 * time.Minute, time.Hour},
		{"on any answer that is retried", "5", 404, 5 * time.Second, 5 * time.Second},
		{"a date that has passed", now.Add(-time.Hour).UTC().Format(http.TimeFormat), 503, 0, 0},
		{"zero", "0", 503, 0, 0},
		{"a negative number", "-5", 503, 0, 0},
		{"nonsense", "soon", 503, 0, 0},
		{"a year is cut to a day", "31536000", 503, 24 * time.Hour, 24 * time.Hour},
		{"a date in a year as well", now.AddDate(1, 0, 0).UTC().Format(http.TimeFormat), 503, 24 * time.Hour, 24 * time.Hour},
		{"a number beyond all bounds", "18446744073709551615", 503, 24 * time.Hour, 24 * time.Hour},
		{"not on a dead letter", "5", 410, 0, 0},
		{"not on success", "5", 200, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := app(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.value)
				w.WriteHeader(tt.status)
			})
			a := deliver(t, newForward(t, forward.Config{URL: url}), newTask())
			if a.RetryAfter < tt.least || a.RetryAfter > tt.most {
				t.Errorf("got %v, want %v to %v", a.RetryAfter, tt.least, tt.most)
			}
		})
	}
}

func TestRecordsAreCapped(t *testing.T) {
	url, _ := app(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 30 {
			w.Header().Set(fmt.Sprintf("X-%02d", i), strings.Repeat("v", 1000))
		}
		w.Header().Set("Set-Cookie", "z")
		w.Write(bytes.Repeat([]byte{0xff, 0, 'a'}, 100_000))
	})
	task := newTask()
	task.Event.Header = append(task.Event.Header, [2]string{"Telnyx-Big", strings.Repeat("b", 20_000)})
	a := deliver(t, newForward(t, forward.Config{URL: url}), task)
	if a.Outcome != delivery.OutcomeDone {
		t.Fatalf("attempt: %+v", a)
	}
	if !bytes.Equal(a.ResponseBody, bytes.Repeat([]byte{0xff, 0, 'a'}, 100_000)[:delivery.RecordLimit]) {
		t.Errorf("body: %d bytes", len(a.ResponseBody))
	}
	for what, pairs := range map[string][][2]string{"request": a.RequestHeader, "response": a.ResponseHeader} {
		size := 0
		for _, p := range pairs {
			size += len(p[0]) + len(p[1])
		}
		if size > delivery.RecordLimit || size < delivery.RecordLimit-1000 {
			t.Errorf("%s header: %d bytes", what, size)
		}
	}
}

// closedPort returns a URL where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// raw is a server that reads a request's beginning and answers with bytes.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 64<<10))
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestNoAnswer(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, tt := range []struct {
		name string
		url  func(t *testing.T) string
		code int
		sent bool
		text string
	}{
		{"nobody listens", closedPort, 75002, false, "connection refused"},
		// ".invalid" never exists (RFC 6761), with or without a resolver.
		{"a name that does not exist", func(*testing.T) string { return "http://nobody.invalid/" }, 75001, false, `"nobody.invalid"`},
		{"a hung application", func(t *testing.T) string { url, _ := app(t, hang); return url }, 75000, true, "no answer within 200ms"},
		{"a connection closed without an answer", func(t *testing.T) string { return "http://" + raw(t, "") }, 75000, true, "EOF"},
		{"an answer that is not HTTP", func(t *testing.T) string { return "http://" + raw(t, "SSH-2.0-x\r\n\r\n") }, 75000, true, "malformed"},
		{"an endless response header", func(t *testing.T) string {
			return "http://" + raw(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 100_000)+"\r\n\r\n")
		}, 75000, true, "header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := forward.Config{URL: tt.url(t)}
			if tt.text == "no answer within 200ms" {
				cfg.Timeout = 200 * time.Millisecond
			}
			checkFailure(t, deliver(t, newForward(t, cfg), newTask()), tt.code, tt.sent, tt.text)
		})
	}
}

func checkFailure(t *testing.T, a delivery.Attempt, code int, sent bool, text string) {
	t.Helper()
	if a.Outcome != delivery.OutcomeRetry || a.ResponseStatus != 0 || !cmp.Equal(a.ErrorCodes, []int{code}) {
		t.Errorf("attempt: %+v, want code %d", a, code)
	}
	if !strings.Contains(a.Error, text) {
		t.Errorf("error %q does not contain %q", a.Error, text)
	}
	if (a.RequestHeader != nil) != sent {
		t.Errorf("request header recorded: %v, want %v", a.RequestHeader != nil, sent)
	}
}

// The status has been seen, so an attempt is delivered however the body ends;
// and it ends within the time of the attempt.
func TestSlowBody(t *testing.T) {
	url, _ := app(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "the beginning")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	a := deliver(t, newForward(t, forward.Config{URL: url, Timeout: 300 * time.Millisecond}), newTask())
	if a.Outcome != delivery.OutcomeDone || string(a.ResponseBody) != "the beginning" || a.Error != "" {
		t.Errorf("attempt: %+v", a)
	}
	if took := a.FinishedAt.Sub(a.StartedAt); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

// authority is a certificate authority for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// serve starts an https server with a certificate for 127.0.0.1 by this
// authority, after change has been at it.
func (a authority) serve(t *testing.T, change func(*x509.Certificate)) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "app"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(answer(200))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client's complaint
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	keep := func(*x509.Certificate) {}
	for _, tt := range []struct {
		name string
		url  func(t *testing.T) string
		code int
	}{
		{"a certificate that is right", func(t *testing.T) string { return ours.serve(t, keep) }, 0},
		{"an expired certificate", func(t *testing.T) string {
			return ours.serve(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
		}, 75004},
		{"a certificate for another name", func(t *testing.T) string {
			return ours.serve(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example.com"} })
		}, 75005},
		{"a certificate of an unknown authority", func(t *testing.T) string { return theirs.serve(t, keep) }, 75006},
		{"a certificate for another purpose", func(t *testing.T) string {
			return ours.serve(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}, 75003},
		{"a server that does not speak TLS", func(t *testing.T) string {
			url, _ := app(t, answer(200))
			return strings.Replace(url, "http:", "https:", 1)
		}, 75003},
		{"a server that answers nonsense", func(t *testing.T) string { return "https://" + raw(t, "220 smtp\r\n") }, 75003},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := deliver(t, newForward(t, forward.Config{URL: tt.url(t), RootCAs: ours.pool()}), newTask())
			if tt.code == 0 {
				if a.Outcome != delivery.OutcomeDone {
					t.Errorf("attempt: %+v", a)
				}
				return
			}
			checkFailure(t, a, tt.code, false, "TLS: ")
		})
	}
}

// A port that takes connections and says nothing, not even in TLS.
func TestHungHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := deliver(t, newForward(t, forward.Config{URL: "https://" + l.Addr().String(), Timeout: 200 * time.Millisecond}), newTask())
	checkFailure(t, a, 75000, false, "handshake")
}
