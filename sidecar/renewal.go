package sidecar

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// renewalLook is how often the files of the certificate are looked at. Their
// content is compared, and not what the system says of the files: that is right
// for files that are written in place, for links that are turned to others, as
// certbot and Kubernetes do it, and on every file system.
const renewalLook = 2 * time.Second

// renewal is what is known of the files of the certificate.
type renewal struct {
	mu      sync.Mutex
	inUse   [sha256.Size]byte // guarded by mu: digest of the pair in use
	doubted [sha256.Size]byte // guarded by mu: seen once, and perhaps half written
	refused [sha256.Size]byte // guarded by mu: of no use
	why     string            // guarded by mu: refused is; "" if nothing is
	told    string            // guarded by mu: what was last said of the pair in use
}

// useCertificate shows a certificate to those who connect from now on.
func (s *Sidecar) useCertificate(certificate *tls.Certificate, digest [sha256.Size]byte) {
	s.renewal.mu.Lock()
	defer s.renewal.mu.Unlock()
	s.replaceCertificate(certificate, digest)
}

// replaceCertificate is useCertificate for a caller that holds renewal.mu.
func (s *Sidecar) replaceCertificate(certificate *tls.Certificate, digest [sha256.Size]byte) {
	s.certificate.Store(certificate)
	s.metrics.Certificate(certificate.Leaf.NotBefore, certificate.Leaf.NotAfter)
	s.renewal.inUse, s.renewal.why = digest, ""
	s.renewal.told = untimely(certificate, time.Now()) // who puts it to use says so
}

// followCertificate puts a renewed certificate to use, until ctx ends.
func (s *Sidecar) followCertificate(ctx context.Context) error {
	tick := time.NewTicker(renewalLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.lookAtCertificate(time.Now())
		}
	}
}

// lookAtCertificate reads the files again. A pair that cannot be used is looked
// at twice, since the second of its files may still be on its way; the old one
// stays in use, and the log says so once. A reload that changes the paths must
// not come between reading the old files and using what they held; while one is
// under way the next look is soon enough.
func (s *Sidecar) lookAtCertificate(now time.Time) {
	if !s.reload.mu.TryLock() {
		return
	}
	defer s.reload.mu.Unlock()
	c := s.Config()
	next, digest, err := c.readCertificate()
	r := &s.renewal
	r.mu.Lock()
	defer r.mu.Unlock()
	current := s.certificate.Load()
	why := ""
	switch {
	case err != nil:
		why = err.Error()
	case next == nil: // the variables have gone: that takes a restart
		return
	case !valid(next, now) && valid(current, now):
		why = untimely(next, now)
	}
	switch {
	case digest == r.inUse:
		r.why = ""
	case why != "" && digest != r.doubted:
		r.doubted = digest
	case why != "" && (digest != r.refused || r.why == ""):
		r.refused, r.why = digest, why
		s.log.Error("the certificate has changed, and the new one cannot be used: the old one stays", "code", telemetry.CodeCertRefused, "error", why)
	case why == "":
		s.replaceCertificate(next, digest)
		r.told = "" // what is wrong with it is said below
		s.log.Info("the certificate is renewed", "names", namesOf(next.Leaf), "ends", next.Leaf.NotAfter.UTC())
	}
	if text := untimely(s.certificate.Load(), now); text != r.told {
		if r.told = text; text != "" {
			s.log.Error(text, "code", telemetry.CodeCertInvalid)
		}
	}
}

// certificateWarnings returns what is wrong with the certificate in use, and
// with the one that could not take its place.
func (s *Sidecar) certificateWarnings() (list []string) {
	current := s.certificate.Load()
	if current == nil {
		return nil
	}
	if text := untimely(current, time.Now()); text != "" {
		list = append(list, text)
	}
	s.renewal.mu.Lock()
	defer s.renewal.mu.Unlock()
	if s.renewal.why != "" {
		list = append(list, "the certificate has changed, and the new one cannot be used: the old one stays: "+s.renewal.why)
	}
	return list
}
