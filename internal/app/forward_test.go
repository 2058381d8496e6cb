package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/phone"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/stanza"
)

// forwarding has an account whose calls are not mixed.
func forwarding(c *config.Config) {
	c.SIP.Accounts = []config.SIPAccount{{ID: "ivr", URI: "ivr@127.0.0.1", Forward: true}}
}

// ivr calls by that account.
func (m *meeting) ivr(t *testing.T, codec string) *phone.Phone {
	t.Helper()
	p, err := phone.Dial(phone.Options{
		Server: m.app.SIPAddrs()[0], User: "ivr", Headers: [][2]string{{"Jitsi-Conference-Room", "alpha"}}, Codec: codec, Tone: 440,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Hangup(t.Context()) })
	eventually(t, 10*time.Second, "the call is up", func() bool {
		select {
		case <-p.Up():
			return true
		default:
			return false
		}
	})
	return p
}

// voice is what an IVR hears under an SSRC.
func voice(p *phone.Phone, ssrc uint32) phone.Voice {
	for _, v := range p.Voices() {
		if v.SSRC == ssrc {
			return v
		}
	}
	return phone.Voice{}
}

// apart reports whether an IVR hears a person alone under his SSRC.
func apart(p *phone.Phone, who *bot.Bot, hz, not float64) func() bool {
	return func() bool {
		v := voice(p, who.SSRC())
		return v.Tone(hz) > -26 && v.Tone(not) < -45
	}
}

// own is what an IVR hears of the gateway itself, beside people.
func own(p *phone.Phone, people ...*bot.Bot) (v phone.Voice) {
	for _, v := range p.Voices() {
		if v.Since < 200*time.Millisecond && !slices.ContainsFunc(people, func(b *bot.Bot) bool { return b.SSRC() == v.SSRC }) {
			return v
		}
	}
	return phone.Voice{Since: time.Hour}
}

// TestIVRHearsEachSpeakerApart: each under the SSRC of his own, byte by byte, both ways; who hears the mix beside it
// notices nothing; prompts, keys, mute, reports.
func TestIVRHearsEachSpeakerApart(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, forwarding)
	a, b := m.Join("alpha", 620), m.Join("alpha", 880)
	p := m.ivr(t, "opus")
	eventually(t, 10*time.Second, "the IVR hears each apart", func() bool { return apart(p, a, 620, 880)() && apart(p, b, 880, 620)() })
	eventually(t, 10*time.Second, "both hear the IVR", func() bool { return hears(a, 440)() && hears(b, 440)() })
	nick := m.nick(t)
	for _, who := range []*bot.Bot{a, b} {
		heard, sent := voice(p, who.SSRC()).Packets, who.Sent()
		same := func(k phone.Packet) bool {
			return slices.ContainsFunc(sent, func(s bot.Packet) bool { return s.Timestamp == k.Timestamp && s.Sum == k.Sum })
		}
		if i := slices.IndexFunc(heard, func(k phone.Packet) bool { return !same(k) }); i >= 0 {
			t.Errorf("packet %d of %d is not as it was sent: %+v", i, len(heard), heard[i])
		}
		came, said := who.Hears()[nick].Sums(), p.Said()
		if i := slices.IndexFunc(came, func(k bot.Packet) bool {
			return !slices.ContainsFunc(said, func(s phone.Packet) bool { return s.Sum == k.Sum })
		}); i >= 0 {
			t.Errorf("packet %d of %d of the IVR is not as it was sent", i, len(came))
		}
	}
	if p.SignsOfLife() == 0 {
		t.Error("nothing opened the way to the IVR")
	}
	q := m.call(t, "alpha", 500, "PCMU")
	eventually(t, 20*time.Second, "a phone beside it hears the mix", func() bool { return q.tone(620) > -26 && q.tone(880) > -26 && q.tone(440) > -26 })
	eventually(t, 10*time.Second, "the IVR hears that phone too", func() bool { return own(p, a, b).Tone(500) > -26 })
	q.port.Close()
	q.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 10*time.Second, "the phone is gone", func() bool { return len(m.app.Calls()) == 1 })
	a.Press('5')
	eventually(t, 10*time.Second, "the IVR is told of a key", func() bool { return p.Digits() == "5" })
	m.Focus.Show("alpha", stanza.New("http://jitsi.org/protocol/jibri", "jibri-recording-status", "recording_mode", "file", "status", "on"))
	eventually(t, 10*time.Second, "the IVR is told of the recording", func() bool { v := own(p, a, b); return v.Loud() < 50 && v.Tone(500) < -30 })
	eventually(t, 20*time.Second, "and hears the people", func() bool { return apart(p, a, 620, 880)() && apart(p, b, 880, 620)() })
	m.Focus.Mute("alpha", nick)
	eventually(t, 10*time.Second, "the IVR is not heard", func() bool { return !hears(a, 440)() && !hears(b, 440)() })
	p.SendDigit('*', 100*time.Millisecond)
	p.SendDigit('6', 100*time.Millisecond)
	eventually(t, 20*time.Second, "the IVR is heard again", func() bool { return hears(a, 440)() && hears(b, 440)() })
	eventually(t, 20*time.Second, "reports tell of each", func() bool {
		x, y := voice(p, a.SSRC()), voice(p, b.SSRC())
		return x.Sent > 50 && y.Sent > 50 && x.Name != "" && x.Name != y.Name
	})
	b.Leave()
	eventually(t, 20*time.Second, "it is told who left", func() bool { return voice(p, b.SSRC()).Over && !voice(p, a.SSRC()).Over })
}

