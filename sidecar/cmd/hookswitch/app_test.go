package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// app is an HTTP app behind the sidecar. It writes the body of its n-th
// request to app/n.body, and the headers to app/n.header.
type app struct {
	server *httptest.Server
	dir    string

	mu     sync.Mutex
	status int
	n      int
}

// app: starts the app and sets HOOKSWITCH_FORWARD_TO.
func cmdApp(ts *testscript.TestScript, _ bool, _ []string) {
	a := &app{dir: ts.MkAbs("app"), status: http.StatusOK}
	ts.Check(os.MkdirAll(a.dir, 0o700))
	a.server = httptest.NewServer(a)
	ts.Defer(a.server.Close)
	worldOf(ts).app = a
	ts.Setenv("HOOKSWITCH_FORWARD_TO", a.server.URL+"/hooks")
}

// appstatus N: what the app answers from now on.
func cmdAppStatus(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	a := worldOf(ts).app
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = status
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	var header bytes.Buffer
	err = errors.Join(err, r.Header.Write(&header))
	name := filepath.Join(a.dir, strconv.Itoa(a.n))
	err = errors.Join(err, os.WriteFile(name+".header", header.Bytes(), 0o600), os.WriteFile(name+".body", body, 0o600))
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(a.status)
	fmt.Fprintf(w, "app answers %d\n", a.status)
}

// verifyingApp is an app in a process of its own, which listens on its argument. It
// verifies with the key in its environment.
func verifyingApp() {
	keys, err := webhook.ParseKeys(os.Getenv("TELNYX_PUBLIC_KEY"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verifier := &webhook.Verifier{Keys: keys}
	fmt.Println("the app starts") // not into the report
	http.Handle("POST /hooks", verifier.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], nil))
	os.Exit(1)
}
