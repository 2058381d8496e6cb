package siptx

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

var (
	here  = netip.MustParseAddrPort("192.0.2.1:5060")
	there = netip.MustParseAddrPort("192.0.2.2:5060")
)

// note is a Wire that notes what is sent, and when.
type note struct {
	mu    sync.Mutex
	start time.Time
	sent  []string
	at    []time.Duration
	to    []netip.AddrPort
}

func (n *note) Send(_ string, _, to netip.AddrPort, b []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent, n.at, n.to = append(n.sent, string(b)), append(n.at, time.Since(n.start)), append(n.to, to)
	return nil
}

// firsts are the first lines of what was sent, with the time in tenths of a second.
func (n *note) firsts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for i, s := range n.sent {
		line, _, _ := strings.Cut(s, "\r\n")
		f := strings.Fields(strings.ReplaceAll(line, "SIP/2.0 ", ""))
		all = append(all, fmt.Sprintf("%s@%g", f[0], n.at[i].Seconds()))
	}
	return all
}

// count is how many of what was sent begin with a status or a method.
func (n *note) count(first string) (all int) {
	for _, f := range n.firsts() {
		if name, _, _ := strings.Cut(f, "@"); name == first {
			all++
		}
	}
	return all
}

func (n *note) bytes() (all int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sent {
		all += len(s)
	}
	return all
}

type harness struct {
	*Layer
	note
	asked chan *Server
	acks  int
}

func newHarness(o Options) *harness {
	h := &harness{asked: make(chan *Server, 100), note: note{start: time.Now()}}
	o.Wire = &h.note
	o.Request = func(_ *sip.Request, tx *Server) {
		select {
		case h.asked <- tx:
		default:
		}
	}
	o.ACK = func(*sip.Request) { h.acks++ }
	h.Layer = New(o)
	return h
}

func known(netip.Addr) bool { return true }

func message(first, branch string, more ...string) []byte {
	method := first[:strings.IndexByte(first, ' ')]
	cseq := method
	if method == "SIP/2.0" {
		cseq = "INVITE"
	}
	return []byte(strings.Join(append(append([]string{
		first, "Via: SIP/2.0/UDP 192.0.2.2;branch=" + branch, "From: <sip:b@there>;tag=1", "To: <sip:a@here>",
		"Call-ID: c1", "CSeq: 7 " + cseq, "Max-Forwards: 70",
	}, more...), "Content-Length: 0", "", ""), "\r\n"))
}

func request(method string) *sip.Request {
	m, err := Parse(message(method+" sip:a@there SIP/2.0", Magic+"out"))
	if err != nil {
		panic(err)
	}
	return m.(*sip.Request)
}

func wants(t *testing.T, h *harness, want ...string) {
	t.Helper()
	if got := h.firsts(); !slices.Equal(got, want) {
		t.Errorf("sent %v\nwant %v", got, want)
	}
}

// Timers A, B, E and F (RFC 3261, table 4; reliability 2.5).
func TestT45_ClientTimers(t *testing.T) {
	for _, tt := range []struct {
		method string
		want   []string
	}{
		{"INVITE", []string{"0", "0.5", "1.5", "3.5", "7.5", "15.5", "31.5"}},
		{"OPTIONS", []string{"0", "0.5", "1.5", "3.5", "7.5", "11.5", "15.5", "19.5", "23.5", "27.5", "31.5"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(Options{})
			over := make(chan time.Duration, 1)
			h.Layer.Send(request(tt.method), Flow{network: "udp", local: here, remote: there, tp: h.tp}, func(res *sip.Response) {
				if res == nil {
					over <- time.Since(h.start)
				}
			})
			if d := <-over; d != 32*time.Second {
				t.Errorf("%s times out after %v", tt.method, d)
			}
			for i := range tt.want {
				tt.want[i] = tt.method + "@" + tt.want[i]
			}
			wants(t, h, tt.want...)
			if c, s := h.Open(); c+s != 0 {
				t.Errorf("%d transactions are left", c+s)
			}
		})
	}
}

// Timers D and M, and what comes up of several final responses (RFC 6026).
func TestT45_ClientAnswered(t *testing.T) {
	for _, tt := range []struct {
		status string
		ups    int // of three equal ones
		acks   int // by the transaction
	}{{"200 OK", 3, 0}, {"486 Busy Here", 1, 3}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(Options{})
			ups := 0
			h.Layer.Send(request("INVITE"), Flow{network: "udp", local: here, remote: there, tp: h.tp}, func(res *sip.Response) {
				if res != nil && res.StatusCode >= 200 {
					ups++
				}
			})
			h.Receive(message("SIP/2.0 180 Ringing", Magic+"out"), "udp", here, there)
			time.Sleep(40 * time.Second) // an INVITE that rings is neither repeated nor given up
			for range 3 {
				h.Receive(message("SIP/2.0 "+tt.status, Magic+"out"), "udp", here, there)
				time.Sleep(time.Second)
			}
			time.Sleep(28 * time.Second)
			if c, _ := h.Open(); c != 1 {
				t.Errorf("%s: timer D or M is too short", tt.status)
			}
			time.Sleep(4 * time.Second)
			if c, _ := h.Open(); c != 0 {
				t.Errorf("%s: timer D or M is too long", tt.status)
			}
			acks := h.count("ACK")
			if ups != tt.ups || acks != tt.acks || len(h.firsts()) != 1+tt.acks {
				t.Errorf("%s: %d came up, %v", tt.status, ups, h.firsts())
			}
		})
	}
}

