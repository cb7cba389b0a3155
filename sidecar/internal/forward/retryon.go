package forward

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// RetryOn decides after which failures an event is sent again. The zero value
// means after all except 410 Gone.
type RetryOn struct{ words []string }

// failures without an answer, by their error codes.
var failureWords = []string{"conn", "timeout", "dns", "tls"}

// ParseRetryOn reads a list separated by commas: conn, timeout, dns and tls for
// requests without an answer, statuses such as 429, and classes such as 5xx.
// Any other failure makes an event a dead letter at once.
//
// Whatever it says, 408, 425 and 429 are retried, because they ask for that, and
// 410 is not, because it asks for the opposite.
func ParseRetryOn(text string) (RetryOn, error) {
	var r RetryOn
	for word := range strings.SplitSeq(text, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		n, err := strconv.Atoi(word)
		switch {
		case slices.Contains(failureWords, word):
		case len(word) == 3 && strings.HasSuffix(word, "xx") && word[0] >= '3' && word[0] <= '5':
		case err == nil && n >= 300 && n <= 599:
		default:
			return RetryOn{}, fmt.Errorf("has %q: use conn, timeout, dns, tls, a status such as 429, or a class: 3xx, 4xx, 5xx", word)
		}
		r.words = append(r.words, word)
	}
	return r, nil
}

// status reports whether an event with this answer is sent again.
func (r RetryOn) status(code int) bool {
	switch code {
	case http.StatusGone:
		return false
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	if r.words == nil {
		return true
	}
	class := fmt.Sprintf("%dxx", code/100)
	return slices.Contains(r.words, class) || slices.Contains(r.words, strconv.Itoa(code)) ||
		code < 300 || code > 599 // a status that cannot be listed
}

// failure reports whether an event is sent again after a request that got no
// answer. A failure without a word of its own is retried.
func (r RetryOn) failure(code int, timedOut bool) bool {
	word := ""
	switch code {
	case codeResolve:
		word = "dns"
	case codeConnect:
		word = "conn"
	case codeCertificate, codeCertExpired, codeCertName, codeCertUntrusted:
		word = "tls"
	}
	if timedOut {
		word = "timeout"
	}
	return r.words == nil || word == "" || slices.Contains(r.words, word)
}
