// Package keyfile keeps the private keys of a sidecar on disk. A key is created once,
// by the first process that asks for it, and is never replaced. The use of the keys
// is decided elsewhere.
package keyfile

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookswitch/hookswitch/internal/durable"
)

// The names of the files in the data directory. Each holds the 32 bytes of the
// secret in base64 and belongs to nobody else (mode 0600).
const (
	Forward = "forward.key" // signs the requests that are forwarded to the app
	Dev     = "dev.key"     // signs the events of "hookswitch trigger"
)

// Load returns the private key in a file of the data directory dir, creating it
// if needed. Two processes that create one at the same time get the same key.
func Load(dir, name string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, name)
	key, err := Read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := create(dir, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return Read(path)
}

// PublicText returns the public half of key in the form of TELNYX_PUBLIC_KEY.
func PublicText(key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// Read returns the private key in a file. It is fs.ErrNotExist if there is none.
func Read(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read key: %s %w: restore it, or delete it to get a new key (apps then need the new public key)", path, err)
	}
	return key, nil
}

// Parse reads the text of a private key. Its error does not show the text, which
// may be most of a secret.
func Parse(text string) (ed25519.PrivateKey, error) {
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("does not hold the base64 of %d bytes", ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// create writes a new key to a file that must not exist, so that nobody ever sees half
// a key and no key is replaced.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	return durable.CreateFile(path, []byte(base64.StdEncoding.EncodeToString(key.Seed())+"\n"))
}
