//go:build lab

package peers

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"

	"github.com/pion/rtp"
)

// onTrunk makes sipp at a port a PBX that the gateway knows by its address: no registration, no other trunk.
func onTrunk(port int) func(*config.Config) {
	return func(cfg *config.Config) {
		inBrewery(cfg)
		cfg.SIP.Trunks = nil
		cfg.SIP.Accounts = []config.SIPAccount{{
			ID: "pbx", URI: "gw@pbx.test", Password: "secret", Registrar: addr(port), Transport: "udp", KeepAlive: "none",
		}}
	}
}

func challenge(nonce string) string {
	return fmt.Sprintf(`WWW-Authenticate: Digest realm="pbx.test", nonce="%s", algorithm=MD5, qop="auth"`, nonce)
}

// challenges refuses the request that was kept, and takes it again with an answer that is right.
func (s *scene) challenges(method, nonce string) *scene {
	s.responds("401 Unauthorized", "", challenge(nonce))
	if method == "INVITE" {
		s.recv(`request="ACK"`)
	}
	s.kept(fmt.Sprintf(`request="%s" rrs="true" timeout="20000"`, method))
	return s.verified()
}

// verified has sipp fail where the last request does not answer the challenge.
func (s *scene) verified() *scene {
	text := strings.TrimSuffix(s.text.String(), "</action></recv>\n")
	s.vars++
	v := fmt.Sprint("good", s.vars)
	s.text.Reset()
	s.text.WriteString(text + fmt.Sprintf(`<verifyauth assign_to="%s" username="gw" password="secret"/></action></recv>`, v) + "\n")
	return s.raw(`<nop test="%s" next="%d"/>`, v, s.vars).raw(`<nop><action><error message="the digest is wrong"/></action></nop>`).
		raw(`<label id="%d"/>`, s.vars)
}

// TestT58_SippAsPBXOnATrunk: a PBX that is known by its address, without registration, calls and is called, and asks for a
// password at the INVITE and at requests inside the call.
func TestT58_SippAsPBXOnATrunk(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)
	g := start(t, onTrunk(port))
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	at := func(s *scene) *scene {
		s.port = port
		return s
	}
	sound := encoded(t, "PCMU", 440)
	t.Run("it calls, and is told no proof when we hang up", func(t *testing.T) { // whoever calls could ask for one (T19)
		run := at(newScene("alpha").up().says(sound, 0, "PCMU/8000").kept(`request="BYE" rrs="true" timeout="60000"`).as("").
			responds("401 Unauthorized", "", challenge("one"))).begin(t, g)
		eventually(t, 20*time.Second, "a person hears the PBX", hears(people[0], 440))
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
	t.Run("it is called, and asks each time", func(t *testing.T) {
		run := at(newCalled().as("pbx").challenges("INVITE", "two").responds("200 OK", description()).recv(`request="ACK"`).says(sound, 0, "PCMU/8000").
			kept(`request="BYE" rrs="true" timeout="60000"`).as("").challenges("BYE", "three").responds("200 OK", "")).begin(t, g)
		eventually(t, 20*time.Second, "sipp listens", func() bool { return !allFree(run.port, 1) })
		reads(t, people[0], g.dial(t, "1234"), "Connected")
		eventually(t, 20*time.Second, "a person hears the PBX", hears(people[0], 440))
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
}

// loudest is how loud a tone is that a person hears of anybody.
func loudest(p *bot.Bot, hz float64) float64 {
	most := -120.0
	for _, v := range p.Hears() {
		if v.Since < 300*time.Millisecond {
			most = max(most, v.Tone(hz))
		}
	}
	return most
}

// TestT58_SippHoldsWithMusic: a PBX puts the meeting on hold, plays music, tries to transfer it, and takes it back: the room
// reads of the hold, hears nothing of the music, and the speaker again.
func TestT58_SippHoldsWithMusic(t *testing.T) {
	t.Parallel()
	const voiceHz, musicHz = 440, 1240
	g := start(t, nil)
	p := g.Join("alpha", 620)
	g.Join("alpha", 880)
	voice, music := encoded(t, "PCMU", voiceHz), encoded(t, "PCMU", musicHz)
	refer := message{method: "REFER", headers: []string{"Refer-To: <sip:elsewhere@127.0.0.1>", "Referred-By: <sip:pbx@127.0.0.1>"}}
	run := newScene("alpha").up().says(voice, 0, "PCMU/8000").pause(4000).
		send(message{method: "INVITE", sdp: description("a=sendonly")}).rings().status(200, "a=recvonly").ack("").says(music, 0, "PCMU/8000").pause(2000).
		send(refer).status(603).pause(2000).
		says(voice, 0, "PCMU/8000").pause(300). // its sound is on a thread of its own, which may be late
		send(message{method: "INVITE", sdp: description()}).rings().status(200, "a=sendrecv").ack("").
		asked("BYE", "200 OK").begin(t, g)
	eventually(t, 20*time.Second, "the person hears the PBX", hears(p, voiceHz))
	nick := g.app.Calls()[0].Occupant.Resource
	reads(t, p, nick, "Remotely On Hold")
	p.Forget()
	leak := -120.0
	eventually(t, 20*time.Second, "the PBX takes the call back", func() bool {
		leak = max(leak, loudest(p, musicHz))
		return strings.Contains(lab.TextOf(p.Sees(nick), "status"), "Connected")
	})
	eventually(t, 20*time.Second, "the person hears the PBX again", func() bool {
		leak = max(leak, loudest(p, musicHz))
		return hears(p, voiceHz)()
	})
	if leak > toneLevel-35 {
		t.Errorf("music on hold is heard in the room at %.1f dBov", leak)
	}
	t.Logf("music on hold is in the room at %.1f dBov", leak)
	g.app.HangupAll()
	run.finish(t)
	ended(t, g)
}

// earpiece is an address for sound alone: it says a tone and hears in PCMU.
type earpiece struct {
	conn net.PacketConn
	to   atomic.Pointer[net.UDPAddr] // where it speaks to: who is heard
	mu   sync.Mutex
	pcm  []int16
}

func listenRTP(t *testing.T, ip string, hz float64) *earpiece {
	t.Helper()
	c, err := net.ListenPacket("udp4", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	e := &earpiece{conn: c}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(e.hear)
	sound := packets(t, hz)
	done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if to := e.to.Load(); to != nil {
				_, _ = c.WriteTo(sound(i), to)
			}
		}
	})
	t.Cleanup(func() { close(quit); c.Close(); done.Wait() })
	return e
}

// packets makes RTP of a tone, by number.
func packets(t *testing.T, hz float64) func(i int) []byte {
	t.Helper()
	raw := readFile(t, encoded(t, "PCMU", hz))
	return func(i int) []byte {
		at := 160 * (i % (len(raw) / 160))
		b, err := (&rtp.Packet{
			Header: rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(160 * i), SSRC: 77}, Payload: raw[at : at+160],
		}).Marshal()
		if err != nil {
			panic(err) // a header of ours
		}
		return b
	}
}

