package multilang

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/kinesis-go/kcl/stream"
)

// longestPiece bounds what is kept of a line of stderr that is still under way.
const longestPiece = 64 << 10

// stderrCopier copies lines, each behind a tag.
type stderrCopier struct {
	to  io.Writer
	tag string
}

func tagOf(a stream.Assignment) string {
	if a.Stream == "" {
		return "[" + string(a.Shard) + "] "
	}
	return "[" + a.Stream + " " + string(a.Shard) + "] "
}

// copy copies until the end of from. A line is one Write with its tag, so that children do not mix; one longer than
// longestPiece becomes several lines. When the destination fails the rest is read and lost: the child must not block.
func (s stderrCopier) copy(from io.Reader) {
	in := bufio.NewReaderSize(from, longestPiece)
	line := make([]byte, 0, len(s.tag)+256)
	for {
		piece, err := in.ReadSlice('\n')
		if len(piece) > 0 {
			line = append(append(line[:0], s.tag...), bytes.TrimRight(piece, "\r\n")...)
			line = append(line, '\n')
			if _, werr := s.to.Write(line); werr != nil {
				s.to = io.Discard
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
