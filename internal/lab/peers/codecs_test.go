//go:build lab

package peers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// inAlpha has callers who name no room come to the room alpha.
func inAlpha(cfg *config.Config) { cfg.Meeting.DefaultRoom = "alpha" }

// overTLS adds a TLS listener with a certificate of the authority for 127.0.0.1 and localhost.
func overTLS(t *testing.T, a *authority) func(*config.Config) {
	cert, key, _ := a.issue(t, "127.0.0.1", "localhost")
	return func(cfg *config.Config) {
		inAlpha(cfg)
		cfg.SIP.Listen = append(cfg.SIP.Listen, "tls:127.0.0.1:0")
		cfg.SIP.TLS.CertFile, cfg.SIP.TLS.KeyFile, cfg.SIP.TLS.Trust.CAFile = cert, key, a.file
	}
}

// TestBaresipSpeaksEachCodecOverEachTransport: a phone and two people hear each other.
func TestBaresipSpeaksEachCodecOverEachTransport(t *testing.T) {
	for _, codec := range []string{"PCMU", "PCMA", "G722", "opus"} {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			t.Run(codec+" over "+transport, func(t *testing.T) {
				t.Parallel()
				a := newAuthority(t)
				g := start(t, overTLS(t, a))
				people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
				b := startBaresip(t, softphone{codec: codec, transport: transport, hz: 440, ca: a.file})
				b.call(g)
				bothWays(t, b, people, 620, 880)
				b.do("hangup", "")
				eventually(t, 10*time.Second, "the phone leaves the room", func() bool { return len(g.app.Calls()) == 0 && len(people[0].Others()) == 1 })
			})
		}
	}
}

// TestT24_BaresipAndSRTP: what comes of a phone's wish and the gateway's policy.
func TestT24_BaresipAndSRTP(t *testing.T) {
	for _, c := range []struct{ phone, gateway, want string }{
		{"", "off", "plain"}, {"", "optional", "plain"}, {"", "required", "refused"},
		{"srtp", "off", "plain"}, {"srtp", "optional", "srtp"}, {"srtp", "required", "srtp"},
		{"srtp-mand", "off", "refused"}, {"srtp-mand", "optional", "srtp"}, {"srtp-mand", "required", "srtp"},
		{"srtp-mandf", "optional", "srtp"},
	} {
		t.Run("phone "+c.phone+" gateway "+c.gateway, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(cfg *config.Config) {
				inAlpha(cfg)
				cfg.Media.SRTP = c.gateway
			})
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			b := startBaresip(t, softphone{srtp: c.phone, hz: 440})
			b.do("dial", g.target("udp", "room"))
			if c.want == "refused" {
				if why := b.await("CALL_CLOSED"); why != "488 Not Acceptable Here" {
					t.Errorf("the phone reads %q", why)
				}
				return
			}
			b.await("CALL_ESTABLISHED")
			bothWays(t, b, people, 620, 880)
			_, secure := b.saw("CALL_MENC")
			if secure != (c.want == "srtp") {
				t.Errorf("the phone encrypts: %v", secure)
			}
		})
	}
}

// TestTwentySecondsWithoutAGap: what is said arrives whole, both ways. On a machine that others use
// too a window of 20 s may be missed; one of three has to be whole.
func TestTwentySecondsWithoutAGap(t *testing.T) {
	for _, codec := range []string{"PCMU", "opus"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			g := start(t, inAlpha)
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			b := startBaresip(t, softphone{codec: codec, hz: 440})
			b.call(g)
			bothWays(t, b, people, 620, 880)
			const limit = 40 * time.Millisecond
			for try := 1; ; try++ {
				people[0].Forget()
				was, rate := b.heard()
				time.Sleep(20500 * time.Millisecond)
				v, there := voice(people[0], 440)
				now, _ := b.heard()
				fresh := now[len(was):]
				in, out := silence(v.PCM(), 48000), silence(fresh, rate)
				t.Logf("person: silent for %v, %v missing, %d lost; phone: silent for %v; heard %.1f s and %.1f s", in, v.Hole(), v.Lost(), out,
					float64(len(v.PCM()))/48000, float64(len(fresh))/float64(rate))
				if there && in <= limit && v.Hole() <= limit && len(v.PCM()) >= 20*48000 && out <= limit && len(fresh) >= 20*rate {
					return
				}
				if try == 3 {
					t.Fatal("each window of 20 s has a gap of more than 40 ms")
				}
			}
		})
	}
}

// TestThreePeopleAndTwoPhones: everybody hears exactly the others.
func TestThreePeopleAndTwoPhones(t *testing.T) {
	t.Parallel()
	g := start(t, inAlpha)
	tones := []float64{620, 880, 1240, 440, 1700}
	people := []*bot.Bot{g.Join("alpha", tones[0]), g.Join("alpha", tones[1]), g.Join("alpha", tones[2])}
	one := startBaresip(t, softphone{hz: tones[3]})
	two := startBaresip(t, softphone{codec: "opus", hz: tones[4]})
	one.call(g)
	two.call(g)
	eventually(t, 10*time.Second, "two calls are active", func() bool {
		n := 0
		for _, c := range g.app.Calls() {
			if c.State == call.Active {
				n++
			}
		}
		return n == 2
	})
	for i, p := range people {
		for j, hz := range tones {
			if i != j {
				eventually(t, 20*time.Second, fmt.Sprintf("person %d hears %.0f Hz", i, hz), hears(p, hz))
			}
		}
		for who, v := range p.Hears() {
			if db := v.Tone(tones[i]); db > toneLevel-25 {
				t.Errorf("person %d hears itself at %.1f dBov from %s", i, db, who)
			}
		}
	}
	// A phone hears the loudest three: the people take turns at being silent.
	for silent := range people {
		for i, p := range people {
			p.Hush(i == silent)
		}
		for _, b := range []*baresip{one, two} {
			for i, hz := range tones {
				heard := i != silent && hz != b.opt.hz
				eventually(t, 20*time.Second, fmt.Sprintf("the phone that says %.0f Hz hears %.0f Hz: %v", b.opt.hz, hz, heard), func() bool {
					pcm, rate := b.heard()
					db := level(pcm, rate, hz)
					return heard && near(db) || !heard && len(pcm) > rate && db < toneLevel-25
				})
			}
		}
	}
}

// TestTheCertificateIsTheGateways: baresip 1.0 encrypts to anybody, so somebody who looks checks the
// names that the gateway's TLS listener shows.
func TestTheCertificateIsTheGateways(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	g := start(t, overTLS(t, a))
	addr := g.app.SIPAddrs()[2].String()
	pem, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for name, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "other.example": false} {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: name})
		if (err == nil) != want {
			t.Errorf("the certificate names %s: %v", name, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// TestBaresipOverIPv6: signalling and sound over ::1, from a gateway that speaks both.
func TestBaresipOverIPv6(t *testing.T) {
	t.Parallel()
	g := start(t, func(cfg *config.Config) {
		inAlpha(cfg)
		cfg.SIP.Listen = []string{"udp:[::1]:0", "tcp:[::1]:0"}
		cfg.SIP.Trunks = []string{"::1/128"}
	})
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	for _, transport := range []string{"udp", "tcp"} {
		b := startBaresip(t, softphone{ip: "::1", transport: transport, hz: 440})
		b.call(g)
		bothWays(t, b, people, 620, 880)
		b.do("hangup", "")
		ended(t, g)
	}
}
