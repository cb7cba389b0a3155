package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// carrier holds what one request needs in one allocation: the event, the context
// that carries it, and the body for the next handler.
type carrier struct {
	context.Context
	event Event
	body  bodyReader
	proof proof
}

// Value implements context.Context.
func (c *carrier) Value(key any) any {
	if key == eventKey {
		return &c.event
	}
	return c.Context.Value(key)
}

// bodyReader is a body that has been read.
type bodyReader struct {
	rest []byte
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, which io.Copy prefers.
func (b *bodyReader) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.rest)
	b.rest = b.rest[n:]
	return int64(n), err
}

func (*bodyReader) Close() error { return nil }

// announced returns the length in Content-Length, or -1.
func announced(h http.Header) int64 {
	if values := h["Content-Length"]; len(values) > 0 {
		if n, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 63); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// bodyAccident explains a body whose length is not the announced one, which is
// below 0 if unknown; or returns "". A broken connection is not the reason:
// reading would have failed.
func bodyAccident(announced int64, n int) string {
	const fix = ": verify before anything else reads the body, or restore it unchanged"
	switch {
	case announced > int64(n):
		return fmt.Sprintf("the body was read before: %d of the %d bytes announced by Content-Length are left%s", n, announced, fix)
	case announced >= 0 && announced < int64(n):
		return fmt.Sprintf("the body was changed: it has %d bytes, and Content-Length announces %d%s", n, announced, fix)
	case announced < 0 && n == 0:
		return "the body is empty, and no webhook has an empty one: perhaps it was read before" + fix
	}
	return ""
}

// readBody returns the signed prefix followed by the body of r, in one piece
// and without copying it, and puts body in its place. The buffer grows with
// what arrives, to about eight times of it: a sender who announces much and
// sends little costs little.
func (v *Verifier) readBody(r *http.Request, p *proof, body *bodyReader) ([]byte, *Error) {
	const step = 4 << 10
	maxBody, prefix := v.maxBody(), p.prefixLen()
	room := int64(step)
	if 0 <= r.ContentLength && r.ContentLength < step {
		room = r.ContentLength + 1 // one more byte, to see the end without growing
	}
	buf := p.appendPrefix(make([]byte, 0, int64(prefix)+room))
	var err error
	for r.Body != nil && err == nil && int64(len(buf)-prefix) <= maxBody {
		if len(buf) == cap(buf) {
			more := min(r.ContentLength-int64(len(buf)-prefix)+1, 7*int64(len(buf)))
			buf = slices.Grow(buf, max(int(more), 1))
		}
		var n int
		n, err = r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
	}
	if int64(len(buf)-prefix) > maxBody {
		return nil, v.tooLarge()
	}
	if err != nil && err != io.EOF {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, v.tooLarge() // for the server's own limit
		}
		return nil, reject(ErrBody, err.Error())
	}
	if r.Body != nil {
		_ = r.Body.Close() // it was read to the end; nothing is left to fail
	}
	// The capacity ends with the body, so that an append to it copies.
	buf = buf[:len(buf):len(buf)]
	body.rest = buf[prefix:]
	r.Body = body
	r.ContentLength = int64(len(body.rest))
	return buf, nil
}
