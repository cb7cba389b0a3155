package main

import (
	"testing"
	"time"
)

func TestAppURL(t *testing.T) {
	for text, want := range map[string]string{
		"5000":                "http://localhost:5000",
		"localhost:5000":      "http://localhost:5000",
		"localhost:5000/hook": "http://localhost:5000/hook",
		"app:80/a:b":          "http://app:80/a:b",
		"127.0.0.1:5000":      "http://127.0.0.1:5000",
		"https://a.example/x": "https://a.example/x",
		// What may mean something else is for the check to refuse.
		"localhost":      "localhost",
		":5000":          "http://localhost:5000",
		"5000/hook?a=b":  "http://localhost:5000/hook?a=b",
		"[::1]:5000/x":   "http://[::1]:5000/x",
		"https:5000":     "https:5000",
		"05000":          "05000",
		"70000":          "70000",
		"ftp://a:21/x":   "ftp://a:21/x",
		"mailto:a@b":     "mailto:a@b",
		"localhost:http": "localhost:http",
		"":               "",
	} {
		if got := appURL(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestListenAddress(t *testing.T) {
	for text, want := range map[string]string{"8080": "h:8080", ":8080": ":8080", "0": "h:0", "x": "x", "80800": "80800"} {
		if got := listenAddress("h", text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCalendar(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 29, 15, 0, 0, 0, paris) // the clock was set forward in the night
	for text, want := range map[string]string{
		"today":            "2026-03-29T00:00:00+01:00",
		"Yesterday":        "2026-03-28T00:00:00+01:00",
		"2026-07-01":       "2026-07-01T00:00:00+02:00",
		"2026-07-01 08:30": "2026-07-01T08:30:00+02:00",
		"2h":               "2h",
		"1d":               "1d",
		"tomorrow":         "tomorrow",
		"2026-13-01":       "2026-13-01",
		"":                 "",
	} {
		if got := calendar(text, now); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
