package phone

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

func TestOpusPhonesHearEachOther(t *testing.T) {
	t.Parallel()
	l := line(t, Taking{}, Options{Codec: "opus", Tone: 620})
	p := dial(t, Options{Server: l.Addr(), User: "room", Codec: "opus", Tone: 440})
	q := <-l.Calls()
	within(t, "the caller is up", p.Up())
	within(t, "the called is up", q.Up())
	one := func(p *Phone) Voice {
		if v := p.Voices(); len(v) == 1 {
			return v[0]
		}
		return Voice{}
	}
	eventually(t, "they hear each other", func() bool { return one(p).Tone(620) > -23 && one(q).Tone(440) > -23 && one(q).Tone(620) < -40 })
	got, said := one(q).Packets, p.Said()
	for _, k := range got {
		if !slices.Contains(said, k) {
			t.Fatalf("packet %+v was not said", k)
		}
	}
	if p.Codec() != "opus" || q.Codec() != "opus" || one(q).Loud() > 25 || p.Traffic().Packets != 0 {
		t.Errorf("%s, %s, -%d dBov, %+v", p.Codec(), q.Codec(), one(q).Loud(), p.Traffic())
	}
	p.Change("PCMU") // which the other one does not speak
	hang(t, p)
}

func TestTheSessionChanges(t *testing.T) {
	t.Parallel()
	l := line(t, Taking{}, Options{Tone: 620})
	p := dial(t, Options{Server: l.Addr(), User: "room", Codec: "PCMU", Tone: 440})
	q := <-l.Calls()
	within(t, "the caller is up", p.Up())
	p.Change("PCMA")
	eventually(t, "both speak PCMA", func() bool { return p.Codec() == "PCMA" && q.Codec() == "PCMA" })
	eventually(t, "they hear each other", func() bool { return p.Tone(620) > -21 && q.Tone(440) > -21 })
	hang(t, p)
	p.Change("PCMU") // of no use, and does not block
}

// TestSpeakersApart: two SSRCs in one session, as RTP and RTCP tell of them.
func TestSpeakersApart(t *testing.T) {
	t.Parallel()
	l := line(t, Taking{}, Options{Codec: "opus"})
	p := dial(t, Options{Server: l.Addr(), User: "room", Codec: "opus"})
	within(t, "the caller is up", p.Up())
	at := p.rtp.LocalAddr().(*net.UDPAddr)
	rtp, err := net.DialUDP("udp", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	defer rtp.Close()
	rtcp, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: at.IP, Port: at.Port + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer rtcp.Close()
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: wide})
	if err != nil {
		t.Fatal(err)
	}
	one, pcm, buf := audio.NewTone(500, wide, -20), make([]int16, wideFrame), make([]byte, 12+codec.MaxOpus)
	for i := range 30 {
		one.Fill(pcm)
		n, err := enc.Encode(buf[12:], pcm)
		if err != nil {
			t.Fatal(err)
		}
		for ssrc := uint32(0xa0); ssrc < 0xa2; ssrc++ {
			buf[0], buf[1] = 0x80, ptOpus
			binary.BigEndian.PutUint16(buf[2:], uint16(i))
			binary.BigEndian.PutUint32(buf[4:], uint32(i)*wideFrame)
			binary.BigEndian.PutUint32(buf[8:], ssrc)
			_, _ = rtp.Write(buf[:12+n])
		}
	}
	_, _ = rtp.Write([]byte{0x80, 13, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0})
	sr := make([]byte, 28)
	copy(sr, []byte{0x80, 200, 0, 6, 0, 0, 0, 0xa0})
	sr[23] = 30
	sdes := []byte{0x81, 202, 0, 3, 0, 0, 0, 0xa0, 1, 2, 'm', 'e', 0, 0, 0, 0}
	bye := []byte{0x81, 203, 0, 1, 0, 0, 0, 0xa1}
	find := func(ssrc uint32) Voice {
		for _, v := range p.Voices() {
			if v.SSRC == ssrc {
				return v
			}
		}
		return Voice{}
	}
	eventually(t, "both are heard", func() bool { return len(find(0xa0).Packets) == 30 && len(find(0xa1).Packets) == 30 })
	eventually(t, "RTCP is read", func() bool { // what is lost is sent again
		_, _ = rtcp.Write(slices.Concat(sr, sdes, bye))
		_, _ = rtcp.Write([]byte{0x80, 200, 255, 255, 0, 0, 0, 0xa0})
		v := find(0xa0)
		return v.Sent == 30 && v.Name == "me" && !v.Over && find(0xa1).Over
	})
	if n := p.SignsOfLife(); n != 1 {
		t.Errorf("%d signs of life", n)
	}
	v := find(0xa1)
	v.Since = 0
	if v.Tone(500) < -23 || v.Tone(900) > -40 {
		t.Errorf("500 Hz at %.1f, 900 Hz at %.1f", v.Tone(500), v.Tone(900))
	}
	v.Since = time.Second
	if v.Tone(500) > -100 || v.Loud() != 127 {
		t.Error("what is over is heard")
	}
	hang(t, p)
}
