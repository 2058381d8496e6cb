package rtpport

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"

	"github.com/pion/rtp"
)

// hall is a meeting that takes a phone's packets as they are, and in which we may say something ourselves.
type hall struct {
	room
	apart media.Apart // as the last Pull gave it
	said  bool
	got   []media.Packet
	drop  bool // count alone
	n     int
}

func (h *hall) Pull(c *media.Chunk) {
	h.apart = c.Apart
	clear(c.PCM)
	if h.said {
		h.room.Pull(c)
		c.Voice = true
	}
}

func (h *hall) Forward(k media.Packet) {
	if h.n++; !h.drop {
		k.Payload = bytes.Clone(k.Payload)
		h.got = append(h.got, k)
	}
}

// loneApart is a lone port of an Opus phone whose call does not mix.
func loneApart(t *testing.T, srtp bool) (p *Port, c *config, phone *net.UDPConn, h *hall) {
	t.Helper()
	p, c, phone = lone(t, "opus", 96, srtp)
	r := c.Result
	r.LevelID = 3
	p.opt.Forward = true
	p.cfg.Store(nil)
	if err := p.Start(r); err != nil {
		t.Fatal(err)
	}
	h = &hall{}
	p.Connect(h)
	p.out.alive.looked = time.Now() // the sign of life at the beginning has a test of its own
	p.tick()
	if h.apart == nil {
		t.Fatal("the meeting is asked for a mix")
	}
	_ = phone.SetReadDeadline(time.Now().Add(20 * time.Second))
	return p, p.cfg.Load(), phone, h
}

// read gives the phone's next packet, decrypted if c has keys.
func read(t *testing.T, c *config, phone *net.UDPConn) (h rtpx.Header, payload []byte) {
	t.Helper()
	buf := make([]byte, 1500)
	n, err := phone.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	b := buf[:n]
	if c.srtp != nil {
		if b, err = c.srtp.in.DecryptRTP(nil, b, nil); err != nil { // the keys of both ways are the same here
			t.Fatal(err)
		}
	}
	if payload, err = h.Parse(b, c.LevelID); err != nil {
		t.Fatal(err)
	}
	return h, payload
}

func spoken(ssrc uint32, seq uint16, stamp uint32) media.Packet {
	return media.Packet{SSRC: ssrc, Seq: seq, Timestamp: stamp, Measured: true, Level: uint8(ssrc), Payload: []byte{0x78, byte(ssrc), byte(seq)}}
}

// TestSpeakersComeApart: each under its own SSRC with its own numbers, and what was left out is no loss.
func TestSpeakersComeApart(t *testing.T) {
	for _, srtp := range []bool{false, true} {
		p, c, phone, h := loneApart(t, srtp)
		for i := range uint16(5) {
			for ssrc := uint32(20); ssrc < 23; ssrc++ {
				h.apart.Forward(spoken(ssrc, 65533+i, 1000*ssrc+uint32(i)*960))
				got, payload := read(t, c, phone)
				want := rtpx.Header{SSRC: ssrc, Seq: 65533 + i, Timestamp: 1000*ssrc + uint32(i)*960, PT: 96, HasLevel: true, Level: uint8(ssrc)}
				if got != want || !bytes.Equal(payload, []byte{0x78, byte(ssrc), byte(65533 + i)}) {
					t.Fatalf("%+v %x, want %+v", got, payload, want)
				}
			}
		}
		k := spoken(20, 500, 99999)
		k.Cut = true
		h.apart.Forward(k)
		if got, _ := read(t, c, phone); got.Seq != 2 || got.Timestamp != 99999 || !got.Marker {
			t.Errorf("after a pause: %+v", got)
		}
		h.said = true
		p.tick()
		if got, _ := read(t, c, phone); got.SSRC != p.ssrc || got.PT != 96 {
			t.Errorf("what we say ourselves has %+v", got)
		}
		if s := p.Stats(); s.Forwarded != 16 || s.Sent != 17 || s.Bad != 0 || s.LevelOut != 20 {
			t.Errorf("%+v", s)
		}
	}
}

// TestNoTwoOfOneSSRC: one that is ours or the phone's own is another's no more.
func TestNoTwoOfOneSSRC(t *testing.T) {
	p, c, phone, h := loneApart(t, false)
	p.recv.SSRC = 900
	seen := map[uint32]int{}
	for i := range uint16(3) {
		for _, ssrc := range []uint32{p.ssrc, 900, 5} {
			h.apart.Forward(spoken(ssrc, i, 0))
			got, payload := read(t, c, phone)
			if got.SSRC == p.ssrc || got.SSRC == 900 || (got.SSRC == 5) != (ssrc == 5) || payload[1] != byte(ssrc) {
				t.Errorf("%d goes on as %d", ssrc, got.SSRC)
			}
			seen[got.SSRC]++
		}
	}
	if len(seen) != 3 {
		t.Errorf("three streams became %v", seen)
	}
	p.recv.SSRC = 5 // the phone takes one that is in use
	h.apart.Forward(spoken(5, 3, 0))
	if got, _ := read(t, c, phone); got.SSRC == 5 || seen[got.SSRC] != 0 {
		t.Errorf("goes on as %d", got.SSRC)
	}
	for i := range uint16(50) { // one that sends back what it gets
		h.apart.Forward(spoken(5, 4+i, 0))
		got, _ := read(t, c, phone)
		p.recv.SSRC = got.SSRC
		seen[got.SSRC]++
	}
	if len(seen) > 10 {
		t.Errorf("%d SSRCs for an echo", len(seen))
	}
}

