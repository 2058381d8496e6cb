//go:build lab

package peers

import (
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// longHeaders make a message of some 5 KB.
func longHeaders() []string {
	var out []string
	for range 40 {
		out = append(out, "X-Carrier-Data: "+strings.Repeat("0123456789", 11))
	}
	return out
}

// TestSippPatience: what takes as long as its timer, so all at once and at one gateway.
func TestSippPatience(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	a := g.Join("alpha", 620)
	g.Join("alpha", 880)
	var done sync.WaitGroup
	sound := encoded(t, "PCMU", 440) // a phone that says nothing for 30 s is hung up
	for name, c := range map[string]struct {
		s     *scene
		least time.Duration
	}{
		// The 200 is repeated for 32 s, then the call is hung up.
		"S9 no ACK": {newScene("alpha").invited().rings().status(200).asked("BYE", "200 OK"), 30 * time.Second},
		// The answer to BYE is lost: it comes again.
		"S10 the answer to BYE is lost": {newScene("alpha").up().pause(100).send(message{method: "BYE"}).raw(`<recv response="200" lost="40"/>`), 0},
		// The INVITE has no SDP: the offer is in the 200, the answer in the ACK.
		"S6 late offer": {newScene("alpha").send(message{method: "INVITE", outside: true}).rings().status(200, "m=audio [0-9]+ RTP/AVP").ack(description()).
			says(sound, 0, "PCMU/8000").pause(35000).bye(), 35 * time.Second},
	} {
		run, began := c.s.begin(t, g), time.Now()
		done.Go(func() {
			err := run.Wait()
			if d := time.Since(began); err != nil || d < c.least {
				t.Errorf("%s: %v after %v\n%s", name, err, d, run.said())
			}
		})
	}
	done.Wait()
	ended(t, g)
	eventually(t, 10*time.Second, "the phones have left the room", func() bool { return len(a.Others()) == 1 })
}

// TestSippLoses: a fifth of what sipp sends and takes is lost; no call is. sipp takes a 200 to INVITE that came
// again for that to its BYE, and then owes a BYE or an ACK: the gateway ends such a call by itself.
func TestSippLoses(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.Join("alpha", 620)
	g.Join("alpha", 880)
	newScene("alpha").invited().rings().status(200).ack("").pause(300).bye().play(t, g, "-m", "40", "-r", "20", "-lost", "20")
	eventually(t, 60*time.Second, "no call is left", func() bool { return len(g.app.Calls()) == 0 && g.app.PortsInUse() == 0 })
}

// TestSippLongInvite: 5 KB of headers, over UDP and TCP, and OPTIONS a hundred times a second.
func TestSippLongInvite(t *testing.T) {
	for transport, args := range map[string][]string{"udp": {}, "tcp": {"-t", "t1"}} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			g.Join("alpha", 620)
			g.Join("alpha", 880)
			g.sip = g.host(transport)
			newScene("alpha").up(longHeaders()...).pause(300).bye().play(t, g, args...)
			newScene("").send(message{method: "OPTIONS", outside: true}).status(200, "Allow: INVITE").play(t, g, append(args, "-m", "300", "-r", "100")...)
			ended(t, g)
		})
	}
}

// TestSippOverIPv6: signalling and sound over ::1.
func TestSippOverIPv6(t *testing.T) {
	t.Parallel()
	g := start(t, func(cfg *config.Config) {
		cfg.SIP.Listen = []string{"udp:[::1]:0"}
		cfg.SIP.Trunks = []string{"::1/128"}
	})
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	run := newScene("alpha").invited().rings().status(200, "c=IN IP6 ::1").ack("").says(encoded(t, "PCMU", 440), 0, "PCMU/8000").
		asked("BYE", "200 OK").begin(t, g)
	for _, p := range people {
		eventually(t, 20*time.Second, "a person hears the phone", func() bool {
			_, ok := voice(p, 440)
			return ok
		})
	}
	g.app.HangupAll()
	if err := run.Wait(); err != nil {
		t.Errorf("sipp: %v\n%s", err, run.said())
	}
}
