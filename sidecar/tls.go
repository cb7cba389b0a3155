package sidecar

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
)

// loadCertificate reads the certificate of the webhook listener, or returns nil
// if it has none.
func (c *Config) loadCertificate() (*tls.Certificate, error) {
	switch {
	case c.TLSCertFile == "" && c.TLSKeyFile == "":
		return nil, nil
	case c.TLSCertFile == "":
		return nil, newConfigError("HOOKSWITCH_TLS_CERT_FILE", "is not set, but HOOKSWITCH_TLS_KEY_FILE is: set both, or neither for plain HTTP")
	case c.TLSKeyFile == "":
		return nil, newConfigError("HOOKSWITCH_TLS_KEY_FILE", "is not set, but HOOKSWITCH_TLS_CERT_FILE is: set both, or neither for plain HTTP")
	}
	certificate, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "tls: ")
		return nil, newConfigError("HOOKSWITCH_TLS_CERT_FILE", "and HOOKSWITCH_TLS_KEY_FILE cannot be used: "+text+": give the paths of a certificate in PEM, with those that it depends on, and of its key")
	}
	return &certificate, nil
}

// withTLS makes a listener speak TLS, with the certificate of the moment, if
// there is one.
func (s *Sidecar) withTLS(l net.Listener) (net.Listener, error) {
	certificate, err := s.cfg.loadCertificate()
	if err != nil || certificate == nil {
		return l, err
	}
	s.certificate.Store(certificate)
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := s.certificate.Load(); c != nil {
				return c, nil
			}
			return nil, errors.New("no certificate")
		},
	}), nil
}
