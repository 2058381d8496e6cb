package recognize

// An OpusStream is a Stream that takes sound as it came, too, where Needs.Opus says so: each packet is 20 ms, in the
// order of Write. What did not come so, or has been forgotten, is given to Write.
type OpusStream interface {
	Stream
	WriteOpus(packet []byte) error
}

// frame is how much sound a packet is.
const frame = Rate / 50

// maxPackets are kept: sixteen seconds.
const maxPackets = 800

// packets are the last seconds of a speaker's sound as they came, by their position.
type packets struct {
	at   []int64
	data [][]byte
	next int // the oldest, once all places are taken
}

// keep remembers the packet of a position, which is behind all others.
func (p *packets) keep(at int64, opus []byte) {
	if len(p.at) < maxPackets {
		p.at, p.data = append(p.at, at), append(p.data, append(make([]byte, 0, max(len(opus), 160)), opus...))
		return
	}
	p.at[p.next], p.data[p.next] = at, append(p.data[p.next][:0], opus...)
	p.next = (p.next + 1) % maxPackets
}

// from gives the first packet that begins at a position or behind it; ok is false where there is none.
func (p *packets) from(pos int64) (at int64, opus []byte, ok bool) {
	low, high := 0, len(p.at)
	for low < high {
		if mid := (low + high) / 2; p.at[(p.next+mid)%len(p.at)] < pos {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(p.at) {
		return 0, nil, false
	}
	i := (p.next + low) % len(p.at)
	return p.at[i], p.data[i], true
}

// A piece is what is written at once: PCM, or one packet.
type piece struct{ pcm, opus []byte }

// pieces cuts sound that begins at a position into what came as Opus and what did not. It copies packets.
func (p *packets) pieces(out []piece, pos int64, pcm []byte) []piece {
	for len(pcm) > 0 {
		n := int64(len(pcm) / 2)
		at, opus, ok := p.from(pos)
		switch {
		case ok && at == pos && n >= frame:
			out = append(out, piece{opus: append([]byte(nil), opus...)})
			n = frame
		default:
			if ok && at > pos {
				n = min(n, at-pos)
			}
			out = append(out, piece{pcm: pcm[:2*n]})
		}
		pos, pcm = pos+n, pcm[2*n:]
	}
	return out
}
