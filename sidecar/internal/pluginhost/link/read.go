package link

import (
	"bufio"
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
			each(trimNewline(line), full)
		}
		cut = full
		if err != nil && !full {
			return
		}
	}
}

func trimNewline(line []byte) []byte {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
	}
	if n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n]
}