// Timers G, H, I and J.
func TestT45_ServerTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(Options{Known: known})
		h.Receive(message("INVITE sip:a@here SIP/2.0", Magic+"g"), "udp", here, there)
		tx := <-h.asked
		tx.Status(486)
		time.Sleep(33 * time.Second)
		wants(t, h, "486@0", "486@0.5", "486@1.5", "486@3.5", "486@7.5", "486@11.5", "486@15.5", "486@19.5", "486@23.5", "486@27.5", "486@31.5")
		if _, s := h.Open(); s != 0 {
			t.Error("timer H has not fired")
		}
	})
	synctest.Test(t, func(t *testing.T) { // the ACK ends it; timer I
		h := newHarness(Options{Known: known})
		h.Receive(message("INVITE sip:a@here SIP/2.0", Magic+"i"), "udp", here, there)
		(<-h.asked).Status(486)
		time.Sleep(time.Second)
		h.Receive(message("ACK sip:a@here SIP/2.0", Magic+"i"), "udp", here, there)
		time.Sleep(4 * time.Second)
		if _, s := h.Open(); s != 1 || h.acks != 0 {
			t.Error("timer I has fired early, or the ACK went up")
		}
		time.Sleep(2 * time.Second)
		wants(t, h, "486@0", "486@0.5")
		if _, s := h.Open(); s != 0 {
			t.Error("timer I has not fired")
		}
	})
	synctest.Test(t, func(t *testing.T) { // retransmitted requests; timer J
		h := newHarness(Options{Known: known})
		for range 3 {
			h.Receive(message("OPTIONS sip:a@here SIP/2.0", Magic+"j"), "udp", here, there)
		}
		tx := <-h.asked
		tx.Status(200)
		time.Sleep(31 * time.Second)
		h.Receive(message("OPTIONS sip:a@here SIP/2.0", Magic+"j"), "udp", here, there)
		wants(t, h, "200@0", "200@31")
		time.Sleep(2 * time.Second)
		if _, s := h.Open(); s != 0 || len(h.asked) != 0 {
			t.Error("timer J has not fired, or the request came up twice")
		}
	})
	synctest.Test(t, func(t *testing.T) { // nobody answers
		h := newHarness(Options{Known: known})
		h.Receive(message("INFO sip:a@here SIP/2.0", Magic+"n"), "udp", here, there)
		time.Sleep(33 * time.Second)
		if _, s := h.Open(); s != 0 {
			t.Error("an unanswered transaction stays")
		}
	})
}

func TestCancelFindsItsInvite(t *testing.T) {
	h := newHarness(Options{Known: known})
	defer h.Close()
	h.Receive(message("CANCEL sip:a@here SIP/2.0", Magic+"k"), "udp", here, there)
	h.Receive(message("INVITE sip:a@here SIP/2.0", Magic+"k"), "udp", here, there)
	tx := <-h.asked
	h.Receive(message("CANCEL sip:a@here SIP/2.0", Magic+"k"), "udp", here, there)
	gone := 0
	tx.OnCancel(func() { gone++ }) // set after the CANCEL came
	h.Receive(message("CANCEL sip:a@here SIP/2.0", Magic+"k"), "udp", here, there)
	if gone != 2 {
		t.Errorf("told %d times", gone)
	}
	if h.count("481") != 1 || h.count("200") != 2 {
		t.Errorf("sent %v", h.firsts())
	}
	if tag := "tag=" + tx.Tag; !strings.Contains(h.sent[1], tag) {
		t.Errorf("the answer to CANCEL has another tag than the INVITE's:\n%s", h.sent[1])
	}
	tx.Status(180)
	if h.count("180") != 0 {
		t.Error("a caller that has given up is told that it rings")
	}
	tx.Status(487)
	if h.count("487") != 1 {
		t.Errorf("sent %v", h.firsts())
	}
	// A client of RFC 2543 has no magic branch.
	h.Receive(message("INVITE sip:a@here SIP/2.0", "1"), "udp", here, there)
	h.Receive(message("CANCEL sip:a@here SIP/2.0", "1"), "udp", here, there)
	(<-h.asked).OnCancel(func() { gone++ })
	if gone != 3 {
		t.Error("a CANCEL without the magic branch found nothing")
	}
}

// Responses take the way of RFC 3261, 18.2.2 and RFC 3581, whatever the Via claims.
func TestResponsesGoBackToTheSource(t *testing.T) {
	for _, tt := range []struct{ via, to, wrote string }{
		{"192.0.2.2:5070", "192.0.2.2:5070", "192.0.2.2:5070;branch"},
		{"192.0.2.2", "192.0.2.2:5060", "192.0.2.2;branch"},
		{"host.example.com:5070", "192.0.2.2:5070", "received=192.0.2.2"},
		{"10.0.0.1:5070;rport", "192.0.2.2:40000", "received=192.0.2.2"},
		{"10.0.0.1;RPORT", "192.0.2.2:40000", "RPORT=40000"},
		{"10.0.0.1:5070;received=203.0.113.9;maddr=203.0.113.9", "192.0.2.2:5070", "received=192.0.2.2"},
		{"10.0.0.1;rport=9;received=203.0.113.9", "192.0.2.2:40000", "rport=40000"},
	} {
		h := newHarness(Options{Known: known})
		msg := strings.Replace(string(message("OPTIONS sip:a@here SIP/2.0", Magic+"r")), "192.0.2.2;", tt.via+";", 1)
		h.Receive([]byte(msg), "udp", here, netip.MustParseAddrPort("192.0.2.2:40000"))
		(<-h.asked).Status(200)
		if h.to[0].String() != tt.to || !strings.Contains(strings.ReplaceAll(h.sent[0], " ", ""), strings.ReplaceAll(tt.wrote, " ", "")) {
			t.Errorf("%s: answered to %v\n%s", tt.via, h.to[0], h.sent[0])
		}
		h.Close()
	}
}
