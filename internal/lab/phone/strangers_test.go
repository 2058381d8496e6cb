package phone

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNobodyThere(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := dial(t, Options{Server: c.LocalAddr().(*net.UDPAddr).AddrPort(), User: "room"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Hangup(ctx); err == nil || p.Ended() != "given up" {
		t.Errorf("%v, %q", err, p.Ended())
	}
}

// stranger talks to a phone by hand.
type stranger struct {
	t *testing.T
	c *net.UDPConn
}

func (s stranger) say(text string) { _, _ = s.c.Write([]byte(text)) }

func (s stranger) wait(kind string) message {
	s.t.Helper()
	_ = s.c.SetReadDeadline(time.Now().Add(3 * time.Second))
	buf := make([]byte, 65536)
	for {
		n, err := s.c.Read(buf)
		if err != nil {
			s.t.Fatalf("no %s: %v", kind, err)
		}
		m, _ := read(string(buf[:n]))
		if strings.HasPrefix(m.get("CSeq")+" "+strconv.Itoa(m.status), kind) {
			return m
		}
	}
}

func ask(method string, seq, body string) string {
	m := message{method: method, uri: "sip:1001@x"}
	m.headers = [][2]string{
		{"v", "SIP/2.0/UDP x;branch=z9hG4bK" + method + seq},
		{"f", "<sip:a@x>;tag=1"},
		{"t", "<sip:1001@x>"},
		{"i", "hand"},
		{"CSeq", seq + " " + method},
		{"m", "<sip:a@127.0.0.1:9>"},
	}
	m.body = body
	return string(m.bytes())
}

const sdpHold = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96 8\r\na=rtpmap:96 x/8000\r\na=inactive\r\n"

func TestRequestsWithinACall(t *testing.T) {
	t.Parallel()
	l := line(t, Taking{}, Options{})
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := stranger{t, c}
	s.say(ask("OPTIONS", "1", ""))
	s.wait("1 OPTIONS 200")
	s.say(ask("BYE", "1", ""))
	s.wait("1 BYE 481")
	s.say(ask("INVITE", "1", sdpHold))
	s.wait("1 INVITE 180")
	s.say(ask("INVITE", "1", sdpHold)) // the same again makes no second call
	ok := s.wait("1 INVITE 200")
	if !strings.Contains(ok.body, "RTP/AVP 8\r\n") || !strings.Contains(ok.body, "a=inactive") {
		t.Errorf("answer %q", ok.body)
	}
	s.say(ask("ACK", "1", ""))
	q := <-l.Calls()
	within(t, "up", q.Up())
	s.say(ask("INVITE", "2", strings.Replace(sdpHold, "inactive", "sendrecv", 1)))
	if ok := s.wait("2 INVITE 200"); !strings.Contains(ok.body, "a=sendrecv") {
		t.Errorf("answer %q", ok.body)
	}
	s.say(ask("ACK", "2", ""))
	for method, want := range map[string]string{"INFO": "200", "UPDATE": "200", "REFER": "405"} {
		s.say(ask(method, "3", ""))
		s.wait("3 " + method + " " + want)
	}
	if len(l.Calls()) != 0 {
		t.Error("a second call")
	}
	s.say(ask("BYE", "4", ""))
	s.wait("4 BYE 200")
	within(t, "over", q.Over())
}
