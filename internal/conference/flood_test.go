package conference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"

	"github.com/google/go-cmp/cmp"
)

// TestT11_MembersAndSourcesAreBounded: a hostile room costs little, and can be left.
func TestT11_MembersAndSourcesAreBounded(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range maxMembers + 1000 {
			s.here(fmt.Sprint("m", i))
		}
		for i := range 100 {
			var list []string
			for k := range 100 {
				list = append(list, fmt.Sprintf(`{"s":%d,"n":"m-a0","m":"x y"}`, 1000+100*i+k))
			}
			s.say(ask("source-add", "1", jsonSources(`"m1":[[],[],[`+strings.Join(list, ",")+`]]`)))
			s.hears("result")
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := s.s.Members(); n != maxMembers {
			t.Errorf("%d members", n)
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
			t.Errorf("%d MiB more", grown>>20)
		}
		told := 0
		for synctest.Wait(); len(s.s.Events()) > 0; {
			told += len(s.event(SourcesChanged).Added)
		}
		if told != maxSources-1 {
			t.Errorf("%d sources told", told)
		}
		s.gone("m1")
		if n := len(s.event(SourcesChanged).Removed); n != told {
			t.Errorf("%d sources go with their owner", n)
		}
	})
}

// TestFloodDoesNotHideTheEnd: an owner who looks away for long misses streams, and nothing else.
func TestFloodDoesNotHideTheEnd(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		for i := range 1000 {
			s.say(ask("source-add", "1", jsonSources(fmt.Sprintf(`"x":[[],[],[{"s":%d}]]`, i+1000))))
		}
		s.say(ask("session-terminate", "1", "<reason><success/></reason>"))
		s.say(ask("session-initiate", "2", offer(annas)))
		synctest.Wait()
		var kinds []Kind
		for len(s.s.Events()) > 0 {
			if e := <-s.s.Events(); e.Kind != SourcesChanged {
				kinds = append(kinds, e.Kind)
			}
		}
		if d := cmp.Diff([]Kind{Suspended, Offered}, kinds); d != "" {
			t.Error(d)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the same for what the owner wants
		link := make(chan *fakeLink, 1)
		s := Join(Options{Room: stanza.ParseJID(room), Nick: "a", Dial: func(_ context.Context, x xmpp.Options) (Link, error) {
			l := &fakeLink{opt: x, sent: make(chan *stanza.Elem, 100), done: make(chan struct{}), answer: silent}
			link <- l
			return l, nil
		}})
		l := <-link
		p := stanza.New("jabber:client", "presence", "from", room+"/x")
		for range 5000 {
			l.opt.Handler(p)
		}
		s.Leave(cause.Cause{Code: cause.Normal})
		for e := range s.Events() {
			if e.Kind == Over && e.Cause.Code != cause.Normal {
				t.Errorf("%+v", e)
			}
		}
	})
}

// TestT02_NothingInTheRoomEndsASeat: presence, messages and requests of all shapes.
func TestT02_NothingInTheRoomEndsASeat(t *testing.T) {
	names := strings.Fields("presence message iq x item status actor reason destroy error jingle content description transport candidate source json-message " +
		"bridge-session features feature nick SourceInfo conference-properties bridgeNotAvailable subject delay body")
	spaces := strings.Fields("jabber:client http://jabber.org/protocol/muc#user urn:xmpp:jingle:1 urn:xmpp:jingle:apps:rtp:1 urn:xmpp:jingle:transports:ice-udp:1 http://jitsi.org/jitmeet http://jitsi.org/protocol/focus")
	values := strings.Fields("focus 0cb96be6 110 307 unavailable error set get result session-initiate session-terminate 1 -1 99999999999999999999 true {} [] a@b/c " +
		room + " " + me + " " + room + "/focus " + room + "/" + anna + " \u202e\u00e9\U0001f600 &#x9; '")
	attrs := strings.Fields("from to type id jid nick code action sid initiator role affiliation ssrc port priority name var media")
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	var tree func(depth int) *stanza.Elem
	tree = func(depth int) *stanza.Elem {
		e := stanza.New(pick(spaces), pick(names)).WithText(pick(values))
		for range r.IntN(4) {
			e.Set(pick(attrs), pick(values))
		}
		for range r.IntN(4) {
			if depth < 5 {
				e.Add(tree(depth + 1))
			}
		}
		return e
	}
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		tried := 0
		for range 6000 {
			e := tree(0)
			e.Name.Local = pick([]string{"presence", "message", "iq"})
			e.Name.Space = "jabber:client"
			from := stanza.ParseJID(e.Get("from"))
			if from.Resource == "focus" || from.Resource == "0cb96be6" { // who may end it
				continue
			}
			tried++
			s.opt.Handler(e)
			if tried%100 == 0 {
				for synctest.Wait(); len(s.sent) > 0 || len(s.s.Events()) > 0; {
					select {
					case <-s.sent:
					case e := <-s.s.Events():
						if e.Kind == Over || e.Kind == Suspended {
							s.t.Fatalf("after %d: %+v", tried, e)
						}
					}
				}
			}
		}
		s.quiet(time.Hour)
		s.say(ask("source-add", "1", jsonSources(bens)))
		s.hears("result")
		if e := s.event(SourcesChanged); len(e.Added) != 1 {
			t.Errorf("tells %+v", e)
		}
	})
}
