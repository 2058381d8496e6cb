package rtpport

import (
	"net/netip"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/cause"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
	"jigasi/internal/sdp"
)

// counter is what a meeting hears of a phone.
type counter struct {
	t       *testing.T
	samples int
}

func (c *counter) Pull(*media.Chunk) {}

func (c *counter) Push(k *media.Chunk) {
	if len(k.PCM) != k.Rate/50 || k.Level != audio.Level(k.PCM) && k.Opus == nil {
		c.t.Fatalf("a chunk of %d samples at %d Hz", len(k.PCM), k.Rate)
	}
	c.samples += len(k.PCM)
}

// FuzzTake: whatever comes to the port of a call, in packets one after the other, breaks nothing, is heard in
// whole chunks, and no more of it than a packet can hold; and a good packet is heard after it.
func FuzzTake(f *testing.F) {
	good := append((&rtpx.Header{SSRC: 1, Seq: 7}).Append(nil, 0), make([]byte, 160)...)
	f.Add(good, uint8(0))
	f.Add([]byte{0x80, 101, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 5, 10, 0, 160}, uint8(0))
	f.Add([]byte{0xbf, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff}, uint8(1))
	f.Add([]byte{0x80, 200, 0, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(2))
	phone := netip.MustParseAddrPort("192.0.2.7:4000")
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		codecs := sdp.Codecs("PCMU", "PCMA", "G722", "opus")
		codec := codecs[int(kind)%len(codecs)]
		heard := &counter{t: t}
		p := &Port{opt: Options{}.withDefaults(), pair: &pair{port: 5000}}
		p.broken = func(why cause.Cause, stack []byte) { t.Fatalf("%v\n%s", why.Err, stack) }
		c, err := p.configure(sdp.Result{Remote: phone, Codec: codec, RecvPT: codec.PT, DTMF: 101, DTMFClock: 8000, CN: 13, Ptime: 20, Recv: true, RTCPMux: kind%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		p.peer.announce(phone, 5000, time.Unix(0, 0))
		p.cfg.Store(c)
		p.above.Store(&portBox{Port: heard})
		size := max(1, len(b)/3)
		packets := 0
		for at := 0; at < len(b); at += size {
			p.take(b[at:min(len(b), at+size)], phone, time.Unix(1, 0))
			packets++
		}
		p.take(b, phone, time.Unix(1, 0))
		if most := (packets + 1) * (len(p.in.pcm) + gapLimit*media.Full/50 + media.Full/50); heard.samples > most {
			t.Errorf("%d samples of %d packets", heard.samples, packets+1)
		}
		if codec.Name == "PCMU" {
			was := heard.samples
			p.take(append((&rtpx.Header{SSRC: 0xfeed, Seq: 9}).Append(nil, 0), make([]byte, 160)...), phone, time.Unix(2, 0))
			if heard.samples == was {
				t.Error("a good packet is not heard any more")
			}
		}
	})
}
