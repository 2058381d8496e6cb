package sdp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jigasi/internal/cause"
	"jigasi/internal/sdp"
)

var here = netip.MustParseAddrPort("192.0.2.10:20000")

func session(lines ...string) string {
	return "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + strings.Join(lines, "\r\n") + "\r\n"
}

const (
	pcmu = "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000"
	key  = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20"
)

// TestT18_OddDescriptions: what telephones send. want is codec and payload type, or a cause.
func TestT18_OddDescriptions(t *testing.T) {
	for _, tt := range []struct{ name, sdp, want string }{
		{"plain", session(pcmu), "PCMU 0 dtmf 101"},
		{"static types without rtpmap", session("m=audio 4000 RTP/AVP 8 0"), "PCMA 8 dtmf -1"},
		{"no t= and no s=", "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n" + pcmu, "PCMU 0 dtmf 101"},
		{"space in o=", strings.Replace(session(pcmu), "o=- ", "o=Cisco SIP UA ", 1), "PCMU 0 dtmf 101"},
		{"last line without end", strings.TrimSpace(session(pcmu)), "PCMU 0 dtmf 101"},
		{"line feeds only", strings.ReplaceAll(session(pcmu), "\r", ""), "PCMU 0 dtmf 101"},
		{"T.38 beside", session("m=image 4002 udptl t38", pcmu), "PCMU 0 dtmf 101"},
		{"video first", session("m=video 4002 RTP/AVP 96", "a=rtpmap:96 H264/90000", pcmu), "PCMU 0 dtmf 101"},
		{"BFCP", session(pcmu, "m=application 5070 UDP/BFCP *"), "PCMU 0 dtmf 101"},
		{"unknown line types", session("z=0 0", "r=7d 1h 0 25h", "x=odd", pcmu), "PCMU 0 dtmf 101"},
		{"G.722", session("m=audio 4000 RTP/AVP 9", "a=rtpmap:9 G722/8000"), "G722 9 dtmf -1"},
		{"G.722 with its true rate", session("m=audio 4000 RTP/AVP 99", "a=rtpmap:99 g722/16000"), "G722 99 dtmf -1"},
		{"Opus with two events", session("m=audio 4000 RTP/AVP 111 110 112", "a=rtpmap:111 opus/48000/2", "a=rtpmap:110 telephone-event/8000", "a=rtpmap:112 telephone-event/48000"), "opus 111 dtmf 112"},
		{"their order", session("m=audio 4000 RTP/AVP 8 9 0"), "PCMA 8 dtmf -1"},
		{"unknown codecs first", session("m=audio 4000 RTP/AVP 18 4 3 97 0", "a=rtpmap:97 iLBC/8000"), "PCMU 0 dtmf -1"},
		{"capital names", session("M=audio 4000 RTP/AVP 0", "m=audio 4000 rtp/avp 96", "a=RTPMAP:96 OPUS/48000/2"), "opus 96 dtmf -1"},
		{"ptime 0 and clock 0", session("m=audio 4000 RTP/AVP 0 101", "a=ptime:0", "a=rtpmap:101 telephone-event/0"), "PCMU 0 dtmf -1"},
		{"a dynamic type without rtpmap", session("m=audio 4000 RTP/AVP 96"), "no_codec"},
		{"only G.729", session("m=audio 4000 RTP/AVP 18"), "no_codec"},
		{"audio refused", session("m=audio 0 RTP/AVP 0"), "no_codec"},
		{"only video", session("m=video 4000 RTP/AVP 96"), "no_codec"},
		{"unknown profile", session("m=audio 4000 TCP/MRCPv2 1"), "no_codec"},
		{"DTLS-SRTP of a browser", session("m=audio 4000 UDP/TLS/RTP/SAVPF 111"), "no_codec"},
		{"port is no number", session("m=audio x RTP/AVP 0"), "bad_request"},
		{"port too large", session("m=audio 70000 RTP/AVP 0"), "bad_request"},
		{"empty", "", "bad_request"},
		{"not SDP", "hello world", "bad_request"},
		{"33 media lines", session(strings.Repeat("m=video 0 RTP/AVP 96\r\n", 33)), "bad_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			offer, err := sdp.Parse([]byte(tt.sdp))
			if err == nil {
				var r sdp.Result
				var answer []byte
				answer, r, err = sdp.Answer(offer, sdp.Local{Addr: here})
				if err == nil {
					got = fmt.Sprintf("%s %d dtmf %d", r.Codec.Name, r.RecvPT, r.DTMF)
					checkAnswer(t, offer, answer)
				}
			}
			if err != nil {
				got = cause.Of(err).Code.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q (%v)", got, tt.want, err)
			}
		})
	}
}

