package live

import (
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of [Rejects], which is filled by strangers.
const (
	MaxRejects     = 500
	MaxRejectBytes = 8 << 20
	MaxRejectAge   = time.Hour
	MaxRejectBody  = 64 << 10 // larger bodies are not kept

	// admitted is how many requests are kept in a second. A few are enough to
	// explain a flood.
	admitted = 50
)

// Request is a rejected request, as received.
type Request struct {
	ID         string // "r_" and ten letters and digits, assigned by Add
	At         time.Time
	Status     int    // of the answer
	Reason     string // a word, such as "bad_signature"
	Detail     string
	Method     string
	URI        string
	RemoteAddr string
	Header     [][2]string
	Body       []byte // exact bytes; nil if Whole is false
	Whole      bool   // the body was read, and kept
}

func (r *Request) size() int {
	n := len(r.Body) + len(r.URI) + len(r.Detail) + 256
	for _, h := range r.Header {
		n += len(h[0]) + len(h[1])
	}
	return n
}

// Rejects keeps the latest rejected requests, as many as fit, for a while. All
// methods are safe for concurrent use. The zero value is ready.
type Rejects struct {
	mu     sync.Mutex
	list   []*Request // oldest first
	bytes  int
	second int64 // the second that count is about
	count  int
}

// Admit reports whether a request rejected now may be kept. It is called before
// the work of keeping it.
func (r *Rejects) Admit(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := now.Unix(); s != r.second {
		r.second, r.count = s, 0
	}
	r.count++
	return r.count <= admitted
}

// Add keeps a request and returns its id. The oldest make room for it.
func (r *Rejects) Add(q Request) string {
	q.ID = "r_" + strings.ToLower(rand.Text()[:10])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, &q)
	r.bytes += q.size()
	for len(r.list) > MaxRejects || r.bytes > MaxRejectBytes {
		r.drop()
	}
	r.expire(q.At)
	return q.ID
}

// drop forgets the oldest. The caller holds mu.
func (r *Rejects) drop() {
	r.bytes -= r.list[0].size()
	r.list[0] = nil // the array may live on
	r.list = r.list[1:]
}

// expire forgets the requests that are too old. The caller holds mu.
func (r *Rejects) expire(now time.Time) {
	for len(r.list) > 0 && now.Sub(r.list[0].At) > MaxRejectAge {
		r.drop()
	}
}

// List returns the kept requests, newest first. They must not be changed.
func (r *Rejects) List(now time.Time) []*Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	list := slices.Clone(r.list)
	slices.Reverse(list)
	return list
}

// Find returns the requests whose ids begin with prefix: one if it is whole.
func (r *Rejects) Find(now time.Time, prefix string) []*Request {
	var found []*Request
	for _, q := range r.List(now) {
		if strings.HasPrefix(q.ID, strings.ToLower(prefix)) {
			found = append(found, q)
		}
	}
	return found
}
