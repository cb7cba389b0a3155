// Package nobody runs tests of what permissions keep from others also where the
// tests run as root, whom they keep from nothing, as in CI.
package nobody
