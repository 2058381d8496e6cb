package rtpport_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/lab/soak"
	"jigasi/internal/media"
	"jigasi/internal/rtpport"
	"jigasi/internal/sdp"
	"jigasi/internal/twin"

	"go.uber.org/goleak"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// ear says a tone and keeps what it hears, at 16 kHz.
type ear struct {
	mu    sync.Mutex
	hz    float64
	tones map[int]*audio.Tone
	heard []int16
	up    audio.Doubler
}

func (e *ear) Pull(c *media.Chunk) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tones == nil {
		e.tones = map[int]*audio.Tone{}
	}
	if e.tones[c.Rate] == nil {
		e.tones[c.Rate] = audio.NewTone(e.hz, c.Rate, -16)
	}
	e.tones[c.Rate].Fill(c.PCM)
	c.Voice = true
}

func (e *ear) Push(c *media.Chunk) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch c.Rate {
	case media.Wide:
		e.heard = append(e.heard, c.PCM...)
	case media.Narrow:
		var out [320]int16
		e.up.Run(out[:], c.PCM)
		e.heard = append(e.heard, out[:]...)
	}
}

func (e *ear) last(n int) []int16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]int16(nil), e.heard[max(0, len(e.heard)-n):]...)
}

// count is how many samples have been heard.
func (e *ear) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

func TestMain(m *testing.M) {
	soak.Together(8)
	goleak.VerifyTestMain(m)
}

type bench struct {
	pool  *rtpport.Pool
	clock *media.Clock
	loop  *twin.Loop
}

func setup(t *testing.T) bench {
	t.Helper()
	low := uint16(21000 + 100*rand.IntN(200))
	pool, err := rtpport.NewPool(low, low+99)
	if err != nil {
		t.Fatal(err)
	}
	clock := media.NewClock(func(v any, stack []byte) { t.Errorf("panic %v\n%s", v, stack) })
	t.Cleanup(func() {
		clock.Close()
		if n := pool.InUse(); n != 0 {
			t.Errorf("%d ports are left", n)
		}
	})
	loop := twin.NewLoop(func(v any, stack []byte) { t.Errorf("panic %v\n%s", v, stack) })
	t.Cleanup(loop.Close)
	return bench{pool, clock, loop}
}

func (b bench) open(t *testing.T, o rtpport.Options) *rtpport.Port {
	t.Helper()
	o.Pool, o.Clock, o.Loop, o.LocalIP = b.pool, b.clock, b.loop, loopback
	p, err := rtpport.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func addr(p *rtpport.Port) netip.AddrPort { return netip.AddrPortFrom(loopback, p.LocalPort()) }

// negotiate makes a and b agree by an offer of a.
func negotiate(t *testing.T, a, b *rtpport.Port, la, lb sdp.Local) (sdp.Result, sdp.Result) {
	t.Helper()
	la.Addr, lb.Addr = addr(a), addr(b)
	raw, keys := la.Offer()
	la.Keys = keys
	offer, err := sdp.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	raw, rb, err := sdp.Answer(offer, lb)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := sdp.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	ra, err := sdp.Accept(answer, la)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		p *rtpport.Port
		r sdp.Result
	}{{a, ra}, {b, rb}} {
		if err := s.p.Start(s.r); err != nil {
			t.Fatal(err)
		}
	}
	return ra, rb
}

// wantTone waits until half a second of the tone has been heard as it was said: a busy machine takes its time.
func wantTone(t *testing.T, who string, e *ear, hz, not float64) {
	t.Helper()
	var wrong string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		pcm := e.last(8000)
		if len(pcm) < 8000 {
			wrong = fmt.Sprintf("heard %d samples only", len(pcm))
			continue
		}
		tone, own := audio.Goertzel(pcm, hz, 16000), audio.Goertzel(pcm, not, 16000)
		if math.Abs(tone+16) <= 3 && own <= -45 {
			return
		}
		wrong = fmt.Sprintf("hears %v Hz at %.1f dBov, want -16, and itself at %.1f", hz, tone, own)
	}
	t.Errorf("%s %s", who, wrong)
}

func TestTonesBothWays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		codec string
		ptime int
		srtp  sdp.Policy
	}{
		{"PCMU", 20, sdp.Off},
		{"PCMA", 10, sdp.Off},
		{"PCMU", 40, sdp.Off},
		{"PCMA", 60, sdp.Off},
		{"PCMU", 30, sdp.Off},
		{"G722", 20, sdp.Off},
		{"opus", 20, sdp.Off},
		{"PCMU", 20, sdp.Required},
		{"opus", 20, sdp.Optional},
	} {
		t.Run(tt.codec, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			one, two := &ear{hz: 440}, &ear{hz: 700}
			p1, p2 := b.open(t, rtpport.Options{}), b.open(t, rtpport.Options{})
			codecs := sdp.Codecs(tt.codec)
			negotiate(t, p1, p2, sdp.Local{Codecs: codecs, Ptime: tt.ptime, SRTP: tt.srtp}, sdp.Local{Codecs: codecs, Ptime: tt.ptime, SRTP: tt.srtp})
			p1.Connect(one)
			p2.Connect(two)
			wantTone(t, "the first", one, 700, 440)
			wantTone(t, "the second", two, 440, 700)
			if s := p1.Stats(); s.Lost != 0 || s.Bad != 0 || s.Secure != (tt.srtp != sdp.Off) || s.Codec != tt.codec {
				t.Errorf("%+v", s)
			}
			p1.Connect(nil)
			p2.Connect(nil)
		})
	}
}