func (e *earpiece) hear() {
	dec, buf, pcm := codec.NewPCMU(), make([]byte, 2000), make([]int16, 2000)
	for {
		n, from, err := e.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		e.to.Store(from.(*net.UDPAddr))
		var p rtp.Packet
		if p.Unmarshal(buf[:n]) != nil || p.PayloadType != 0 {
			continue
		}
		if n, err = dec.Decode(pcm, p.Payload); err == nil {
			e.mu.Lock()
			e.pcm = append(e.pcm, pcm[:n]...)
			e.mu.Unlock()
		}
	}
}

// hears is how loud a tone is that came in the last second.
func (e *earpiece) hears(hz float64) float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return level(e.pcm, 8000, hz)
}

// TestSippMovesItsSound: a re-INVITE names another address, as after a transfer behind the PBX: sound goes there and comes
// from there, and the old address, which speaks on, is heard no more.
func TestSippMovesItsSound(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	p := g.Join("alpha", 620)
	g.Join("alpha", 880)
	e := listenRTP(t, "127.0.0.2", 1700)
	port := fmt.Sprint(e.conn.LocalAddr().(*net.UDPAddr).Port)
	moved := replace(replace(description(), "[media_ip]", "127.0.0.2"), "[media_port]", port)
	run := newScene("alpha").up().says(encoded(t, "PCMU", 440), 0, "PCMU/8000").pause(4000).
		send(message{method: "INVITE", sdp: moved}).rings().status(200).ack("").asked("BYE", "200 OK").begin(t, g)
	eventually(t, 20*time.Second, "the person hears the first address", hears(p, 440))
	eventually(t, 20*time.Second, "the new address hears the people", func() bool { return near(e.hears(620)) && near(e.hears(880)) })
	eventually(t, 20*time.Second, "the person hears the new address, and the old one no more", func() bool {
		return loudest(p, 1700) > -26 && loudest(p, 440) < -60
	})
	g.app.HangupAll()
	run.finish(t)
	ended(t, g)
}
