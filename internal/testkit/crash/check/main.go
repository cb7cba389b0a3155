// Command check judges the ledger of a crash test: it prints what it says, and
// exits 1 if an acknowledged event was lost or too many were repeated.
package main

import (
	"fmt"
	"os"

	"github.com/hookswitch/hookswitch/internal/testkit/crash"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: check LEDGER")
		os.Exit(2)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	defer f.Close()
	v, err := crash.Judge(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(v)
	if !v.OK() {
		os.Exit(1)
	}
}