// TestOnlyWhatThePhoneIsJoinedTo: nothing of a meeting that is left, on hold, or after another codec was agreed on.
func TestOnlyWhatThePhoneIsJoinedTo(t *testing.T) {
	p, c, phone, h := loneApart(t, false)
	sends := func(what string, to media.Apart, want bool) {
		t.Helper()
		was := p.Stats().Forwarded
		to.Forward(spoken(20, uint16(was), 0))
		if got := p.Stats().Forwarded > was; got != want {
			t.Errorf("%s: forwarded %v", what, got)
		}
	}
	old := h.apart
	sends("at first", old, true)
	next := &hall{}
	p.Connect(next)
	sends("the old meeting", old, false)
	p.tick()
	sends("the new one", next.apart, true)
	held, plain := c.Result, c.Result
	held.Send, held.Held = false, true
	if err := p.Start(held); err != nil {
		t.Fatal(err)
	}
	sends("on hold", next.apart, false)
	if err := p.Start(plain); err != nil {
		t.Fatal(err)
	}
	sends("after it", next.apart, true)
	for range 2 {
		read(t, c, phone)
	}
	if got, _ := read(t, c, phone); !got.Marker {
		t.Error("the first packet after hold is no beginning")
	}
	plain.Codec.Name, plain.Codec.Clock, plain.Codec.PT, plain.RecvPT = "PCMU", 8000, 0, 0
	if err := p.Start(plain); err != nil {
		t.Fatal(err)
	}
	sends("by a codec that is not Opus", next.apart, false)
	p.tick()
	if next.apart != nil {
		t.Error("the speakers are wanted apart for a phone that speaks PCMU")
	}
	if got, payload := read(t, p.cfg.Load(), phone); got.SSRC != p.ssrc || got.PT != 0 || len(payload) != 160 {
		t.Errorf("it gets %+v", got)
	}
}

// TestThePhonesPacketsGoOn as they came, with the level that it says or that is in them; keys do not, and are no loss.
func TestThePhonesPacketsGoOn(t *testing.T) {
	p, c, _, h := loneApart(t, false)
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: media.Full})
	if err != nil {
		t.Fatal(err)
	}
	tone, pcm, buf := audio.NewTone(440, media.Full, -20), make([]int16, media.Full/50), make([]byte, codec.MaxOpus)
	now := time.Now()
	var sent [][]byte
	say := func(h rtpx.Header) {
		tone.Fill(pcm)
		n, err := enc.Encode(buf, pcm)
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, bytes.Clone(buf[:n]))
		now = now.Add(media.Tick)
		p.take(append(h.Append(nil, 3), buf[:n]...), c.Remote, now)
	}
	for i := range uint16(10) {
		say(rtpx.Header{SSRC: 7, PT: 96, Seq: i, Timestamp: uint32(i) * 960, Marker: i == 0})
	}
	say(rtpx.Header{SSRC: 7, PT: 96, Seq: 10, Timestamp: 9600, HasLevel: true, Level: 61})
	p.take((&rtpx.Header{SSRC: 7, PT: 13, Seq: 11, Timestamp: 9700}).Append(nil, 0), c.Remote, now)
	p.take(append((&rtpx.Header{SSRC: 7, PT: 13, Seq: 12, Timestamp: 9700}).Append(nil, 0), 0), c.Remote, now)
	say(rtpx.Header{SSRC: 8, PT: 96, Seq: 13, Timestamp: 5})
	p.take(append((&rtpx.Header{SSRC: 8, PT: 96, Seq: 14}).Append(nil, 0), 3), c.Remote, now) // a packet of no frames at all
	if len(h.got) != len(sent) {
		t.Fatalf("%d packets go on, want %d", len(h.got), len(sent))
	}
	for i, k := range h.got {
		want := media.Packet{SSRC: 7, Seq: uint16(i), Timestamp: uint32(i) * 960, Marker: i == 0, Measured: true, Level: k.Level, Payload: sent[i]}
		switch i {
		case 10:
			want.Level = 61
		case 11:
			want.SSRC, want.Seq, want.Timestamp, want.Cut = 8, 13, 5, true
		}
		if !bytes.Equal(k.Payload, want.Payload) || k.SSRC != want.SSRC || k.Seq != want.Seq || k.Timestamp != want.Timestamp || k.Marker != want.Marker ||
			k.Cut != want.Cut || !k.Measured || k.Level != want.Level {
			t.Errorf("packet %d: %+v, want %+v", i, k, want)
		}
	}
	if got := h.got[9].Level; got < 17 || got > 23 {
		t.Errorf("a tone of -20 dBov is said to have -%d", got)
	}
}

