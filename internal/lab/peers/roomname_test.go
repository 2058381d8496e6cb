//go:build lab

package peers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"jigasi/internal/exchange"
	"jigasi/internal/lab/client"
	"jigasi/internal/stanza"
)

// roomer enters rooms as somebody who may create any, and tells what they are called.
type roomer struct {
	*client.Client
	at chan *stanza.Elem
}

func (m *meeting) roomer(t *testing.T) *roomer {
	t.Helper()
	r := &roomer{at: make(chan *stanza.Elem, 100)}
	c, err := client.Dial(client.Options{
		Addr: m.c2s(), Domain: "auth.meet.test", User: "focus", Password: "focuspw", Resource: "rooms", CAs: m.cas,
		Handler: func(e *stanza.Elem) {
			if e.Name.Local == "presence" {
				r.at <- e
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r.Client = c
	return r
}

// named is the address that Prosody gives the room that is asked for; "" if it makes none.
func (r *roomer) named(t *testing.T, room string) string {
	t.Helper()
	for _, typ := range []string{"", "unavailable"} {
		p := stanza.New("jabber:client", "presence", "to", room+"/r").Add(stanza.New("http://jabber.org/protocol/muc", "x"))
		if typ != "" {
			p.Set("type", typ)
		}
		if err := r.Send(p); err != nil {
			t.Fatalf("%q: %v", room, err)
		}
		select {
		case e := <-r.at:
			if e.Get("type") == "error" {
				return ""
			}
			if typ != "" {
				return strings.TrimSuffix(e.Get("from"), "/r")
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no answer about %q", room)
		}
	}
	return ""
}

// TestT22_RoomNamesOfProsody: the room that the gateway asks for is, byte for byte, the room that a real Prosody has.
func TestT22_RoomNamesOfProsody(t *testing.T) {
	m := meet(t, "")
	r := m.roomer(t)
	rules := exchange.Rules{Headers: exchange.DefaultHeaders(), DomainBase: "meet.test"}
	taken, refused := 0, 0
	check := func(name string) {
		t.Helper()
		target, err := rules.Route(func(header string) string {
			if header == "X-Room-Name" {
				return name
			}
			return ""
		})
		if err != nil {
			refused++
			return
		}
		taken++
		if got := r.named(t, target.Room.String()); got != target.Room.String() {
			t.Errorf("%+q: the gateway asks for %q, Prosody calls it %q", name, target.Room, got)
		}
	}
	for _, name := range oddRooms {
		check(name)
	}
	count := 500
	if os.Getenv("JIGASI_SOAK") != "" {
		count = 100_000
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range count {
		check(randomName(rnd))
	}
	t.Logf("seed %d: %d names lead to a room, %d to none", seed, taken, refused)
	if taken < count/4 || refused == 0 {
		t.Errorf("%d names were taken and %d refused", taken, refused)
	}
}

// oddRooms are names that a caller may have typed, dictated or sent.
var oddRooms = []string{
	"alpha", "Alpha Beta", "Käse", "Ka\u0308se", "K%C3%A4se", "K%c3%a4se", "Ka%CC%88se", "100%", "100%25", "%zz", "a%2fb", "a%2Fb", "a/b", "a b", "a+b", "a%20b", "a%2520b",
	"ﬁne", "ＡＢＣ", "Straße", "STRASSE", "İstanbul", "ΣΑΣ", "Ⅷ", "①", "日本語", "한국어", "\u1112\u1161\u11ab", "العربية", "\u202eabc", "a\u200bb", "a\u00adb", "a\u0000b", "a\tb",
	"!$()*-._~", "a'b", `a"b`, "a&b", "a<b", "a:b", "@", "", " ", "a;b=c", "a,b", "[tenant]room", "{x}", "a|b", `a\b`, "a`b", "a^b", "#1", "a?b=c", "🙂", "%F0%9F%99%82", "%ff", "%00", "%0a",
	strings.Repeat("x", 255), strings.Repeat("ö", 42), strings.Repeat("日", 28), "a\u0300\u0301\u0302", "\u0301a", "ſ", "\u2126", "\u00b5", "ǆ", "ŉ", "\ufb03", "\u0345", "\u1e9e", "a.", ".", "..", "-",
}

func randomName(r *rand.Rand) string {
	ranges := [][2]rune{{' ', '~'}, {'0', 'z'}, {0xa1, 0x24f}, {0x300, 0x36f}, {0x370, 0x5ff}, {0x1e00, 0x1fff}, {0x2000, 0x206f}, {0x2100, 0x218f}, {0x3040, 0x30ff}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xff01, 0xffee}, {0x1d400, 0x1d7ff}, {0x1f300, 0x1faff}}
	var b strings.Builder
	for range 1 + r.IntN(12) {
		if r.IntN(8) == 0 {
			fmt.Fprintf(&b, "%%%02X", r.IntN(256))
			continue
		}
		x := ranges[r.IntN(len(ranges))]
		if r.IntN(2) == 0 {
			x = ranges[1]
		}
		b.WriteRune(x[0] + rune(r.IntN(int(x[1]-x[0]+1))))
	}
	return strings.ReplaceAll(b.String(), "@", "") // an address of another server says nothing here
}

// TestT22_PhonesFindTheRoomThatWasNamed: however a name is written, its callers meet the person who typed it into a browser.
func TestT22_PhonesFindTheRoomThatWasNamed(t *testing.T) {
	m := meet(t, "")
	g := gatewayAt(t, m, nil)
	a := m.join(t, "k%c3%a4se%20brot", 620)
	for i, name := range []string{"Käse Brot", "KA\u0308SE BROT", "k%C3%A4se%20brot", "käse%20Brot@conference.meet.test"} {
		hz := 440 + 20*float64(i)
		p := phoneIn(t, g, name, hz)
		eventually(t, 20*time.Second, fmt.Sprintf("the caller of %+q is in the room", name), func() bool { return hears(a.Bot, hz)() && p.Tone(620) > -26 })
		hangup(t, p)
	}
	eventually(t, 20*time.Second, "the callers are gone", func() bool { return len(a.Others()) == 0 && len(g.Calls()) == 0 })
}
