package prompt

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errOgg = errors.New("no Ogg Opus file")

// readOgg gives the packets of the first stream of an Ogg file (RFC 3533) that holds Opus (RFC 7845), and
// the samples at 48 kHz to leave out at its beginning.
func readOgg(raw []byte) (packets [][]byte, skip int, err error) {
	var partial []byte
	var all [][]byte
	for len(raw) > 0 {
		if len(raw) < 27 || string(raw[:4]) != "OggS" {
			return nil, 0, errOgg
		}
		n := int(raw[26])
		if len(raw) < 27+n {
			return nil, 0, errOgg
		}
		lacing, body := raw[27:27+n], raw[27+n:]
		for _, size := range lacing {
			if len(body) < int(size) || len(partial) > maxFile {
				return nil, 0, errOgg
			}
			partial = append(partial, body[:size]...)
			body = body[size:]
			if size < 255 { // the end of a packet
				all = append(all, partial)
				partial = nil
			}
		}
		raw = body
	}
	if len(all) < 3 || !bytes.HasPrefix(all[0], []byte("OpusHead")) || len(all[0]) < 19 || !bytes.HasPrefix(all[1], []byte("OpusTags")) {
		return nil, 0, errOgg
	}
	return all[2:], int(binary.LittleEndian.Uint16(all[0][10:])), nil
}
