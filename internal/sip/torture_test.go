package sip_test

import (
	"bytes"
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What a user agent answers to the messages of RFC 4475; 0 is nothing at all, 486 is a call that was taken.
var torture = map[string]int{
	"badaspec": 400, "badbranch": 200, "baddate": 486, "baddn": 200, "badinv01": 400, "badvers": 505, "bcast": 0, "bext01": 420,
	"bigcode": 0, "clerr": 400, "cparam01": 405, "cparam02": 405, "dblreq": 405, "esc01": 486, "esc02": 501, "escnull": 405,
	"escruri": 486, "insuf": 400, "intmeth": 501, "inv2543": 486, "invut": 415, "longreq": 486, "ltgtruri": 400, "lwsdisp": 200,
	"lwsruri": 400, "lwsstart": 400, "mcl01": 400, "mismatch01": 400, "mismatch02": 400, "mpart01": 405, "multi01": 400, "ncl": 400,
	"noreason": 0, "novelsc": 416, "quotbal": 400, "regaut01": 405, "regbadct": 405, "regescrt": 405, "scalar02": 400, "scalarlg": 0,
	"sdp01": 406, "semiuri": 200, "test": 0, "transports": 200, "trws": 400, "unkscm": 416, "unksm2": 405, "unreason": 0,
	"wsinv": 481, "zeromf": 200,
}

// kept is a Wire that keeps what is sent.
type kept struct {
	mu   sync.Mutex
	sent []string
}

func (k *kept) Send(_ string, _, _ netip.AddrPort, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent = append(k.sent, string(b))
	return nil
}

// status gives the first final status that was sent, 0 for none.
func (k *kept) status() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := 0
	for _, m := range k.sent {
		if n := siptx.Leading(strings.TrimPrefix(m, "SIP/2.0 ")); n >= 200 && first == 0 {
			first = n
		}
	}
	k.sent = nil
	return first
}

// T14: the right answer to each, and a valid question is answered after each.
func TestT14_RFC4475Answers(t *testing.T) {
	files, _ := filepath.Glob("../siptx/testdata/rfc4475/*.dat")
	if len(files) != 50 {
		t.Fatalf("%d messages", len(files))
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".dat")
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				k := &kept{}
				ua := sip.New(sip.Options{
					Listen: []sip.Listener{{Network: network, Addr: gateway.String()}}, Trunks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
					Incoming: func(d *sip.Dialog) { d.Reject(cause.Cause{Code: cause.Busy}) }, Wire: k,
				})
				if err := ua.Start(); err != nil {
					t.Fatal(err)
				}
				ua.Receive(raw, network, gateway, phoneAt)
				synctest.Wait()
				if got := k.status(); got != torture[name] {
					t.Errorf("%s over %s is answered %d, want %d", name, network, got, torture[name])
				}
				ua.Receive([]byte(crlf("OPTIONS sip:a@x SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKvalid\nFrom: <sip:b@x>;tag=1\nTo: <sip:a@x>\n"+
					"Call-ID: v\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n")), network, gateway, phoneAt)
				if got := k.status(); got != 200 {
					t.Errorf("after %s a valid question is answered %d", name, got)
				}
				time.Sleep(time.Minute)
				if c, s := ua.Transactions(); ua.Calls()+c+s != 0 {
					t.Errorf("%s leaves something behind", name)
				}
				ctx, cancel := contextFor(time.Second)
				defer cancel()
				_ = ua.Close(ctx)
			})
		}
	}
}

// T17: large messages are answered, and large calls go over TCP where the peer speaks it.
func TestT17_LargeMessages(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		var vias strings.Builder
		for i := range 34 {
			fmt.Fprintf(&vias, "Via: SIP/2.0/UDP proxy%d.example.com:5060;branch=z9hG4bKproxy%d;received=192.0.2.%d\n", i, i, i)
		}
		big := offer + strings.Repeat("a=rtpmap:100 something/8000\r\n", 140)
		s.phone.send("INVITE sip:room@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKbig\n" + vias.String() +
			"From: <sip:p@x>;tag=p1\nTo: <sip:room@x>\nCall-ID: big\nCSeq: 1 INVITE\nContact: <sip:p@192.0.2.2>\nContent-Type: application/sdp\n" +
			fmt.Sprintf("Content-Length: %d\n\n%s", len(crlf(big)), big))
		if n := len(siptx.Values(s.phone.status(100), "Via")); n != 35 {
			t.Errorf("%d Via came back", n)
		}
		d := <-s.calls
		if string(d.SDP()) != big {
			t.Error("the description was cut")
		}
		d.Answer([]byte(big))
		if ok := s.phone.status(200); string(ok.Body()) != big {
			t.Error("our description was cut")
		}
	})
	both := []sip.Listener{{Network: "udp", Addr: gateway.String()}, {Network: "tcp", Addr: gateway.String()}}
	play(t, sip.Options{Listen: both}, func(s *scene) {
		for size, want := range map[int]string{100: "UDP", 1200: "TCP"} {
			d, err := s.ua.Dial(s.Context(), sip.DialOptions{To: "sip:phone@192.0.2.2", SDP: bytes.Repeat([]byte("x"), size)})
			if err != nil {
				t.Fatal(err)
			}
			invite := s.phone.method("INVITE")
			if got := invite.Via().Transport; got != want {
				t.Errorf("%d bytes of description go over %s, want %s", size, got, want)
			}
			s.phone.respond(invite, 486, "", "")
			s.phone.method("ACK")
			wait(t, d, sip.Ended)
		}
	})
	play(t, sip.Options{}, func(s *scene) { // a peer without TCP
		_, err := s.ua.Dial(s.Context(), sip.DialOptions{To: "sip:phone@192.0.2.2", SDP: bytes.Repeat([]byte("x"), 3000)})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.phone.method("INVITE").Via().Transport; got != "UDP" {
			t.Errorf("goes over %s", got)
		}
	})
}

// A body of several parts, as SIP-I sends it, and a call over IPv6.
func TestDescriptionAmongParts(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		body := "--b1\nContent-Type: application/isup;version=x\n\n\x01\x02\n--b1\nContent-Type: application/sdp\n\nv=0\ns=-\n--b1--\n"
		s.phone.request("INVITE", "Content-Type: multipart/mixed;boundary=b1\n", body)
		s.phone.status(100)
		if got := string((<-s.calls).SDP()); got != "v=0\r\ns=-" {
			t.Errorf("read %q", got)
		}
	})
}
