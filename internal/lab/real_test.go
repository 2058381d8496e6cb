package lab_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/lab"
	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shape is the elements of a stanza with the names of their attributes, without their contents, once each.
func shape(e *stanza.Elem) []string {
	var all []string
	var walk func(e *stanza.Elem, path string)
	walk = func(e *stanza.Elem, path string) {
		path += "/" + e.Name.Local
		all = append(all, path+" xmlns="+e.Name.Space)
		for _, a := range e.Attr {
			all = append(all, path+"@"+a.Name.Local)
		}
		for _, k := range e.Kids {
			walk(k, path)
		}
	}
	walk(e, "")
	slices.Sort(all)
	return slices.Compact(all)
}

var note = regexp.MustCompile(`(?s)<!--.*?-->`)

// real gives the first stanza that a real Jitsi sent and that holds all of these texts.
func real(t *testing.T, file string, holds ...string) *stanza.Elem {
	t.Helper()
	raw, err := os.ReadFile("../jingle/testdata/" + file + ".xml")
	if err != nil {
		t.Fatal(err)
	}
next:
	for _, s := range strings.Split(note.ReplaceAllString(string(raw), "\x00"), "\x00") {
		for _, h := range holds {
			if !strings.Contains(s, h) {
				continue next
			}
		}
		r := stanza.NewReader(strings.NewReader("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"+strings.TrimSpace(s)), stanza.Limits{})
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	t.Fatalf("%s holds no %v", file, holds)
	return nil
}

// A guest is somebody in a meeting of the lab who writes stanzas by hand.
type guest struct {
	t    *testing.T
	m    *lab.Meeting
	json bool
	in   chan *stanza.Elem
}

const (
	guestJID = "guest@" + lab.Domain + "/x"
	nick     = "0cb96be6"
)

func (g *guest) say(xml string) {
	e, err := stanza.Parse([]byte(strings.Replace(xml, " ", " xmlns='jabber:client' ", 1)), stanza.Limits{})
	if err != nil {
		g.t.Fatal(err)
	}
	g.m.XMPP.Send(guestJID, e)
}

// hears gives the next stanza that holds all of these texts, and answers what needs an answer.
func (g *guest) hears(holds ...string) *stanza.Elem {
	g.t.Helper()
	limit := time.After(20 * time.Second)
next:
	for {
		select {
		case e := <-g.in:
			if e.Kid("http://jabber.org/protocol/disco#info", "query") != nil && e.Get("type") == "get" {
				features := []string{"urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:apps:dtls:0"}
				if g.json {
					features = append(features, "http://jitsi.org/json-encoded-sources")
				}
				g.say("<iq type='result' id='" + e.Get("id") + "' to='" + e.Get("from") + "'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='" + strings.Join(features, "'/><feature var='") + "'/></query></iq>")
			} else if e.Get("type") == "set" {
				g.say("<iq type='result' id='" + e.Get("id") + "' to='" + e.Get("from") + "'/>")
			}
			s := e.String()
			e, err := stanza.Parse([]byte(s), stanza.Limits{}) // as from a wire, with all namespaces
			if err != nil {
				g.t.Fatal(err)
			}
			for _, h := range holds {
				if !strings.Contains(s, h) {
					continue next
				}
			}
			return e
		case <-limit:
			g.t.Fatalf("hears nothing with %v", holds)
		}
	}
}

// TestTheLabSpeaksAsJitsi: what the lab's server and focus send has the form of what a real Prosody and
// Jicofo sent in the same place. What they left out does not matter to a phone; they add nothing.
func TestTheLabSpeaksAsJitsi(t *testing.T) {
	for _, json := range []bool{true, false} {
		m, err := lab.Start(lab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		g := &guest{t: t, m: m, json: json, in: make(chan *stanza.Elem, 1000)}
		m.XMPP.Attach(guestJID, func(e *stanza.Elem) { g.in <- e })
		room := "alpha@" + m.XMPP.MUC()
		script := "d-bridge-graceful"
		if !json {
			script = "a-join-audio-only"
		}
		g.say("<iq type='set' id='c1' to='focus@auth." + lab.Domain + "/focus'><conference xmlns='http://jitsi.org/protocol/focus' room='" + room + "'/></iq>")
		compare(t, "conference", real(t, script, "ready='true'"), g.hears("ready='true'"))
		g.say("<presence to='" + room + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc'/><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:test' ver='x'/><nick xmlns='http://jabber.org/protocol/nick'>G</nick><stats-id>G</stats-id></presence>")
		compare(t, "presence of the focus", real(t, script, "<presence", "/focus'", "versions"), g.hears("<presence", "/focus'"))
		compare(t, "our presence", real(t, script, "<presence", "code='110'", "participant"), g.hears("<presence", "code='110'"))
		m.Join("alpha", 620)
		compare(t, "session-initiate", real(t, script, "session-initiate"), g.hears("session-initiate"))
		m.Focus.Move("alpha", m.Bridge)
		compare(t, "session-terminate", real(t, "d-bridge-graceful", "session-terminate", "moving"), g.hears("session-terminate"))
		again := g.hears("session-initiate")
		sid := again.Kid("", "jingle").Get("sid")
		g.say("<iq type='set' id='a1' to='" + room + "/focus'><jingle xmlns='urn:xmpp:jingle:1' action='session-accept' sid='" + sid + "'><content name='audio' creator='responder'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u' pwd='pppppppppppppppppppppppp'><fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>AB:CD</fingerprint></transport></content></jingle></iq>")
		m.Join("alpha", 880)
		compare(t, "source-add", real(t, script, "source-add"), g.hears("source-add"))
		m.Focus.UseBridge(nil)
		compare(t, "no bridge", real(t, "d-bridge-graceful", "bridgeNotAvailable"), g.hears("bridgeNotAvailable"))
		m.XMPP.Room("alpha").Kick(nick, "enough", false)
		compare(t, "kick", real(t, "d-moderation-and-ice-failed", "code='307'"), g.hears("code='307'"))
	}
}

func compare(t *testing.T, what string, theirs, ours *stanza.Elem) {
	t.Helper()
	want, got := shape(theirs), shape(ours)
	for _, s := range got {
		if !slices.Contains(want, s) {
			t.Errorf("%s: the lab says %s, and Jitsi does not", what, s)
		}
	}
	var missing []string
	for _, s := range want {
		if !slices.Contains(got, s) && !unimportant.MatchString(s) {
			missing = append(missing, s)
		}
	}
	if d := cmp.Diff([]string(nil), missing); d != "" {
		t.Errorf("%s: Jitsi says what the lab does not:\n%s", what, strings.Join(missing, "\n"))
	}
}

// unimportant is what a phone makes no use of.
var unimportant = regexp.MustCompile(`xml:lang|@lang$|/priority|/etherpad|/versions|/occupant-id|/traceparent|/web-socket|/extmap-allow-mixed|/presence@id|@maxptime|@cryptex|@required|/conference-properties|/stats-id|/presence/c[ @]|/presence/nick`)
