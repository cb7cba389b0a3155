// Package output keeps what a program prints, for tests that read it while the
// program still runs.
package output

import (
	"bytes"
	"sync"
)

// Buffer collects output. The zero value is empty. It is safe
// for concurrent use.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements [io.Writer]. It returns no error.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns all of it.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
