package rtpx

// tooLate is how far behind the newest packet one may be; what is further behind is of a stream that began anew.
const tooLate = 100

// A Splice makes one stream of pieces: of streams that follow each other, or of one of which parts are left out. Where
// a piece begins, numbers go on without a gap (RFC 3550, 7.1: a gap is what the network has lost); within
// a piece they are as they came, but for an offset. No number is given twice for two packets, as SRTP demands.
type Splice struct {
	on     bool
	ssrc   uint32 // of the piece
	number uint16 // offset
	stamp  uint32 // offset
	first  uint16 // as given: where the piece begins
	newest uint16 // as given
}

// Begin has the next packet begin a piece with this number.
func (s *Splice) Begin(seq uint16) { s.on, s.newest = false, seq-1 }

// Next gives h its number and timestamp. With cut, what was just before it in its stream was left out. A
// piece of another stream begins at the timestamp due. ok is false for what is of a piece that is over.
func (s *Splice) Next(h *Header, cut bool, due uint32) (ok bool) {
	seq := h.Seq + s.number
	ahead := int16(seq - s.newest)
	switch {
	case !s.on || h.SSRC != s.ssrc || ahead < -tooLate:
		s.on, s.ssrc, s.stamp = true, h.SSRC, due-h.Timestamp
		seq = s.begin(h.Seq)
	case cut && ahead > 0:
		seq = s.begin(h.Seq)
	case ahead <= 0 && (cut || int16(seq-s.first) < 0):
		return false
	}
	if int16(seq-s.newest) > 0 {
		s.newest = seq
	}
	h.Seq, h.Timestamp = seq, h.Timestamp+s.stamp
	return true
}

// begin has a piece begin with the packet of this number, and gives the one it is to have.
func (s *Splice) begin(seq uint16) uint16 {
	s.first = s.newest + 1
	s.number = s.first - seq
	return s.first
}

// Newest is the highest number given.
func (s *Splice) Newest() uint16 { return s.newest }
