package link

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ReadLines calls each for every line of r until the end. A line longer than
// limit bytes is cut, and what was cut is read and dropped: a plugin that never writes
// a newline must neither fill the host's memory nor be blocked. The slice is
// valid during the call only.
func ReadLines(r io.Reader, limit int, each func(line []byte, truncated bool)) {
	br := bufio.NewReaderSize(r, limit)
	cut := false // inside of a line that was cut
	for {
		line, err := br.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if !cut && len(line) > 0 {
			each(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), full)
		}
		cut = full
		if err != nil && !full {
			return
		}
	}
}
