package certificate

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// lookEvery is how often the files are checked. Their content is compared, not their
// times: that works for files written in place, for switched links, as certbot and
// Kubernetes use, and on every file system.
const lookEvery = 2 * time.Second

// Keeper presents a pair to clients and follows its files. It is safe for
// concurrent use.
type Keeper struct {
	onUse func(notBefore, notAfter time.Time)
	log   *slog.Logger
	inUse atomic.Pointer[Pair]

	// looking is held while the files are read and while the pair is replaced:
	// a reload that changes the paths must not come between reading the old
	// files and using their content.
	looking sync.Mutex
	read    func() (Pair, error) // guarded by looking

	mu      sync.Mutex
	doubted [sha256.Size]byte // guarded by mu: seen once, perhaps half written
	refused [sha256.Size]byte // guarded by mu: cannot be used
	why     string            // guarded by mu: reason for refused; "" if nothing is
	told    string            // guarded by mu: last warning about the pair in use
}

// NewKeeper returns a Keeper of a pair that read has read. It tells onUse the
// validity of each pair that it begins to use.
func NewKeeper(pair Pair, read func() (Pair, error), onUse func(notBefore, notAfter time.Time), log *slog.Logger) *Keeper {
	k := &Keeper{onUse: onUse, log: log}
	k.Use(pair, read)
	return k
}

// Listener makes a listener speak TLS, with the pair in use.
func (k *Keeper) Listener(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.InUse().Certificate, nil },
	})
}

// InUse returns the pair that new connections get.
func (k *Keeper) InUse() Pair { return *k.inUse.Load() }

// Use presents another pair to new connections, and follows the files that read
// reads.
func (k *Keeper) Use(pair Pair, read func() (Pair, error)) {
	k.looking.Lock()
	defer k.looking.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = read
	k.replace(pair)
}

// replace begins to use a pair. The caller holds both locks.
func (k *Keeper) replace(pair Pair) {
	k.inUse.Store(&pair)
	k.onUse(pair.Leaf.NotBefore, pair.Leaf.NotAfter)
	k.why = ""
	k.told = pair.Untimely(time.Now()) // the caller says so
}

// Refuses returns why a pair cannot replace the one in use, or "". An invalid pair
// does not replace a valid one.
func (k *Keeper) Refuses(pair Pair, now time.Time) string {
	if !pair.valid(now) && k.InUse().valid(now) {
		return pair.Untimely(now)
	}
	return ""
}

// Run begins to use renewed pairs, until ctx ends. A nil Keeper does nothing.
func (k *Keeper) Run(ctx context.Context) error {
	if k == nil {
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			k.Look(time.Now())
		}
	}
}

// Look reads the files again. An unusable pair is checked twice, since the second file
// may not be written yet; the old pair stays in use, and the log says so once.
func (k *Keeper) Look(now time.Time) {
	k.looking.Lock()
	defer k.looking.Unlock()
	next, err := k.read()
	k.mu.Lock()
	defer k.mu.Unlock()
	why := ""
	if err != nil {
		why = err.Error()
	} else {
		why = k.Refuses(next, now)
	}
	switch {
	case next.digest == k.InUse().digest:
		k.why = ""
	case why != "" && next.digest != k.doubted:
		k.doubted = next.digest
	case why != "" && (next.digest != k.refused || k.why == ""):
		k.refused, k.why = next.digest, why
		k.log.Error("the certificate has changed, but the new one cannot be used: the old one stays", "code", telemetry.CodeCertRefused, "error", why)
	case why == "":
		k.replace(next)
		k.told = "" // a warning about it follows below
		k.log.Info("the certificate is renewed", "names", names(next.Leaf), "ends", next.Leaf.NotAfter.UTC())
	}
	if text := k.InUse().Untimely(now); text != k.told {
		if k.told = text; text != "" {
			k.log.Error(text, "code", telemetry.CodeCertInvalid)
		}
	}
}

// Warnings returns the problems of the pair in use, and of one that could not
// replace it. A nil Keeper has none.
func (k *Keeper) Warnings() (list []string) {
	if k == nil {
		return nil
	}
	if text := k.InUse().Untimely(time.Now()); text != "" {
		list = append(list, text)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.why != "" {
		list = append(list, "the certificate has changed, but the new one cannot be used: the old one stays: "+k.why)
	}
	return list
}
