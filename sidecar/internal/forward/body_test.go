package forward

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestBodyHasItsTime: an application that does not end its body holds an attempt
// up for seconds, however long an attempt may take.
func TestBodyHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		go io.WriteString(w, "the beginning")
		began := time.Now()
		got := readBody(r, func() { w.CloseWithError(context.Canceled) })
		if took := time.Since(began); string(got) != "the beginning" || took != bodyTimeout {
			t.Errorf("%q after %v, want it after %v", got, took, bodyTimeout)
		}
	})
}
