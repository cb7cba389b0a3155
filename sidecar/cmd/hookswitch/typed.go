package main

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// What people type for a URL, an address or a time, where only one thing can be meant.

// appURL completes the URL of an app on this machine or in its network: 5000,
// :5000/hook or app:5000.
func appURL(text string) string {
	end := strings.IndexAny(text, "/?")
	if end < 0 {
		end = len(text)
	}
	if port := strings.TrimPrefix(text[:end], ":"); isPort(port) {
		return "http://localhost:" + port + text[end:]
	}
	host, port, err := net.SplitHostPort(text[:end])
	if err == nil && host != "" && host != "http" && host != "https" && isPort(port) {
		return "http://" + text
	}
	return text
}

// listenAddress completes a port to an address of a host.
func listenAddress(host, text string) string {
	if isPort(text) {
		return host + ":" + text
	}
	return text
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == text
}

// calendar turns a word or a date of this machine's calendar into a time for the API,
// and leaves any other text as it is.
func calendar(text string, now time.Time) string {
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()) }
	switch strings.ToLower(text) {
	case "today":
		return day(now).Format(time.RFC3339)
	case "yesterday":
		return day(now.AddDate(0, 0, -1)).Format(time.RFC3339)
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return text
}
