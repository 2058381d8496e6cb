//go:build lab

package peers

import (
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// TestSippSpeaks: sipp plays a tone in each codec that it has, and sends back what it hears: the people hear its
// tone, and then their own come back, as loud as they were said.
func TestSippSpeaks(t *testing.T) {
	for _, c := range []struct {
		codec, transport, flag string
		pt                     int
	}{{"PCMU", "udp", "u1", 0}, {"PCMA", "tcp", "t1", 8}, {"G722", "udp", "u1", 9}} {
		t.Run(c.codec, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(cfg *config.Config) { cfg.Media.Codecs = []string{c.codec} })
			g.sip = g.host(c.transport)
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			sdp := description("a=rtpmap:9 G722/8000")
			offer := message{method: "INVITE", outside: true, sdp: replace(sdp, "AVP 0", "AVP 9 8 0")}
			said := newScene("alpha").send(offer).rings().status(200).ack("").says(encoded(t, c.codec, 440), c.pt, c.codec+"/8000").asked("BYE", "200 OK")
			run := said.begin(t, g, "-t", c.flag)
			for _, p := range people {
				eventually(t, 20*time.Second, "a person hears sipp, as loud as it says", func() bool {
					_, ok := voice(p, 440)
					return ok
				})
			}
			g.app.HangupAll()
			if err := run.Wait(); err != nil {
				t.Errorf("sipp: %v\n%s", err, run.said())
			}
			ended(t, g)
			back := newScene("alpha").send(offer).rings().status(200).ack("").asked("BYE", "200 OK").begin(t, g, "-t", c.flag, "-rtp_echo")
			for i, p := range people {
				eventually(t, 20*time.Second, "a person hears what sipp heard", func() bool {
					_, ok := voice(p, []float64{620, 880}[i])
					return ok
				})
			}
			g.app.HangupAll()
			if err := back.Wait(); err != nil {
				t.Errorf("sipp: %v\n%s", err, back.said())
			}
		})
	}
}

// TestKeysReachThePhone: a key of a person in the meeting reaches a phone as telephone event, and one that takes
// none as INFO. Keys of the phone go to the room where that is wanted, and are no noise there.
func TestKeysReachThePhone(t *testing.T) {
	t.Run("as telephone event to baresip", func(t *testing.T) {
		t.Parallel()
		g := start(t, inAlpha)
		people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
		for _, codec := range []string{"PCMU", "opus"} {
			b := startBaresip(t, softphone{codec: codec, hz: 440})
			b.call(g)
			bothWays(t, b, people, 620, 880)
			for _, key := range "05#D" {
				people[0].Press(key)
				eventually(t, 10*time.Second, "baresip is told of "+string(key), func() bool {
					got, _ := b.saw("CALL_DTMF_START")
					return got == string(key)
				})
			}
			b.do("hangup", "")
			ended(t, g)
		}
	})
	t.Run("as INFO to sipp", func(t *testing.T) {
		t.Parallel()
		g := start(t, nil)
		p := g.Join("alpha", 620)
		g.Join("alpha", 880)
		plain := replace(replace(description(), " 101\n", "\n"), "a=rtpmap:101 telephone-event/8000\n", "")
		run := newScene("alpha").send(message{method: "INVITE", outside: true, sdp: plain}).rings().status(200).ack("").says(encoded(t, "PCMU", 440), 0, "PCMU/8000").
			recv(`request="INFO" rrs="true" timeout="20000"`, "application/dtmf-relay", "Signal=7").reply("200 OK", "").asked("BYE", "200 OK").begin(t, g)
		eventually(t, 20*time.Second, "the person hears sipp", hears(p, 440))
		p.Press('7')
		time.Sleep(time.Second) // sipp checks that it is told before it is hung up
		g.app.HangupAll()
		if err := run.Wait(); err != nil {
			t.Errorf("sipp: %v\n%s", err, run.said())
		}
	})
	t.Run("from a recording of sipp", func(t *testing.T) {
		t.Parallel()
		g := start(t, func(cfg *config.Config) {
			cfg.SIP.Accounts = []config.SIPAccount{{ID: "pbx", URI: "room@127.0.0.1", DTMFToMeeting: true}}
		})
		p := g.Join("alpha", 620)
		g.Join("alpha", 880)
		run := newScene("alpha").invited().rings().status(200).ack("").says(encoded(t, "PCMU", 440), 0, "PCMU/8000").pause(1500).
			raw(`<nop><action><exec play_pcap_audio="/usr/share/sip-tester/dtmf_2833_5.pcap"/></action></nop>`).pause(2500).bye().begin(t, g)
		eventually(t, 20*time.Second, "the person hears sipp", hears(p, 440))
		nick := g.app.Calls()[0].Occupant.Resource
		eventually(t, 10*time.Second, "the person is sent the key", func() bool { return p.Digits(nick) == "5" })
		p.Forget()
		time.Sleep(2 * time.Second)
		v, ok := voice(p, 440)
		if !ok || v.Level() > -toneLevel+3 || v.Level() < -toneLevel-3 {
			t.Errorf("after the key the person hears sipp: %v, at -%d dBov", ok, v.Level())
		}
		if err := run.Wait(); err != nil {
			t.Errorf("sipp: %v\n%s", err, run.said())
		}
	})
}
