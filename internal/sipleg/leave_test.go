package sipleg_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/lab/soak"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/rtpport"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	soak.Together(8)
	goleak.VerifyTestMain(m)
}

// mute is a phone that sends what it is told to, and acknowledges nothing.
type mute struct {
	t    *testing.T
	conn *net.UDPConn
	to   netip.AddrPort
}

func (p *mute) say(method, toTag string, cseq int, body string) {
	p.t.Helper()
	me := p.conn.LocalAddr().String()
	msg := fmt.Sprintf("%s sip:gw@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d\r\nFrom: <sip:phone@%s>;tag=p\r\nTo: <sip:gw@%s>%s\r\n"+
		"Call-ID: mute@%s\r\nCSeq: %d %s\r\nContact: <sip:phone@%s>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		method, p.to, me, method, cseq, me, p.to, toTag, me, cseq, method, me, len(body), body)
	if _, err := p.conn.WriteToUDPAddrPort([]byte(msg), p.to); err != nil {
		p.t.Fatal(err)
	}
}

// hears waits for a message that begins so, and gives the tag of its To.
func (p *mute) hears(begins string) string {
	p.t.Helper()
	buf := make([]byte, 4096)
	_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			p.t.Fatalf("no %s: %v", begins, err)
		}
		if !bytes.HasPrefix(buf[:n], []byte(begins)) {
			continue
		}
		for line := range strings.Lines(string(buf[:n])) {
			if strings.HasPrefix(line, "To:") {
				_, tag, _ := strings.Cut(strings.TrimSpace(line), ";tag=")
				return ";tag=" + tag
			}
		}
	}
}

// TestHangupDoesNotWaitForADeadPhone: a phone that never acknowledged the 200, or does not answer the BYE,
// holds no call up; the dialog goes on alone for as long as SIP wants.
func TestHangupDoesNotWaitForADeadPhone(t *testing.T) {
	t.Parallel()
	for name, acks := range map[string]bool{"no ACK": false, "no answer to BYE": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := media.NewClock(nil)
			t.Cleanup(clock.Close)
			low := uint16(23000)
			pool, err := rtpport.NewPool(low, low+99)
			if err != nil {
				t.Fatal(err)
			}
			legs := make(chan *sipleg.Leg, 1)
			ua := sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true, Incoming: func(d *sip.Dialog) {
				l, err := sipleg.Accept(d, sipleg.Options{RTP: rtpport.Options{Pool: pool, Clock: clock}, Goodbye: 300 * time.Millisecond})
				if err != nil {
					t.Error(err)
					return
				}
				legs <- l
			}})
			if err := ua.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = ua.Close(t.Context()) })
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p := &mute{t, conn, ua.Local()[0]}
			p.say("INVITE", "", 1, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n")
			l := <-legs
			l.Answer()
			tag := p.hears("SIP/2.0 200")
			if acks {
				p.say("ACK", tag, 1, "")
				for e := range l.Events() {
					if e.Phase == leg.Up {
						break
					}
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := l.Hangup(ctx, cause.Cause{Code: cause.Normal}); err != nil {
				t.Errorf("the leg does not end: %v", err)
			}
			if n := ua.Calls(); n != 1 {
				t.Errorf("%d dialogs, and one is not over", n)
			}
			if acks {
				p.hears("BYE")
			} else { // late, but it is there: BYE follows
				p.say("ACK", tag, 1, "")
				p.hears("BYE")
			}
			for range l.Events() { //nolint:revive // to the end
			}
		})
	}
}
