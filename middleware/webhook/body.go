package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// carrier is what one request needs, in one allocation: the event, the context
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

// readBody returns the signed prefix followed by the body of r, in one piece
// and without copying it, and puts body in its place. The buffer grows with
// what arrives: a sender who announces much and sends little costs little.
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
			buf = append(buf, 0)[:len(buf)]
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
	// The capacity ends with the body: an append by whoever has it copies.
	buf = buf[:len(buf):len(buf)]
	body.rest = buf[prefix:]
	r.Body = body
	r.ContentLength = int64(len(body.rest))
	return buf, nil
}
