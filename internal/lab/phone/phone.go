// Package phone is a small telephone for tests and the demo: SIP over UDP and G.711,
// written from RFC 3261 and not from the gateway's code. It calls, or is called, says a
// tone, and remembers what it hears.
package phone

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

// Options makes a call.
type Options struct {
	Server  netip.AddrPort // the gateway
	User    string         // user part of who is called
	From    string         // our own number; "" means 1001
	Headers [][2]string
	Tone    float64 // Hz
	DBov    float64 // of the tone; 0 means -20
	// On is told each step, as it happens: "INVITE sent", "180 Ringing", "200 OK", "first sound", "BYE".
	On func(event string, at time.Time)
}

// A Phone is one call. Its methods are safe for concurrent use.
type Phone struct {
	opt    Options
	sip    *net.UDPConn
	rtp    *net.UDPConn
	callID string
	tag    string
	branch string
	invite []byte
	wg     sync.WaitGroup
	quit   chan struct{}
	once   sync.Once
	up     chan struct{}
	upOnce sync.Once
	rang   chan struct{}
	rung   sync.Once

	mu       sync.Mutex
	to       string // To of the 200
	target   string // Contact of the 200
	answered bool
	ended    string // why, once it is over
	media    netip.AddrPort
	heard    []int16
	packets  int
	first    time.Time
	last     time.Time
	gap      time.Duration
	over     chan struct{}
	overOnce sync.Once
}

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Dial starts a call. Up is closed when it is answered, Over when it has ended.
func Dial(o Options) (*Phone, error) {
	if o.From == "" {
		o.From = "1001"
	}
	if o.DBov == 0 {
		o.DBov = -20
	}
	if o.On == nil {
		o.On = func(string, time.Time) {}
	}
	p := &Phone{
		opt: o, callID: random() + "@phone", tag: random(), branch: "z9hG4bK" + random(),
		quit: make(chan struct{}), up: make(chan struct{}), over: make(chan struct{}), rang: make(chan struct{}),
	}
	var err error
	if p.sip, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(o.Server)); err != nil {
		return nil, err
	}
	local := p.sip.LocalAddr().(*net.UDPAddr)
	if p.rtp, err = net.ListenUDP("udp", &net.UDPAddr{IP: local.IP}); err != nil {
		_ = p.sip.Close()
		return nil, err
	}
	p.invite = p.request("INVITE", "sip:"+o.User+"@"+o.Server.String(), 1, p.branch, "<sip:"+o.User+"@"+o.Server.String()+">", p.offer())
	p.wg.Go(p.readSIP)
	p.wg.Go(p.readRTP)
	p.wg.Go(p.talk)
	p.wg.Go(p.call)
	return p, nil
}

func (p *Phone) localSIP() string { return p.sip.LocalAddr().String() }

func (p *Phone) offer() string {
	a := p.rtp.LocalAddr().(*net.UDPAddr)
	return fmt.Sprintf("v=0\r\no=phone 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n", a.IP, a.IP, a.Port)
}

func (p *Phone) request(method, uri string, seq int, branch, to, body string) []byte {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	line("%s %s SIP/2.0", method, uri)
	line("Via: SIP/2.0/UDP %s;branch=%s;rport", p.localSIP(), branch)
	line("Max-Forwards: 70")
	line(`From: "Phone" <sip:%s@%s>;tag=%s`, p.opt.From, p.localSIP(), p.tag)
	line("To: %s", to)
	line("Call-ID: %s", p.callID)
	line("CSeq: %d %s", seq, method)
	line("Contact: <sip:%s@%s>", p.opt.From, p.localSIP())
	if method == "INVITE" {
		for _, h := range p.opt.Headers {
			line("%s: %s", h[0], h[1])
		}
	}
	if body != "" {
		line("Content-Type: application/sdp")
	}
	line("Content-Length: %d\r\n", len(body))
	return []byte(b.String() + body)
}

// call sends the INVITE until there is any answer (RFC 3261, 17.1.1.2).
func (p *Phone) call() {
	p.opt.On("INVITE sent", time.Now())
	wait := 500 * time.Millisecond
	for range 7 {
		_, _ = p.sip.Write(p.invite) // sent again if lost
		select {
		case <-p.quit:
			return
		case <-p.rang:
			return
		case <-time.After(wait):
			wait *= 2
		}
	}
	p.end("no answer from the gateway")
}

func (p *Phone) end(why string) {
	p.overOnce.Do(func() {
		p.mu.Lock()
		p.ended = why
		p.mu.Unlock()
		close(p.over)
	})
}

// Up is closed when the call is answered.
func (p *Phone) Up() <-chan struct{} { return p.up }

// Over is closed when the call has ended.
func (p *Phone) Over() <-chan struct{} { return p.over }

