package siptx

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
)

var errStream = errors.New("sip: the stream cannot be followed")

// readStream reads messages off a TCP or TLS connection until it ends. A TLS handshake takes place within
// the time for the first message, and who does not end it gets no buffer.
func (t *transport) readStream(s *stream, f Flow) {
	if c, ok := s.raw.(*tls.Conn); ok && c.HandshakeContext(context.Background()) != nil { // ends when the connection is closed
		return
	}
	r := bufio.NewReaderSize(s.raw, 4096)
	for {
		raw, ping, err := readMessage(r)
		if ping {
			_ = s.write([]byte("\r\n")) // RFC 5626, 3.5.1; a dead connection shows at the read
		} else if raw != nil {
			t.layer.handle(raw, f)
		}
		if err != nil {
			return
		}
		s.idle.Reset(t.layer.opt.Limits.Idle)
	}
}

// readMessage reads one message off a stream, by its Content-Length (RFC 3261,
// 18.3; none counts as 0), or reports a keep-alive of two line ends. With an
// error the stream is over; a message that came before it is to be answered still.
func readMessage(r *bufio.Reader) (raw []byte, ping bool, err error) {
	ends := 0
	for !bytes.HasSuffix(raw, blank) {
		line, err := r.ReadSlice('\n')
		raw = append(raw, line...)
		switch {
		case len(raw) > maxStream:
			return nil, false, errStream
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, false, err
		case string(raw) == "\r\n":
			if raw, ends = nil, ends+1; ends == 2 {
				return nil, true, nil
			}
		}
	}
	h, err := readHead(raw[:len(raw)-len(blank)])
	if err != nil {
		return raw, false, err // where the next one begins is anybody's guess
	}
	if h.length <= 0 {
		return raw, false, nil
	}
	// The buffer grows with what comes, not with what is promised.
	body := bytes.NewBuffer(raw)
	n, err := io.CopyN(body, r, int64(h.length))
	if n < int64(h.length) {
		return nil, false, err
	}
	return body.Bytes(), false, nil
}