// TestForwardingFollowsTheCodec: what agrees on G.711 hears the mix and the log says why; another codec in the midst of a call, and
// back; and a meeting that is lost for a while.
func TestForwardingFollowsTheCodec(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, forwarding)
	a, b := m.Join("alpha", 620), m.Join("alpha", 880)
	p := m.ivr(t, "PCMU")
	var was, wasApart int // packets before the latest change
	change := func(codec string) {
		was, wasApart = p.Traffic().Packets, len(voice(p, a.SSRC()).Packets)
		p.Change(codec)
	}
	heard := func() bool { return hears(a, 440)() && hears(b, 440)() }
	mixed := func() bool {
		return p.Codec() == "PCMU" && p.Traffic().Packets > was+50 && p.Tone(620) > -26 && p.Tone(880) > -26 && heard()
	}
	both := func() bool {
		return p.Codec() == "opus" && len(voice(p, a.SSRC()).Packets) > wasApart+50 && apart(p, a, 620, 880)() && apart(p, b, 880, 620)() && heard()
	}
	eventually(t, 20*time.Second, "everybody hears everybody, mixed", mixed)
	story := func() (said int) {
		d, _ := m.app.Exchange().Detail(m.app.Calls()[0].ID)
		for _, line := range d.Story {
			if strings.Contains(line.Text, "the meeting is mixed for this phone") {
				said++
			}
		}
		return said
	}
	if n := story(); n != 1 {
		t.Errorf("the log says %d times that it is mixed", n)
	}
	change("opus")
	eventually(t, 20*time.Second, "everybody hears everybody, apart", both)
	change("PCMU")
	eventually(t, 20*time.Second, "mixed again", mixed)
	change("opus")
	eventually(t, 20*time.Second, "apart again", both)
	if n := story(); n != 1 {
		t.Errorf("the log says %d times that it is mixed", n)
	}
	m.Bridge.Kill()
	m.Focus.UseBridge(nil)
	eventually(t, 30*time.Second, "the IVR hears the hold sound", func() bool { return own(p, a, b).Tone(440) > -40 })
	next, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.Focus.Move("alpha", next)
	eventually(t, 30*time.Second, "apart after the meeting has come back", both)
}

// TestAnIVRIsDialled: what a moderator calls by such an account hears each speaker apart too, and is told of all by BYE in the end.
func TestAnIVRIsDialled(t *testing.T) {
	t.Parallel()
	l, err := phone.Listen(phone.Taking{}, phone.Options{Codec: "opus", Tone: 440})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(t.Context()) })
	m := start(t, lab.Options{}, func(c *config.Config) {
		withBrewery(c)
		forwarding(c)
		c.SIP.Accounts[0].Proxy = l.Addr().String()
	})
	a, b := m.Join("alpha", 620), m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), l.URI()); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	var p *phone.Phone
	select {
	case p = <-l.Calls():
	case <-time.After(patience):
		t.Fatal("nobody calls")
	}
	eventually(t, 20*time.Second, "everybody hears everybody", func() bool {
		return apart(p, a, 620, 880)() && apart(p, b, 880, 620)() && hears(a, 440)() && hears(b, 440)()
	})
	m.app.HangupAll()
	eventually(t, 20*time.Second, "the IVR is told that both are over", func() bool { return voice(p, a.SSRC()).Over && voice(p, b.SSRC()).Over })
}
