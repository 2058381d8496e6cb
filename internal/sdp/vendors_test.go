package sdp_test

import (
	"fmt"
	"strings"
	"testing"

	"jigasi/internal/cause"
	"jigasi/internal/sdp"
)

// TestT18_OffersOfTelephones: offers in the manner of telephones, trunks, gateways and browsers, and more of
// what is odd. want is codec and payload type, or a cause. Where no address can be sent to, the phone's packets
// tell it (T09).
func TestT18_OffersOfTelephones(t *testing.T) {
	const events = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16"
	for _, tt := range []struct{ name, sdp, want string }{
		{"desk phone with many codecs", session("m=audio 16384 RTP/AVP 0 8 18 102 9 116 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:18 G729/8000", "a=fmtp:18 annexb=no",
			"a=rtpmap:102 L16/16000", "a=rtpmap:9 G722/8000", "a=rtpmap:116 iLBC/8000", "a=fmtp:116 mode=20", events, "a=sendrecv"), "PCMU 0 dtmf 101"},
		{"phone with HD first", session("m=audio 11780 RTP/AVP 9 0 8 18 101", "a=rtpmap:9 G722/8000", events, "a=ptime:20", "a=sendrecv"), "G722 9 dtmf 101"},
		{"softphone with Opus", session("m=audio 7078 RTP/AVP 96 97 98 0 8 101 99", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", "a=rtpmap:97 speex/16000", "a=rtpmap:98 speex/8000",
			"a=rtpmap:101 telephone-event/48000", "a=rtpmap:99 telephone-event/8000", "a=rtcp-fb:* trr-int 5000"), "opus 96 dtmf 101"},
		{"softphone with ICE", session("m=audio 4000 RTP/AVP 0 101", events, "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuv", "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host", "a=rtcp-mux"), "PCMU 0 dtmf 101"},
		{"AVPF phone", session("m=audio 4000 RTP/AVPF 8 101", events, "a=rtcp-fb:* ccm tmmbr"), "PCMA 8 dtmf 101"},
		{"fax machine's second offer", session("m=image 4002 udptl t38", "a=T38FaxVersion:0", "a=T38MaxBitRate:14400"), "no_codec"},
		{"fax and voice", session("m=audio 4000 RTP/AVP 8", "m=image 4002 udptl t38"), "PCMA 8 dtmf -1"},
		{"trunk with silence suppression", session("m=audio 10000 RTP/AVP 8 0 13 101", events, "a=silenceSupp:on - - - -", "a=maxptime:60"), "PCMA 8 dtmf 101"},
		{"trunk with bandwidth before the connection", "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nb=AS:64\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + pcmu + "\r\n", "PCMU 0 dtmf 101"},
		{"attributes before the time", "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\na=sendrecv\r\nt=0 0\r\n" + pcmu + "\r\n", "PCMU 0 dtmf 101"},
		{"connection of the medium alone", "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.7\r\n", "PCMU 0 dtmf -1"},
		{"no connection at all", "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n", "PCMU 0 dtmf -1"},
		{"connection by name", strings.Replace(session(pcmu), "c=IN IP4 192.0.2.1", "c=IN IP4 phone.example.com", 1), "PCMU 0 dtmf 101"},
		{"IPv6", strings.ReplaceAll(session(pcmu), "IN IP4 192.0.2.1", "IN IP6 2001:db8::7"), "PCMU 0 dtmf 101"},
		{"multicast with TTL", strings.Replace(session(pcmu), "c=IN IP4 192.0.2.1", "c=IN IP4 224.2.1.1/127", 1), "PCMU 0 dtmf 101"},
		{"video conference room", session("m=audio 4000 RTP/AVP 115 9 8 101", "a=rtpmap:115 G7221/32000", "a=fmtp:115 bitrate=48000", events, "m=video 4002 RTP/AVP 97", "a=rtpmap:97 H264/90000",
			"m=application 5070 TCP/BFCP *", "a=floorctrl:c-s", "m=application 4004 RTP/AVP 100", "a=rtpmap:100 H224/4800"), "G722 9 dtmf 101"},
		{"text beside", session(pcmu, "m=text 4010 RTP/AVP 98", "a=rtpmap:98 t140/1000"), "PCMU 0 dtmf 101"},
		{"messages beside", session("m=message 7394 TCP/MSRP *", "a=path:msrp://192.0.2.1:7394/x;tcp", pcmu), "PCMU 0 dtmf 101"},
		{"two voices", session(pcmu, "m=audio 4100 RTP/AVP 8"), "PCMU 0 dtmf 101"},
		{"secure beside plain of an optional phone", session(pcmu, "m=audio 4100 RTP/SAVP 0", key), "PCMU 0 dtmf 101"},
		{"port with a count", session("m=audio 4000/2 RTP/AVP 0"), "PCMU 0 dtmf -1"},
		{"spaces at the ends", session("m=audio 4000 RTP/AVP 0 8  ", "a=rtpmap:0 PCMU/8000 "), "PCMU 0 dtmf -1"},
		{"an unknown line before the version", "x=1\r\n" + session(pcmu), "PCMU 0 dtmf 101"},
		{"rtpmap of another payload type", session("m=audio 4000 RTP/AVP 0", "a=rtpmap:300 opus/48000/2"), "PCMU 0 dtmf -1"},
		{"rtpmap without a rate", session("m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 opus"), "PCMU 0 dtmf -1"},
		{"stereo G.711", session("m=audio 4000 RTP/AVP 96 8", "a=rtpmap:96 PCMU/8000/2"), "PCMA 8 dtmf -1"},
		{"G.711 at 16 kHz", session("m=audio 4000 RTP/AVP 96 8", "a=rtpmap:96 PCMU/16000"), "PCMA 8 dtmf -1"},
		{"ptime 1000", session("m=audio 4000 RTP/AVP 0", "a=ptime:1000"), "PCMU 0 dtmf -1"},
		{"ptime of a fraction", session("m=audio 4000 RTP/AVP 0", "a=ptime:22.5"), "PCMU 0 dtmf -1"},
		{"ptime of nothing", session("m=audio 4000 RTP/AVP 0", "a=ptime:"), "PCMU 0 dtmf -1"},
		{"negative port", session("m=audio -5 RTP/AVP 0"), "bad_request"},
		{"no format", session("m=audio 4000 RTP/AVP"), "no_codec"},
		{"a NUL", strings.Replace(session(pcmu), "s=-", "s=\x00", 1), "PCMU 0 dtmf 101"},
		{"12000 attributes", session(pcmu, strings.Repeat("a=x\r\n", 12000)), "bad_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			offer, err := sdp.Parse([]byte(tt.sdp))
			if err == nil {
				var r sdp.Result
				var answer []byte
				if answer, r, err = sdp.Answer(offer, sdp.Local{Addr: here}); err == nil {
					got = fmt.Sprintf("%s %d dtmf %d", r.Codec.Name, r.RecvPT, r.DTMF)
					checkAnswer(t, offer, answer)
					if r.Ptime < 10 || r.Ptime > 60 || r.Codec.Clock <= 0 {
						t.Errorf("ptime %d, clock %d", r.Ptime, r.Codec.Clock)
					}
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
