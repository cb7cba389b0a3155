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

// lookEvery is how often the files are looked at. Their content is compared,
// and not what the system says of the files: that is right for files that are
// written in place, for links that are turned to others, as certbot and
// Kubernetes do it, and on every file system.
const lookEvery = 2 * time.Second

// Keeper shows a pair to clients and follows its files. It is safe for
// concurrent use.
type Keeper struct {
	onUse func(notBefore, notAfter time.Time)
	log   *slog.Logger
	inUse atomic.Pointer[Pair]

	// looking is held while the files are read and while the pair is replaced:
	// a reload that changes the paths must not come between reading the old
	// files and using what they held.
	looking sync.Mutex
	read    func() (Pair, error) // guarded by looking

	mu      sync.Mutex
	doubted [sha256.Size]byte // guarded by mu: seen once, and perhaps half written
	refused [sha256.Size]byte // guarded by mu: of no use
	why     string            // guarded by mu: refused is; "" if nothing is
	told    string            // guarded by mu: what was last said of the pair in use
}

// NewKeeper returns a Keeper of a pair that read has read. It tells onUse when
// each pair that it puts to use is valid.
func NewKeeper(pair Pair, read func() (Pair, error), onUse func(notBefore, notAfter time.Time), log *slog.Logger) *Keeper {
	k := &Keeper{onUse: onUse, log: log}
	k.Use(pair, read)
	return k
}

// Listener makes a listener speak TLS, with the pair of the moment.
func (k *Keeper) Listener(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.InUse().Certificate, nil },
	})
}

// InUse returns the pair that is shown to those who connect now.
func (k *Keeper) InUse() Pair { return *k.inUse.Load() }

// Use shows another pair to those who connect from now on, and follows the
// files that read reads.
func (k *Keeper) Use(pair Pair, read func() (Pair, error)) {
	k.looking.Lock()
	defer k.looking.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = read
	k.replace(pair)
}

// replace puts a pair to use. The caller holds both locks.
func (k *Keeper) replace(pair Pair) {
	k.inUse.Store(&pair)
	k.onUse(pair.Leaf.NotBefore, pair.Leaf.NotAfter)
	k.why = ""
	k.told = pair.Untimely(time.Now()) // who puts it to use says so
}

// Refuses says why a pair cannot take the place of the one in use, or returns
// "". One that is not valid takes the place of no valid one.
func (k *Keeper) Refuses(pair Pair, now time.Time) string {
	if !pair.valid(now) && k.InUse().valid(now) {
		return pair.Untimely(now)
	}
	return ""
}

// Run puts a renewed pair to use, until ctx ends. A nil Keeper has nothing to do.
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

// Look reads the files again. A pair that cannot be used is looked at twice,
// since the second of its files may still be on its way; the old one stays in
// use, and the log says so once.
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
		k.log.Error("the certificate has changed, and the new one cannot be used: the old one stays", "code", telemetry.CodeCertRefused, "error", why)
	case why == "":
		k.replace(next)
		k.told = "" // what is wrong with it is said below
		k.log.Info("the certificate is renewed", "names", names(next.Leaf), "ends", next.Leaf.NotAfter.UTC())
	}
	if text := k.InUse().Untimely(now); text != k.told {
		if k.told = text; text != "" {
			k.log.Error(text, "code", telemetry.CodeCertInvalid)
		}
	}
}

// Warnings returns what is wrong with the pair in use, and with the one that
// could not take its place. A nil Keeper has none.
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
		list = append(list, "the certificate has changed, and the new one cannot be used: the old one stays: "+k.why)
	}
	return list
}