// checkAnswer is the oracle of every answer: it parses, has as many lines as the offer
// in the same order, takes one, and names no payload type that was not offered.
func checkAnswer(t *testing.T, offer *sdp.Session, answer []byte) {
	t.Helper()
	a, err := sdp.Parse(answer)
	if err != nil {
		t.Fatalf("the answer does not parse: %v\n%s", err, answer)
	}
	if len(a.Media) != len(offer.Media) {
		t.Fatalf("%d lines answer %d", len(a.Media), len(offer.Media))
	}
	taken := 0
	for i, m := range a.Media {
		o := offer.Media[i]
		if m.Kind != o.Kind || m.Proto != o.Proto {
			t.Errorf("line %d is %s %s, offered was %s %s", i, m.Kind, m.Proto, o.Kind, o.Proto)
		}
		if m.Port == 0 {
			continue
		}
		taken++
		for _, f := range m.Formats {
			if !slices.ContainsFunc(o.Formats, func(offered string) bool { return number(offered) == number(f) }) {
				t.Errorf("payload type %s was not offered", f)
			}
		}
	}
	if taken != 1 {
		t.Errorf("%d lines are taken", taken)
	}
}

func TestT24_SRTPPolicy(t *testing.T) {
	avp := "m=audio 4000 RTP/AVP 0"
	savp := "m=audio 4002 RTP/SAVP 0\r\n"
	offers := []struct{ name, sdp, off, optional, required string }{
		{"plain", avp, "plain", "plain", "no_codec"},
		{"plain AVPF", "m=audio 4000 RTP/AVPF 0", "plain", "plain", "no_codec"},
		{"plain with a key", avp + "\r\n" + key, "plain", "srtp", "srtp"},
		{"plain with a bad key", avp + "\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "plain", "plain", "no_codec"},
		{"plain with a key, and secure", avp + "\r\n" + key + savp + key, "plain", "srtp", "srtp"},
		{"secure", savp + key, "no_codec", "srtp", "srtp"},
		{"secure SAVPF", "m=audio 4000 RTP/SAVPF 0\r\n" + key, "no_codec", "srtp", "srtp"},
		{"both, plain first", avp + "\r\n" + savp + key, "plain", "srtp", "srtp"},
		{"both, secure first", savp + key + "\r\n" + avp, "plain", "srtp", "srtp"},
		{"secure without key", savp + "a=x", "no_codec", "no_codec", "no_codec"},
		{"unknown suite", savp + "a=crypto:1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", "no_codec", "no_codec", "no_codec"},
		{"short key", savp + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "no_codec", "no_codec", "no_codec"},
		{"with MKI", savp + key + "|1:4", "no_codec", "no_codec", "no_codec"},
		{"unencrypted", savp + key + " UNENCRYPTED_SRTP", "no_codec", "no_codec", "no_codec"},
		{"second suite good", savp + "a=crypto:7 F8 inline:AAAA\r\n" + strings.Replace(key, ":1 ", ":9 ", 1), "no_codec", "srtp", "srtp"},
	}
	for _, o := range offers {
		for policy, want := range map[sdp.Policy]string{sdp.Off: o.off, sdp.Optional: o.optional, sdp.Required: o.required} {
			offer, err := sdp.Parse([]byte(session(o.sdp)))
			if err != nil {
				t.Fatal(o.name, err)
			}
			got := "plain"
			answer, r, err := sdp.Answer(offer, sdp.Local{Addr: here, SRTP: policy})
			switch {
			case err != nil:
				got = cause.Of(err).Code.String()
			case r.SRTP != nil:
				got = "srtp"
				checkAnswer(t, offer, answer)
			}
			if got != want {
				t.Errorf("%s with policy %d: %s, want %s (%v)", o.name, policy, got, want, err)
			}
		}
	}
}

// TestSuites: only the suites of the configuration are offered and taken, in its order; where encryption is only
// wished for, a key of another suite on a plain line is no reason to refuse.
func TestSuites(t *testing.T) {
	one := sdp.Local{Addr: here, SRTP: sdp.Optional, Suites: []string{"AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"}}
	_, keys := one.Offer()
	if len(keys) != 2 || keys[0].Suite != "AES_CM_128_HMAC_SHA1_32" || keys[1].Suite != "AES_CM_128_HMAC_SHA1_80" {
		t.Errorf("%+v", keys)
	}
	one.Suites = one.Suites[:1]
	for line, want := range map[string]string{"m=audio 4000 RTP/AVP 0\r\n" + key: "plain", "m=audio 4000 RTP/SAVP 0\r\n" + key: "no_codec"} {
		offer, err := sdp.Parse([]byte(session(line)))
		if err != nil {
			t.Fatal(err)
		}
		got := "plain"
		_, r, err := sdp.Answer(offer, one)
		if err != nil {
			got = cause.Of(err).Code.String()
		} else if r.SRTP != nil {
			got = "srtp"
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", line, got, want, err)
		}
	}
}

func TestOfferIsAcceptedByItsAnswer(t *testing.T) {
	for _, policy := range []sdp.Policy{sdp.Off, sdp.Optional, sdp.Required} {
		us := sdp.Local{Addr: here, SRTP: policy, Ptime: 20}
		b, keys := us.Offer()
		us.Keys = keys
		offer, err := sdp.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		theirs := sdp.Local{Addr: netip.MustParseAddrPort("[2001:db8::1]:6000"), SRTP: policy, Codecs: sdp.Codecs("PCMA")}
		answer, r2, err := sdp.Answer(offer, theirs)
		if err != nil {
			t.Fatalf("policy %d: %v\n%s", policy, err, b)
		}
		a, err := sdp.Parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		r1, err := sdp.Accept(a, us)
		if err != nil {
			t.Fatalf("policy %d: %v\n%s", policy, err, answer)
		}
		if r1.Codec.Name != "PCMA" || r1.DTMF != 101 || r1.Remote != theirs.Addr || !r1.Send || !r1.Recv || r2.Remote != here {
			t.Errorf("policy %d: %+v", policy, r1)
		}
		if (r1.SRTP != nil) != (policy != sdp.Off) || r1.SRTP != nil && (string(r1.SRTP.Local) != string(r2.SRTP.Peer) || string(r1.SRTP.Peer) != string(r2.SRTP.Local)) {
			t.Errorf("policy %d: keys do not meet", policy)
		}
	}
}

func TestHold(t *testing.T) {
	for _, tt := range []struct {
		attr             string
		send, recv, held bool
		answer           string
	}{
		{"a=sendrecv", true, true, false, "a=sendrecv"},
		{"a=sendonly", false, true, true, "a=recvonly"},
		{"a=recvonly", true, false, false, "a=sendonly"},
		{"a=inactive", false, false, true, "a=inactive"},
		{"c=IN IP4 0.0.0.0", false, true, true, "a=recvonly"},
		{"c=IN IP4 phone.example.com", true, true, false, "a=sendrecv"}, // where it is is learnt from its packets
		{"c=IN IP4 phone.example.com\r\na=recvonly", true, false, false, "a=sendonly"},
	} {
		offer, err := sdp.Parse([]byte(session("m=audio 4000 RTP/AVP 0", tt.attr)))
		if err != nil {
			t.Fatal(err)
		}
		answer, r, err := sdp.Answer(offer, sdp.Local{Addr: here})
		if err != nil || r.Send != tt.send || r.Recv != tt.recv || r.Held != tt.held || !strings.Contains(string(answer), tt.answer+"\r\n") {
			t.Errorf("%s: send %v recv %v held %v, %v\n%s", tt.attr, r.Send, r.Recv, r.Held, err, answer)
		}
	}
}

// number is a payload type as a number: "00" is one way to write 0.
func number(format string) string {
	if n, err := strconv.Atoi(format); err == nil {
		return strconv.Itoa(n)
	}
	return format
}

func FuzzAnswer(f *testing.F) {
	f.Add(session(pcmu))
	f.Add("m=Audio 1 RTP/AVP 00")
	f.Add(session("m=image 1 udptl t38", "m=audio 4002 RTP/SAVP 0 96", key, "a=rtpmap:96 opus/48000/2"))
	f.Fuzz(func(t *testing.T, s string) {
		offer, err := sdp.Parse([]byte(s))
		if err != nil {
			return
		}
		answer, r, err := sdp.Answer(offer, sdp.Local{Addr: here, SRTP: sdp.Optional})
		if err != nil {
			return
		}
		checkAnswer(t, offer, answer)
		if r.Ptime < 10 || r.Ptime > 60 {
			t.Errorf("ptime %d", r.Ptime)
		}
	})
}