// Ended says why the call ended; "" while it lives.
func (p *Phone) Ended() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func header(msg, name string) string {
	for _, line := range strings.Split(msg, "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (p *Phone) readSIP() {
	buf := make([]byte, 65536)
	for {
		n, err := p.sip.Read(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		msg := string(buf[:n])
		if strings.HasPrefix(msg, "SIP/2.0 ") {
			p.response(msg)
		} else {
			p.asked(msg)
		}
	}
}

func (p *Phone) response(msg string) {
	var status int
	line, _, _ := strings.Cut(msg, "\r\n")
	if _, err := fmt.Sscanf(line, "SIP/2.0 %d", &status); err != nil || !strings.HasSuffix(header(msg, "CSeq"), "INVITE") {
		return
	}
	p.rung.Do(func() { close(p.rang) })
	text := strings.TrimPrefix(line, "SIP/2.0 ")
	switch {
	case status < 200:
		if status > 100 {
			p.opt.On(text, time.Now())
		}
	case status < 300:
		p.ok(msg, text)
	default:
		_, _ = p.sip.Write(p.request("ACK", "sip:"+p.opt.User+"@"+p.opt.Server.String(), 1, p.branch, header(msg, "To"), ""))
		p.opt.On(text, time.Now())
		p.end(text)
	}
}

func (p *Phone) ok(msg, text string) {
	contact := header(msg, "Contact")
	if _, rest, ok := strings.Cut(contact, "<"); ok {
		contact, _, _ = strings.Cut(rest, ">")
	}
	p.mu.Lock()
	again := p.answered
	p.answered, p.to, p.target = true, header(msg, "To"), contact
	if _, body, ok := strings.Cut(msg, "\r\n\r\n"); ok && !again {
		p.media = mediaOf(body)
	}
	to := p.to
	p.mu.Unlock()
	_, _ = p.sip.Write(p.request("ACK", contact, 1, "z9hG4bK"+random(), to, "")) // again with each repeated 200
	if !again {
		p.opt.On(text, time.Now())
		p.upOnce.Do(func() { close(p.up) })
	}
}

// mediaOf finds where RTP goes.
func mediaOf(sdp string) netip.AddrPort {
	var ip netip.Addr
	port := 0
	for _, line := range strings.Split(sdp, "\r\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "c=") && len(f) == 3 {
			ip, _ = netip.ParseAddr(f[2])
		} else if strings.HasPrefix(line, "m=audio ") {
			_, _ = fmt.Sscanf(line, "m=audio %d", &port)
		}
	}
	return netip.AddrPortFrom(ip, uint16(port))
}

// asked answers a request of the gateway.
func (p *Phone) asked(msg string) {
	method, _, _ := strings.Cut(msg, " ")
	if method == "ACK" {
		return
	}
	status := "200 OK"
	if method != "BYE" && method != "OPTIONS" && method != "INFO" {
		status = "488 Not Acceptable Here"
	}
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, line := range strings.Split(msg, "\r\n") {
		n, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(n) {
		case "via", "from", "to", "call-id", "cseq":
			b.WriteString(line + "\r\n")
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	_, _ = p.sip.Write([]byte(b.String()))
	if method == "BYE" {
		p.opt.On("BYE received", time.Now())
		p.end("the gateway hung up " + header(msg, "Reason"))
	}
}

// Hangup ends the call and gives everything back.
func (p *Phone) Hangup(ctx context.Context) {
	p.once.Do(func() {
		p.mu.Lock()
		answered, to, target := p.answered, p.to, p.target
		p.mu.Unlock()
		select {
		case <-p.over:
		default:
			if answered {
				_, _ = p.sip.Write(p.request("BYE", target, 2, "z9hG4bK"+random(), to, ""))
			} else {
				_, _ = p.sip.Write(p.request("CANCEL", "sip:"+p.opt.User+"@"+p.opt.Server.String(), 1, p.branch, "<sip:"+p.opt.User+"@"+p.opt.Server.String()+">", ""))
			}
			select { // let the answer come
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		p.end("hung up")
		close(p.quit)
		_ = p.sip.Close()
		_ = p.rtp.Close()
		p.wg.Wait()
	})
}

// talk sends the tone, 50 packets a second.
func (p *Phone) talk() {
	tone := audio.NewTone(p.opt.Tone, 8000, p.opt.DBov)
	law := codec.NewPCMU()
	pcm := make([]int16, 160)
	b := make([]byte, 12+160)
	b[0] = 0x80
	copy(b[8:], random())
	var seq uint16
	var stamp uint32
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.over:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		to := p.media
		p.mu.Unlock()
		if !to.IsValid() {
			continue
		}
		tone.Fill(pcm)
		if _, err := law.Encode(b[12:], pcm); err != nil {
			return
		}
		seq++
		stamp += 160
		binary.BigEndian.PutUint16(b[2:], seq)
		binary.BigEndian.PutUint32(b[4:], stamp)
		_, _ = p.rtp.WriteToUDPAddrPort(b, to) // the next one comes in 20 ms
	}
}

func (p *Phone) readRTP() {
	law := codec.NewPCMU()
	buf, pcm := make([]byte, 2000), make([]int16, 2000)
	for {
		n, _, err := p.rtp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if n <= 12 || buf[1]&0x7f != 0 {
			continue
		}
		m, err := law.Decode(pcm, buf[12:n])
		if err != nil {
			continue
		}
		p.hear(pcm[:m], time.Now())
	}
}

func (p *Phone) hear(pcm []int16, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.packets > 0 {
		p.gap = max(p.gap, now.Sub(p.last))
	}
	if p.first.IsZero() && audio.Level(pcm) < 60 {
		p.first = now
		p.opt.On("first sound heard by the phone", now)
	}
	p.last = now
	p.packets++
	if len(p.heard) < 8000*3600 {
		p.heard = append(p.heard, pcm...)
	}
}

// Heard is all that was heard, at 8 kHz.
func (p *Phone) Heard() []int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int16(nil), p.heard...)
}

// Packets is how many RTP packets came, and the longest pause between two.
func (p *Phone) Packets() (n int, gap time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.packets, p.gap
}

// Level is the loudness of the last 100 ms, in -dBov.
func (p *Phone) Level() uint8 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return audio.Level(p.heard[max(0, len(p.heard)-800):])
}

// Tone is the level of a frequency over the last second, in dBov.
func (p *Phone) Tone(hz float64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	pcm := p.heard[max(0, len(p.heard)-8000):]
	if len(pcm) < 800 {
		return -120
	}
	return audio.Goertzel(pcm, hz, 8000)
}
