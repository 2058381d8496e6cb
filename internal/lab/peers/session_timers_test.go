//go:build lab

package peers

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// timerCase is a scenario, and how long it lasts at least: what has to happen by a timer takes its time.
type timerCase struct {
	s     *scene
	least time.Duration
}

// fromCalled sends a request of a sipp that was called.
func (s *scene) fromCalled(method string, seq int, sdp string, headers ...string) *scene {
	head := append([]string{
		method + " [next_url] SIP/2.0", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]", "From: [$To];tag=" + s.tag, "To: [$From]",
		"Call-ID: [call_id]", fmt.Sprintf("CSeq: %d %s", seq, method), "Max-Forwards: 70", "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>",
	}, headers...)
	if sdp != "" {
		head = append(head, "Content-Type: application/sdp")
	}
	return s.raw("<send><![CDATA[\n%s\nContent-Length: [len]\n\n%s]]></send>", strings.Join(head, "\n"), sdp)
}

const (
	byUAC = "Session-Expires: 90;refresher=uac"
	byUAS = "Session-Expires: 90;refresher=uas"
	timer = "Supported: timer"
)

// TestT44_SippSessionTimers: who agreed to refresh does, and whoever does not is hung up, be the call theirs or ours.
func TestT44_SippSessionTimers(t *testing.T) {
	t.Parallel()
	g := start(t, inBrewery)
	p := g.Join("alpha", 620)
	g.Join("alpha", 880)
	sound := encoded(t, "PCMU", 440) // a phone that says nothing for 30 s is hung up
	var done sync.WaitGroup
	wait := func(name string, run *sippRun, least time.Duration, began time.Time) {
		done.Go(func() {
			err := run.Wait()
			if d := time.Since(began); err != nil || d < least {
				t.Errorf("%s: %v after %v\n%s", name, err, d, run.said())
			}
		})
	}
	for name, c := range timersIn(sound) {
		wait(name, c.s.begin(t, g), c.least, time.Now())
	}
	for name, c := range timersOut(sound) {
		run, nick := dialled(t, g, c.s)
		wait(name, run, c.least, time.Now())
		if name != "sipp wants longer" {
			reads(t, p, nick, "Connected")
		}
	}
	done.Wait()
	ended(t, g)
	eventually(t, 10*time.Second, "the phones have left the room", func() bool { return len(p.Others()) == 1 })
}

// timersIn are calls of sipp.
func timersIn(sound string) map[string]timerCase {
	plain, update := "Allow: INVITE, ACK, BYE, CANCEL", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"
	up := func(who, allow, agreed string) *scene {
		return newScene("alpha").invited(timer, who, allow).rings().status(200, agreed).ack("").says(sound, 0, "PCMU/8000")
	}
	return map[string]timerCase{
		"sipp says that it refreshes, and does not": {up(byUAC, plain, byUAC).asked("BYE", "200 OK"), 55 * time.Second},
		"sipp refreshes by UPDATE, then by re-INVITE": {up(byUAC, update, byUAC).pause(25000).
			send(message{method: "UPDATE", headers: []string{timer, byUAC}}).status(200, byUAC, "Require: timer").pause(25000).
			send(message{method: "INVITE", sdp: description(), headers: []string{timer, byUAC}}).rings().status(200, byUAC).ack("").pause(20000).bye(), 65 * time.Second},
		// The gateway refreshes by re-INVITE, and refuses one of sipp's that crosses it.
		"glare at our refresh": {up(byUAS, plain, byUAS).
			recv(`request="INVITE" rrs="true" timeout="60000"`).send(message{method: "INVITE", sdp: description(), quiet: true}).status(491).acknowledge(false).
			pause(100).bye(), 40 * time.Second},
		// sipp refuses the gateway's re-INVITE as if one of its own crossed it: it comes again.
		"our refresh meets 491": {up(byUAS, plain, byUAS).
			asked("INVITE", "491 Request Pending").recv(`request="ACK"`).recv(`request="INVITE" rrs="true" timeout="10000"`).reply("200 OK", description()).
			recv(`request="ACK"`).pause(100).bye(), 40 * time.Second},
		"our refresh by UPDATE": {up(byUAS, update, byUAS).asked("UPDATE", "200 OK", byUAC, "Require: timer").pause(200).bye(), 40 * time.Second},
		"too short":             {newScene("alpha").invited(timer, "Session-Expires: 60").status(422, "Min-SE: 90").acknowledge(true), 0},
	}
}

// timersOut are calls of the gateway.
func timersOut(sound string) map[string]timerCase {
	up := func(who string, allow ...string) *scene {
		return newCalled().as("pbx").responds("200 OK", description(), append(allow, "Require: timer", who)...).recv(`request="ACK"`).says(sound, 0, "PCMU/8000")
	}
	return map[string]timerCase{
		"called sipp says that it refreshes, and does not": {up(byUAS).asked("BYE", "200 OK"), 55 * time.Second},
		"called sipp refreshes": {up(byUAS).pause(40000).fromCalled("INVITE", 7, description(), timer, byUAC).rings().status(200, byUAC).
			fromCalled("ACK", 7, "").pause(28000).fromCalled("BYE", 8, "").status(200), 65 * time.Second},
		"we refresh by re-INVITE": {up(byUAC, "Allow: INVITE, ACK, BYE, CANCEL").recv(`request="INVITE" rrs="true" timeout="60000"`, "refresher=uac").
			reply("200 OK", description(), "Require: timer", byUAC).recv(`request="ACK"`).pause(200).fromCalled("BYE", 7, "").status(200), 40 * time.Second},
		"we refresh by UPDATE": {up(byUAC, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE").asked("UPDATE", "200 OK", "Require: timer", byUAC).
			pause(200).fromCalled("BYE", 7, "").status(200), 40 * time.Second},
		"sipp wants longer": {newCalled().responds("422 Session Interval Too Small", "", "Min-SE: 4000").recv(`request="ACK"`).
			kept(`request="INVITE" rrs="true"`).responds("486 Busy Here", "").recv(`request="ACK"`), 0},
	}
}
