package app_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
)

// puppet is a phone whose RTP and RTCP are switched on and off; it is written by hand, and knows nothing of the gateway's.
type puppet struct {
	d             *sip.Dialog
	talks, counts atomic.Bool
	over          chan cause.Cause // the end of the call
}

// puppet calls, and says something.
func (m *meeting) puppet(t *testing.T, room string) *puppet {
	t.Helper()
	pair := [2]*net.UDPConn{}
	for pair[1] == nil { // an even port and the next one
		for i := range pair {
			port := 0
			if i == 1 {
				port = pair[0].LocalAddr().(*net.UDPAddr).Port + 1
			}
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
			if err != nil {
				break
			}
			t.Cleanup(func() { c.Close() })
			pair[i] = c
		}
	}
	own := pair[0].LocalAddr().(*net.UDPAddr)
	p := &puppet{over: make(chan cause.Cause, 1)}
	var err error
	p.d, err = m.ua.Dial(t.Context(), sip.DialOptions{
		To: "sip:gw@" + m.gateway(), From: "sip:+4930123@phone.test", Headers: []sip.Header{{Name: "Jitsi-Conference-Room", Value: room}},
		SDP: fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n", own.Port),
	})
	if err != nil {
		t.Fatal(err)
	}
	for e := range p.d.Events() {
		if e.Kind == sip.Answered {
			answer, err := sdp.Parse(e.SDP)
			if err != nil {
				t.Fatal(err)
			}
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(answer.Media[0].Port))
			p.talks.Store(true)
			go p.speak(t, pair, to)
			go func() {
				for e := range p.d.Events() {
					if e.Kind == sip.Ended {
						p.over <- e.Cause
					}
				}
			}()
			return p
		}
	}
	t.Fatal("the call was not answered")
	return nil
}

// speak sends PCMU of a click in each packet, and an empty receiver report each fifth of a second.
func (p *puppet) speak(t *testing.T, pair [2]*net.UDPConn, to netip.AddrPort) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	packet := make([]byte, 12+160)
	packet[0], packet[11] = 0x80, 7
	for i := range packet[12:] {
		packet[12+i] = 0xff // silence
	}
	packet[50] = 0x10
	for i := 0; ; i++ {
		select {
		case <-t.Context().Done():
			return
		case <-tick.C:
		}
		if p.talks.Load() {
			packet[2], packet[3] = byte(i>>8), byte(i)
			packet[5], packet[6], packet[7] = byte(i*160>>16), byte(i*160>>8), byte(i*160)
			_, _ = pair[0].WriteToUDPAddrPort(packet, to)
		}
		if p.counts.Load() && i%10 == 0 {
			_, _ = pair[1].WriteToUDPAddrPort([]byte{0x80, 201, 0, 1, 0, 0, 0, 7}, netip.AddrPortFrom(to.Addr(), to.Port()+1))
		}
	}
}

// dropped are the statistics of sound that stopped.
func (m *meeting) dropped(t *testing.T) (calls, times float64) {
	t.Helper()
	var stats map[string]any
	if err := json.Unmarshal([]byte(page(t, "http://"+m.app.AdminAddr()+"/about/stats")), &stats); err != nil {
		t.Fatal(err)
	}
	return stats["total_calls_with_dropped_media"].(float64), stats["total_count_dropped_media"].(float64)
}

// silenceAsOld is a configuration of Jigasi's about phones that stop sending.
func silenceAsOld(t *testing.T, hangup bool) func(*config.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sip-communicator.properties")
	text := fmt.Sprintf("org.jitsi.jigasi.SIP_MEDIA_DROPPED_THRESHOLD_MS=1500\norg.jitsi.jigasi.HANGUP_SIP_ON_MEDIA_DROPPED=%v\n", hangup)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	old, _, err := config.Load([]string{"--config=" + path}, func(string) string { return "" }, t.TempDir())
	if old == nil {
		t.Fatal(err)
	}
	return func(c *config.Config) {
		c.Media.Silence, c.Media.HangSilent = old.Media.Silence, old.Media.HangSilent
		c.Admin.Port = ports.Free(t)
	}
}

// TestPhoneStopsSending: RTP and RTCP that stop are counted, each time; RTCP alone is life; and the call stays up.
func TestPhoneStopsSending(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, silenceAsOld(t, false))
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p := m.puppet(t, "alpha")
	heard := func() int { return a.Hears()[m.nick(t)].Packets }
	eventually(t, 10*time.Second, "the phone is heard", func() bool { return heard() > 10 })
	if _, times := m.dropped(t); times != 0 {
		t.Fatalf("dropped %v times before anything stopped", times)
	}
	p.counts.Store(true)
	p.talks.Store(false)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, times := m.dropped(t); times != 0 {
			t.Fatal("RTCP alone counts as silence")
		}
	}
	for n := range 2 {
		p.talks.Store(false)
		p.counts.Store(false)
		eventually(t, 10*time.Second, "the silence is counted", func() bool {
			calls, times := m.dropped(t)
			return calls == 1 && times == float64(n+1)
		})
		before := heard()
		p.talks.Store(true)
		p.counts.Store(true)
		eventually(t, 10*time.Second, "the phone is heard again", func() bool { return heard() > before+10 })
	}
	select {
	case why := <-p.over:
		t.Errorf("the call ended: %v", why)
	default:
	}
}

// TestSilentPhoneIsHungUp: where the operator of old wanted that, and as scripts know it.
func TestSilentPhoneIsHungUp(t *testing.T) {
	t.Parallel()
	for name, speaks := range map[string]bool{"it stops": true, "it never begins": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, silenceAsOld(t, true))
			a := m.Join("alpha", 620)
			m.Join("alpha", 880)
			p := m.puppet(t, "alpha")
			if speaks {
				eventually(t, 10*time.Second, "the phone is heard", func() bool { return a.Hears()[m.nick(t)].Packets > 10 })
			}
			p.talks.Store(false)
			select {
			case why := <-p.over:
				if why.Text != "Stopped receiving media" {
					t.Errorf("the phone reads %q", why.Text)
				}
			case <-time.After(patience):
				t.Fatal("the phone is not hung up")
			}
			if calls, times := m.dropped(t); calls != 1 || times != 1 {
				t.Errorf("%v calls, %v times", calls, times)
			}
			eventually(t, 10*time.Second, "the record says why", func() bool {
				ended := m.app.Exchange().Ended()
				return len(m.app.Calls()) == 0 && len(ended) == 1 && ended[0].Cause.Code == cause.NoMedia
			})
		})
	}
}
