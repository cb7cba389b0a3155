package config

import (
	"errors"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/certificate"
)

// Receiving decides how webhooks come in.
type Receiving struct {
	// PublicKey are the keys that webhooks are signed with, as shown in
	// Mission Control. Several are separated by commas, each with an optional
	// label ("new:KEY,old:KEY"). Required.
	PublicKey Keys `env:"TELNYX_PUBLIC_KEY" desc:"public keys of Telnyx, as Mission Control shows them; required" example:"new:KEY,old:KEY" reload:"true" secret:"true"`

	// Listen is the address that receives webhooks. Port 0 picks a free one.
	Listen string `env:"HOOKSWITCH_LISTEN" envDefault:":8080" desc:"address that receives webhooks" example:"127.0.0.1:8080"`

	Paths []string `env:"HOOKSWITCH_PATHS" envDefault:"/webhooks" desc:"paths that webhooks are POSTed to" example:"/webhooks,/sms"`

	// TLSCertFile and TLSKeyFile make Listen speak TLS: the paths of a
	// certificate in PEM, with its chain, and of its key. Both files are
	// followed, so that a renewal needs no signal. Without them Listen speaks
	// plain HTTP.
	TLSCertFile string `env:"HOOKSWITCH_TLS_CERT_FILE" desc:"certificate of the webhook listener, in PEM, with its chain, watched; without it: plain HTTP" example:"/etc/hookswitch/tls.crt" reload:"true"`
	TLSKeyFile  string `env:"HOOKSWITCH_TLS_KEY_FILE" desc:"key of the certificate, in PEM" example:"/etc/hookswitch/tls.key" reload:"true"`

	// MaxBody is how large the body of a webhook may be; more is answered 413.
	MaxBody ByteSize `env:"HOOKSWITCH_MAX_BODY" envDefault:"1MiB" desc:"how large the body of a webhook may be, up to 8MiB"`

	Tolerance Duration `env:"HOOKSWITCH_TOLERANCE" envDefault:"5m" desc:"how far a timestamp may be off, either way" reload:"true"`

	// TrustedProxies are the peers that are believed about who sent a request: IP
	// addresses, networks, loopback, private. Only X-Forwarded-For is read.
	TrustedProxies accept.Proxies `env:"HOOKSWITCH_TRUSTED_PROXIES" desc:"proxies believed about the sender (X-Forwarded-For): addresses, networks, loopback, private" example:"loopback,10.1.0.0/16" reload:"true"`

	// Verifier is what checks signatures: one of the Verify... constants.
	Verifier string `env:"HOOKSWITCH_VERIFIER" envDefault:"standard" desc:"what checks signatures: standard, fast (not audited), or shadow (standard decides, fast is compared)" reload:"true"`

	// AckBudget is how long an event may take to be stored. Past it the sender
	// is answered 503 and sends again. Telnyx waits two seconds.
	AckBudget Duration `env:"HOOKSWITCH_ACK_BUDGET" envDefault:"1500ms" desc:"how long storing may take before the answer is 503; Telnyx waits 2s"`

	// DrainDelay is how long webhooks are still accepted after the sidecar was
	// told to stop, while it is no longer ready: the time that load balancers
	// need to notice.
	DrainDelay Duration `env:"HOOKSWITCH_DRAIN_DELAY" envDefault:"0s" desc:"how long webhooks are still accepted after a signal to stop" example:"5s"`
}

// Values of Verifier. The verdicts are the same; see package fastverify.
const (
	VerifyStandard = "standard" // crypto/ed25519
	VerifyFast     = "fast"     // fastverify
	VerifyShadow   = "shadow"   // both; crypto/ed25519 decides
)

// Bounds of MaxBody. Telnyx sends far less; a message to a plugin has at most
// 16 MiB, the event and all that belongs to it.
const (
	minBody = 1 << 10
	maxBody = 8 << 20
)

// validateReceiving checks how webhooks come in.
func (c *Config) validateReceiving(problem *Error) {
	if err := accept.CheckPaths(c.Paths); err != nil {
		problem.add("HOOKSWITCH_PATHS", err.Error())
	}
	if c.MaxBody < minBody || c.MaxBody > maxBody {
		problem.add("HOOKSWITCH_MAX_BODY", "is not from 1KiB to 8MiB: 1MiB is far more than Telnyx sends")
	}
	switch c.Verifier {
	case VerifyStandard, VerifyFast, VerifyShadow:
	default:
		problem.add("HOOKSWITCH_VERIFIER", "must be standard, fast or shadow")
	}
	if _, err := c.ReadCertificate(); err != nil {
		problem.join(err)
	}
}

// ReadCertificate reads the certificate of the webhook listener. It returns the
// zero Pair if none is configured; its error is an [*Error].
func (c *Config) ReadCertificate() (certificate.Pair, error) {
	switch {
	case c.TLSCertFile == "" && c.TLSKeyFile == "":
		return certificate.Pair{}, nil
	case c.TLSCertFile == "":
		return certificate.Pair{}, NewError("HOOKSWITCH_TLS_CERT_FILE", "is not set, but HOOKSWITCH_TLS_KEY_FILE is: set both, or neither for plain HTTP")
	case c.TLSKeyFile == "":
		return certificate.Pair{}, NewError("HOOKSWITCH_TLS_KEY_FILE", "is not set, but HOOKSWITCH_TLS_CERT_FILE is: set both, or neither for plain HTTP")
	}
	pair, err := certificate.Read(c.TLSCertFile, c.TLSKeyFile)
	if weak, ok := errors.AsType[*certificate.WeakKeyError](err); ok {
		return pair, NewError("HOOKSWITCH_TLS_CERT_FILE", weak.Error())
	}
	if err != nil {
		return pair, NewError("HOOKSWITCH_TLS_CERT_FILE", "and HOOKSWITCH_TLS_KEY_FILE cannot be used: "+err.Error()+": give the paths of a certificate in PEM, with its chain, and of its key")
	}
	return pair, nil
}
