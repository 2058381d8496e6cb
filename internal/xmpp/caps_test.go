package xmpp

import (
	"testing"
	"time"
)

func TestCapsVer(t *testing.T) {
	seen := Caps{Identities: []Identity{{"client", "pc", "", "Jitsi SVN"}}, Features: []string{ // as Jicofo has accepted it
		"http://jabber.org/protocol/muc#traffic", "urn:xmpp:jingle:dtmf:0", "http://jabber.org/protocol/disco#items",
		"urn:xmpp:jingle:apps:rtp:rtp-hdrext:0", "http://jabber.org/protocol/caps", "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:apps:dtls:0",
		"http://jabber.org/protocol/muc#rooms", "urn:xmpp:jingle:transports:ice-udp:1", "http://jitsi.org/protocol/jigasi", "jabber:x:data",
		"jabber:iq:version", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:ping", "urn:xmpp:jingle:transfer:0", "http://jabber.org/protocol/muc",
		"http://jabber.org/protocol/xdata-validate", "urn:xmpp:jingle:apps:rtp:zrtp:1", "http://jabber.org/protocol/xdata-layout",
		"urn:xmpp:jingle:transports:raw-udp:1", "http://jabber.org/protocol/disco#info", "urn:xmpp:jingle:1",
	}}
	exodus := Caps{Identities: []Identity{{"client", "pc", "", "Exodus 0.9.1"}}, Features: []string{ // XEP-0115, 5.2
		"http://jabber.org/protocol/muc", "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/caps",
	}}
	if v := seen.Ver(); v != "p6/noZ2b46LPP3Afxjoy3M+Lb8M=" {
		t.Error(v)
	}
	if v := exodus.Ver(); v != "QgayPKawpkPSDYmwT/WM94uAlu0=" {
		t.Error(v)
	}
}

func TestBackoff(t *testing.T) {
	var b Backoff
	for i, mid := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000} {
		mid *= time.Millisecond
		if d := b.Next(); d < mid/2 || d >= mid/2+mid {
			t.Errorf("wait %d is %v", i, d)
		}
	}
	b.Reset()
	if d := b.Next(); d > 750*time.Millisecond {
		t.Error(d)
	}
	b = Backoff{Min: time.Hour, Max: time.Minute}
	for range 100 {
		if d := b.Next(); d > 90*time.Second {
			t.Error(d)
		}
	}
}
