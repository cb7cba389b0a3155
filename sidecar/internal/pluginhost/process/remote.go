package process

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// tokenMax is the largest size of a token file, in bytes.
const tokenMax = 16 << 10

// startRemote connects to a plugin that runs elsewhere. To the supervisor the loss
// of the connection is the death of a process: it connects again, with the same
// pauses, and unanswered events are retried. Certificates and token are read again
// each time, since they are rotated.
func (l *Launcher) startRemote(ctx context.Context, p *Process, b *catalog.Build, log *slog.Logger) (step Step, err error) {
	m := b.Manifest
	defer func() {
		if err != nil {
			err = fmt.Errorf("remote plugin at %s: %w", m.Address, err)
		}
	}()
	network, address := "tcp", m.Address
	if path, ok := strings.CutPrefix(m.Address, "unix:"); ok {
		network, address = "unix", path
	}
	creds, err := transport(m)
	if err != nil {
		return StepConnect, err
	}
	token, err := readToken(m)
	if err != nil {
		return StepConnect, err
	}
	if m.InClear() {
		log.Warn(`events travel to a remote plugin in the clear: add "tls": true to its manifest`, "code", telemetry.CodePluginInClear, "address", m.Address)
	}
	var opts []grpc.DialOption
	if token != "" {
		opts = append(opts, grpc.WithPerRPCCredentials(token))
	}
	if p.Conn, err = dial(network, address, creds, opts...); err != nil {
		return StepConnect, err
	}
	step, err = p.introduce(ctx, b, l.Until)
	if err == nil && p.Link != nil && m.MaxInFlight > 0 {
		p.Link.Cap(m.MaxInFlight)
	}
	return step, err
}

// transport returns how the connection is protected.
func transport(m *catalog.Manifest) (credentials.TransportCredentials, error) {
	if !m.TLS {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.CAFile != "" {
		pem, err := os.ReadFile(m.CAFile)
		if err != nil {
			return nil, fmt.Errorf(`read the "ca_file" of the manifest: %w`, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf(`read the "ca_file" of the manifest: %s has no certificate in PEM form`, m.CAFile)
		}
	}
	return credentials.NewTLS(cfg), nil
}

// bearer is a token, sent with every call.
type bearer string

// readToken reads the token, if there is to be one. Its errors do not repeat it.
func readToken(m *catalog.Manifest) (bearer, error) {
	if m.TokenFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(m.TokenFile)
	if err != nil {
		return "", fmt.Errorf(`read the "token_file" of the manifest: %w`, err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > tokenMax {
		return "", fmt.Errorf(`read the "token_file" of the manifest: %s must have 1 to %d bytes`, m.TokenFile, tokenMax)
	}
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return "", errors.New(`read the "token_file" of the manifest: ` + m.TokenFile + " must have one line of printable ASCII")
		}
	}
	return bearer(text), nil
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false because the manifest was checked: without
// TLS a token stays on this machine.
func (b bearer) RequireTransportSecurity() bool { return false }
