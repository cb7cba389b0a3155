package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// sidecarDir returns the configuration, and the data directory that a command is
// about: the one that is set, or that of this directory. If none is set, and no
// sidecar has run in this directory, it is that of the "hookswitch dev" that runs in
// another, which is said.
func sidecarDir(c *cli.Command) (config.Config, string, error) {
	cfg, dir, err := dataDir(c)
	if err != nil || !cfg.DirIsDefault() {
		return cfg, dir, err
	}
	for _, file := range []string{instance.File, "events.db"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return cfg, dir, nil
		}
	}
	if other := runningDev(); other != "" {
		root := c.Root()
		if root.Metadata["dev"] != other { // once, however often tail connects
			fmt.Fprintf(root.ErrWriter, "of the \"hookswitch dev\" that runs on %s\n", other)
			root.Metadata["dev"] = other
		}
		return cfg, other, nil
	}
	return cfg, dir, nil
}

// runningDev returns the data directory of this user's latest "hookswitch dev" of those
// that run, or "".
func runningDev() string {
	for _, dir := range instance.Latest() {
		if here, err := instance.Find(dir); err == nil && here.Dev && answers(here) {
			return dir
		}
	}
	return ""
}

// answers reports whether a sidecar that was found still runs. One that is killed
// leaves its file behind, and takes connections until it is gone.
func answers(here instance.Info) bool {
	api := &http.Client{Transport: overSocket(here.Socket), Timeout: time.Second}
	defer api.CloseIdleConnections()
	res, err := api.Get("http://hookswitch/livez")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return true
}

// adminAddr returns the address of the admin listener of this configuration if a
// sidecar answers there, and says so: it is the last resort, for one that is neither
// on this data directory nor a service. A data directory that is set is meant, and no
// other.
func adminAddr(c *cli.Command, cfg *config.Config) string {
	host, port, err := net.SplitHostPort(cfg.AdminListen)
	if err != nil || port == "0" || !cfg.DirIsDefault() {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	addr := "http://" + net.JoinHostPort(host, port)
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	res, err := client.Get(addr + "/api/v1/status")
	if err != nil {
		return ""
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK && res.Header.Get("Content-Type") != "application/problem+json" {
		return "" // something else is there
	}
	if root := c.Root(); root.Metadata["admin"] != addr { // once, however often tail connects
		fmt.Fprintf(root.ErrWriter, "of the sidecar that answers on %s\n", addr)
		root.Metadata["admin"] = addr
	}
	return addr
}

// loadKey returns a key of a data directory. If load makes it, that is said: a key
// that nobody knows verifies nothing.
func loadKey(c *cli.Command, dir, file string, load func() (ed25519.PrivateKey, error)) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, file)
	_, before := os.Stat(path)
	key, err := load()
	if err != nil {
		return nil, err
	}
	if _, after := os.Stat(path); errors.Is(before, fs.ErrNotExist) && after == nil {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		use := "a sidecar with the data directory " + filepath.Dir(path) + " signs with it"
		if file == keyfile.Dev {
			use = "a receiver verifies with it after \"hookswitch keys dev --export\", and \"hookswitch dev\" on that data directory by itself"
		}
		fmt.Fprintf(c.Root().ErrWriter, "a new key was made: %s; %s\n", path, use)
	}
	return key, nil
}