// TestSignsOfLife: three packets of comfort noise where nothing was sent for 20 s, which is looked at every 15 s.
func TestSignsOfLife(t *testing.T) {
	var k keepAlive
	begin := time.Now()
	var due []int
	last := begin.Add(-time.Hour)
	for s := range 120 {
		now := begin.Add(time.Duration(s) * time.Second)
		if s > 40 && s < 80 {
			last = now // somebody speaks
		}
		if k.due(now, last) {
			due, last = append(due, s), now
		}
	}
	if want := []int{0, 30, 105}; !slices.Equal(due, want) {
		t.Errorf("due at %v s, want %v", due, want)
	}
	p, c, phone, h := loneApart(t, false)
	p.out.alive.looked = time.Time{}
	p.tick()
	var heads []rtpx.Header
	for range 3 {
		got, payload := read(t, c, phone)
		if !bytes.Equal(payload, []byte{0}) {
			t.Errorf("comfort noise is %x", payload)
		}
		heads = append(heads, got)
	}
	for i, got := range heads {
		if got.SSRC != p.ssrc || got.PT != 13 || got.Seq != heads[0].Seq+uint16(i) || got.Timestamp != heads[0].Timestamp+uint32(i)*160 {
			t.Errorf("%+v", got)
		}
	}
	h.apart.Forward(spoken(20, 1, 1))
	read(t, c, phone)
	was := p.Stats().Sent
	p.tick()
	if p.Stats().Sent != was {
		t.Error("a sign of life though somebody speaks")
	}
}

func TestApartAllocatesNothing(t *testing.T) {
	for _, srtp := range []bool{false, true} {
		p, c, _, h := loneApart(t, srtp)
		h.drop = true
		k := spoken(20, 0, 0)
		if n := leastAllocs(func() {
			k.Seq++
			h.apart.Forward(k)
			p.tick()
		}); n != 0 {
			t.Errorf("%v allocations for a packet to the phone", n)
		}
		if p.Stats().Forwarded < 100 {
			t.Errorf("%+v", p.Stats())
		}
		enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: media.Full})
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, codec.MaxOpus)
		size, _ := enc.Encode(payload, make([]int16, media.Full/50))
		head, packet, cipher, scratch, now := rtpx.Header{SSRC: 7, PT: 96}, make([]byte, 0, 300), make([]byte, 0, 300), rtp.Header{}, time.Now()
		if n := leastAllocs(func() {
			head.Seq, now = head.Seq+1, now.Add(media.Tick)
			b := append(head.Append(packet[:0], 0), payload[:size]...)
			if c.srtp != nil {
				b, _ = c.srtp.out.EncryptRTP(cipher[:0], b, &scratch)
			}
			p.take(b, c.Remote, now)
		}); n != 0 || h.n < 100 {
			t.Errorf("%v allocations for each of %d packets of the phone", n, h.n)
		}
	}
}

// TestForwardedStreamsAreBounded: none is forgotten, and after too many the phone hears the mix.
func TestForwardedStreamsAreBounded(t *testing.T) {
	p, c, phone, h := loneApart(t, false)
	for ssrc := range uint32(maxPassed - 1) {
		p.apart.stream(spoken(1000+ssrc, 0, 0), p.ssrc, 0)
	}
	h.apart.Forward(spoken(20, 0, 0))
	read(t, c, phone)
	h.apart.Forward(spoken(21, 0, 0))
	if n := p.Stats().Forwarded; n != 1 {
		t.Errorf("%d streams beside all that there may be", n)
	}
	h.said = true
	p.tick()
	if got, _ := read(t, c, phone); got.SSRC != p.ssrc || h.apart != nil {
		t.Errorf("then comes %+v, apart %v", got, h.apart)
	}
}

// plainSeat takes chunks alone, and gives sound whatever it is asked for.
type plainSeat struct {
	room
	pushed int
}

func (s *plainSeat) Pull(c *media.Chunk) {
	s.room.Pull(c)
	c.Voice = true
}

func (s *plainSeat) Push(*media.Chunk) { s.pushed++ }

// TestASeatThatCannotForward is heard and hears as ever: that of a test call.
func TestASeatThatCannotForward(t *testing.T) {
	p, c, phone, _ := loneApart(t, false)
	seat := &plainSeat{}
	p.Connect(seat)
	p.tick()
	if got, payload := read(t, c, phone); got.SSRC != p.ssrc || got.PT != 96 || len(payload) < 3 {
		t.Errorf("the phone gets %+v, %d bytes", got, len(payload))
	}
	for i := range uint16(3) {
		p.take(append((&rtpx.Header{SSRC: 7, PT: 96, Seq: i}).Append(nil, 0), 0x78, 1, 2, 3), c.Remote, time.Now())
	}
	if seat.pushed != 3 {
		t.Errorf("the seat hears %d packets of 3", seat.pushed)
	}
}
