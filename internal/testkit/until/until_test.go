package until

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

type said []string

func (s *said) Fatalf(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

func TestNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s said
		began, asked := time.Now(), 0
		Nil(&s, time.Minute, "the third", func() error {
			if asked++; asked < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		if len(s) != 0 || asked != 3 || time.Since(began) != 2*every {
			t.Errorf("asked %d times in %v: %q", asked, time.Since(began), s)
		}
		Nil(&s, time.Minute, "nothing", func() error { return errors.New("never") })
		if len(s) != 1 || s[0] != "waited 1m0s for nothing: never" {
			t.Errorf("it said %q", s)
		}
	})
}
