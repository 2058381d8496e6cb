//go:build lab

package peers

import (
	"strings"
	"testing"
	"time"
)

// TestSippScenarios: flows that peers have, each as the RFCs want it; nothing is left after any.
func TestSippScenarios(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	a := g.Join("alpha", 620)
	g.Join("alpha", 880)
	for name, s := range map[string]*scene{
		"S3 hold and resume": newScene("alpha").up().pause(200).
			send(message{method: "INVITE", sdp: description("a=sendonly")}).rings().status(200, "a=recvonly").ack("").pause(200).
			send(message{method: "INVITE", sdp: description("a=inactive")}).rings().status(200, "a=inactive").ack("").pause(200).
			send(message{method: "INVITE", sdp: description()}).rings().status(200, "a=sendrecv").ack("").pause(200).bye(),
		"S4 CANCEL at once":        newScene("nobody").invited().status(100).cancel().recv(`response="180" optional="true"`).status(200).status(487).acknowledge(true),
		"S4 CANCEL after the 200":  newScene("alpha").invited().rings().status(200).cancel().status(200).ack("").pause(200).bye(),
		"S5 BYE before the ACK":    newScene("alpha").invited().rings().status(200).bye(),
		"S7 re-INVITE without SDP": newScene("alpha").up().pause(100).send(message{method: "INVITE"}).rings().status(200, "m=audio [0-9]+ RTP/AVP").ack(description()).pause(200).bye(),
		"S8 UPDATE": newScene("alpha").up().pause(100).send(message{method: "UPDATE"}).status(200).
			send(message{method: "UPDATE", sdp: description("a=sendonly")}).status(200, "a=recvonly").bye(),
		"S8 PRACK": newScene("alpha").invited("Require: 100rel").recv(`response="100" optional="true"`).
			raw(`<recv response="180" rrs="true"><action><ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="rseq"/></action></recv>`).
			send(message{method: "PRACK", headers: []string{"RAck: [$rseq] 1 INVITE"}}).status(200).status(200).ack("").pause(100).bye(),
		"S15 INFO": newScene("alpha").up().pause(100).
			send(message{method: "INFO", headers: []string{"Content-Type: application/dtmf-relay"}, body: "Signal=5\nDuration=160\n"}).status(200).
			send(message{method: "INFO", headers: []string{"Content-Type: application/dtmf-relay"}, body: "Signal=xyz\n"}).status(400).
			send(message{method: "INFO", headers: []string{"Content-Type: text/x-unknown"}, body: "?\n"}).status(415).bye(),
		"an unknown method":    newScene("alpha").up().pause(100).send(message{method: "FROBNICATE"}).status(501).bye(),
		"an unknown extension": newScene("alpha").invited("Require: teleport").status(420, "Unsupported: teleport").acknowledge(true),
		"no codec in common": newScene("alpha").send(message{method: "INVITE", outside: true, sdp: strings.Replace(description(), "RTP/AVP 0 101", "RTP/AVP 18 101", 1)}).
			recv(`response="100" optional="true"`).status(488).acknowledge(true),
		"BYE of no call": newScene("alpha").send(message{method: "BYE", outside: true, to: ";tag=nobody"}).status(481),
		"S10 the same INVITE again": newScene("alpha").invited().status(100).send(message{method: "INVITE", outside: true, sdp: description(), branch: "[branch-2]", again: true}).
			rings().status(200).ack("").pause(200).bye(),
		"S10 merged INVITE": newScene("alpha").invited().rings().tagged().ack("").
			send(message{method: "INVITE", outside: true, sdp: description(), again: true}).recv(`response="100" optional="true"`).status(482).acknowledge(true).
			send(message{method: "BYE", to: "[$tag]"}).status(200),
		"S14 REFER and others": newScene("alpha").up().pause(100).send(message{method: "REFER", headers: []string{"Refer-To: <sip:elsewhere@127.0.0.1>"}}).status(603).
			send(message{method: "NOTIFY", headers: []string{"Event: refer", "Subscription-State: active"}}).status(489).
			send(message{method: "MESSAGE"}).status(405).send(message{method: "OPTIONS"}).status(200, "Allow: .*UPDATE").bye(),
	} {
		t.Run(name, func(t *testing.T) {
			s.play(t, g)
			ended(t, g)
			eventually(t, 10*time.Second, "the phone has left the room", func() bool { return len(a.Others()) == 1 })
		})
	}
}