func TestKeysPass(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keys := make(chan rune, 10)
	p1 := b.open(t, rtpport.Options{})
	p2 := b.open(t, rtpport.Options{OnKey: func(k rune, _ int) { keys <- k }})
	negotiate(t, p1, p2, sdp.Local{Codecs: sdp.Codecs("PCMU")}, sdp.Local{Codecs: sdp.Codecs("PCMU")})
	p1.Connect(&ear{hz: 440})
	p2.Connect(&ear{hz: 440})
	for _, k := range "1#A" {
		if !p1.SendKey(k, 100) {
			t.Fatalf("key %c is refused", k)
		}
	}
	for _, want := range "1#A" {
		select {
		case got := <-keys:
			if got != want {
				t.Errorf("key %c, want %c", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("key %c did not come", want)
		}
	}
}

func TestT09_NoReflector(t *testing.T) {
	t.Parallel()
	b := setup(t)
	victim, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	p := b.open(t, rtpport.Options{})
	to := victim.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, a := range []netip.AddrPort{
		netip.MustParseAddrPort("224.0.0.1:5000"), netip.MustParseAddrPort("255.255.255.255:5000"), addr(p), to,
	} {
		if err := p.Start(sdp.Result{Remote: a, Codec: sdp.Codecs("PCMU")[0], DTMF: -1, CN: -1, Ptime: 20, Send: true, Recv: true}); err != nil {
			t.Fatal(err)
		}
		p.Connect(&ear{hz: 440})
		was := p.Stats().Sent
		time.Sleep(100 * time.Millisecond)
		if sent := p.Stats().Sent - was; a != to && sent != 0 {
			t.Errorf("%d packets were sent to %v", sent, a)
		}
	}
	if p.Stats().Sent == 0 {
		t.Error("nothing is sent to a plausible address")
	}
}

func TestT10_DamagedPacketsDoNotEndACall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := &ear{hz: 440}, &ear{hz: 700}
	p1, p2 := b.open(t, rtpport.Options{}), b.open(t, rtpport.Options{})
	negotiate(t, p1, p2, sdp.Local{Codecs: sdp.Codecs("PCMU"), SRTP: sdp.Required}, sdp.Local{Codecs: sdp.Codecs("PCMU"), SRTP: sdp.Required})
	p1.Connect(one)
	p2.Connect(two)
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr(p1)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	listen(t, 8000, one)
	for i := range 2000 {
		junk := make([]byte, i%300)
		for j := range junk {
			junk[j] = byte(rand.IntN(256))
		}
		if len(junk) > 0 && i%2 == 0 {
			junk[0] = 0x80 | junk[0]&0x3f
		}
		_, _ = c.Write(junk)
		for end := time.Now().Add(30 * time.Second); i%50 == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			if s := p1.Stats(); s.Bad+s.Foreign+s.WrongType > int64(i) { // all were looked at: no buffer runs over
				break
			}
		}
	}
	listen(t, 8000, one)
	wantTone(t, "the phone's port", one, 700, 440)
	if s := p1.Stats(); s.Lost != 0 || s.Bad < 100 {
		t.Errorf("%+v", s)
	}
}

// TestHoldMusicStaysOut: a phone that holds us sends music; the meeting does not hear it, and hears the phone afterwards.
func TestHoldMusicStaysOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	meeting, phone := &ear{hz: 440}, &ear{hz: 700}
	p1, p2 := b.open(t, rtpport.Options{}), b.open(t, rtpport.Options{})
	r, _ := negotiate(t, p1, p2, sdp.Local{Codecs: sdp.Codecs("PCMU")}, sdp.Local{Codecs: sdp.Codecs("PCMU")})
	p1.Connect(meeting)
	p2.Connect(phone)
	wantTone(t, "the meeting", meeting, 700, 440)
	held := r
	held.Held, held.Send = true, false
	if err := p1.Start(held); err != nil {
		t.Fatal(err)
	}
	was := p1.Stats().Received
	for end := time.Now().Add(10 * time.Second); p1.Stats().Received < was+5 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) { //nolint:revive // what was under way has passed
	}
	before, came := len(meeting.last(1<<20)), p1.Stats().Received
	for end := time.Now().Add(10 * time.Second); p1.Stats().Received < came+20 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) { //nolint:revive // music comes
	}
	if n := len(meeting.last(1<<20)) - before; n != 0 || p1.Stats().Received < came+20 {
		t.Errorf("the meeting heard %d samples of %d packets on hold", n, p1.Stats().Received-came)
	}
	if err := p1.Start(r); err != nil {
		t.Fatal(err)
	}
	wantTone(t, "the meeting", meeting, 700, 440)
	p1.Connect(nil)
	p2.Connect(nil)
}
