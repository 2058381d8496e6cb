package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/rayo"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// TestReplay plays what a real focus has said to three gateways, and wants the
// answers that it understood (real.md 27-30).
func TestReplay(t *testing.T) {
	file, err := os.ReadFile("testdata/brewery.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"g1", "g2", "g3"} {
		var script []string
		for line := range strings.Lines(string(file)) {
			if gw, rest, _ := strings.Cut(strings.TrimSpace(line), " "); gw == who {
				script = append(script, rest)
			}
		}
		t.Run(who, func(t *testing.T) { replay(t, who, script) })
	}
}

func replay(t *testing.T, who string, script []string) {
	set := func(o *Options) {
		o.Nick = who
		o.Focus.Allowed = []stanza.JID{stanza.ParseJID("focus@auth.meet.localhost")}
		stats := o.Stats
		o.Stats = func() Stats { s := stats(); s.Transcription = who != "g1"; return s }
		dial := o.Dial
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			switch who {
			case "g2": // as it did then
				return exchange.Dialled{}, errors.New("defect")
			case "g3":
				<-ctx.Done()
				return exchange.Dialled{}, cause.Cause{Code: cause.Cancelled, Err: ctx.Err()}
			}
			return dial(ctx, r)
		}
	}
	play(t, set, func(s *stage) {
		answers := 0
	script:
		for _, line := range script {
			dir, xml, _ := strings.Cut(line, " ")
			want, err := stanza.Parse([]byte(xml), stanza.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case dir == "RECV":
				s.say(xml)
			case want.Get("type") == "unavailable": // it left
				break script
			case want.Is("", "presence") && want.Kid(nsMUC, "x") == nil:
				s.change(func(x *Stats) { x.Draining = true })
				if e := s.hear(); e.Kid(nsStats, "stats").Kids[2].Get("value") != "true" {
					t.Errorf("drains by %v", e)
				}
			default:
				answers++
				got := s.hear()
				if !stanza.ParseJID(got.Get("to")).Equal(stanza.ParseJID(want.Get("to"))) || got.Get("id") != want.Get("id") && want.Is("", "iq") ||
					condition(got) != condition(want) || ref(got) != ref(want) {
					t.Errorf("says %v,\n   not %v", got, want)
				}
			}
		}
		if who == "g3" { // which was silent then, and is not now
			if got := s.hear(); condition(got) != "remote-server-timeout" && condition(got) != "service-unavailable" {
				t.Errorf("says %v", got)
			}
		} else if st := s.b.Status(); st.State != Joined || answers < 3 || st.Room.Resource != who {
			t.Errorf("%+v, %d answers", st, answers)
		}
		for _, r := range s.dials {
			if r.To != "+15551234" || r.Room != "beta@conference.meet.localhost" || r.From != "fromnumber" || len(r.Headers) != 0 {
				t.Errorf("asked to dial %+v", r)
			}
		}
	})
}

func ref(e *stanza.Elem) string {
	r, err := rayo.ParseRef(e.Kid(rayo.NS, "ref"))
	if err != nil {
		return ""
	}
	return r.URI
}

func TestStatsAsJigasi(t *testing.T) {
	file, err := os.ReadFile("testdata/jigasi-presence.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(file)) {
		p, err := stanza.Parse([]byte(line), stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want := p.Kid(nsStats, "stats")
		if want == nil { // its first presence has none
			continue
		}
		n++
		s := Stats{SIP: true, Region: "r1", Version: "1.1.SNAPSHOT"}
		if want.Kids[0].Get("value") == "1" {
			s.Conferences, s.Participants, s.Stress = 1, 1, 0.01
		}
		if diff := cmp.Diff(want.String(), s.Elem().String()); diff != "" {
			t.Error(diff)
		}
	}
	if n != 3 {
		t.Errorf("%d presences", n)
	}
	for f, want := range map[float64]string{0: "0.0", 1: "1.0", 0.12: "0.12", 1.5: "1.5", 1.0 / 3: "0.3333", 12: "12.0", 100: "100.0"} {
		if got := decimal(f); got != want {
			t.Errorf("%v prints as %s", f, got)
		}
	}
}

// TestT01_OnlyTheFocusDials: twelve forms of a forged dial make no call and are counted.
func TestT01_OnlyTheFocusDials(t *testing.T) {
	iq := func(attrs string) string { return "<iq type='set' id='1' " + attrs + ">" + dialIQ + "</iq>" }
	delayed := "<delay xmlns='urn:xmpp:delay' from='" + focus + "' stamp='2026-01-01T00:00:00Z'/>"
	forgeries := []struct{ name, xml string }{
		{"guest", iq("from='guest@meet.localhost/x'")},
		{"foreign attribute", iq("xmlns:e='urn:evil' e:from='" + focus + "' from='guest@meet.localhost/x'")},
		{"xml attribute", iq("xml:from='" + focus + "' from='guest@meet.localhost/x'")},
		{"wrong resource", iq("from='" + brewery + "/focus2'")},
		{"case of resource", iq("from='" + brewery + "/Focus'")},
		{"other gateway", iq("from='" + brewery + "/g2'")},
		{"the room itself", iq("from='" + brewery + "'")},
		{"focus of another room", iq("from='beta@conference.meet.localhost/focus'")},
		{"other host", iq("from='jigasibrewery@internal.auth.meet.localhost.evil.org/focus'")},
		{"no sender", iq("")},
		{"message", "<message from='" + focus + "'>" + dialIQ + "</message>"},
		{"presence", "<presence from='" + focus + "'>" + dialIQ + "</presence>"},
		{"delayed", "<message from='" + focus + "'>" + delayed + dialIQ + "</message>"},
		{"forwarded", "<message from='" + focus + "'><forwarded xmlns='urn:xmpp:forward:0'>" + delayed + "<iq xmlns='jabber:client' type='set' from='" + focus + "'>" + dialIQ + "</iq></forwarded></message>"},
		{"carbon", "<message from='jigasi@auth.meet.localhost'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message>" + dialIQ + "</message></forwarded></received></message>"},
		{"get", "<iq type='get' id='1' from='" + focus + "'>" + dialIQ + "</iq>"},
		{"result", "<iq type='result' id='1' from='" + focus + "'>" + dialIQ + "</iq>"},
	}
	play(t, nil, func(s *stage) {
		s.join()
		for i, f := range forgeries {
			s.say(f.xml)
			if total := refused(s.b); total != int64(i+1) {
				t.Errorf("%s: %d counted", f.name, total)
			}
			select {
			case e := <-s.sent:
				if condition(e) == "" {
					t.Errorf("%s: answered %v", f.name, e)
				}
			default:
			}
		}
		twice := stanza.New("jabber:client", "iq", "type", "set", "id", "1", "from", focus).Add(rayo.Dial{To: "1"}.Elem())
		twice.Attr = append(twice.Attr, stanza.New("", "x", "from", "guest@x").Attr...)
		s.handler(twice)
		if e := s.hear(); condition(e) != "bad-request" || s.b.Status().Refused["forged"] != 2 {
			t.Errorf("two senders: %v, %v", e, s.b.Status().Refused)
		}
		if len(s.dials) != 0 || s.b.Status().Dials != 0 {
			t.Errorf("dialled %+v", s.dials)
		}
		s.say(iq("from='" + strings.ToUpper(brewery) + "/focus'")) // and the right one
		if e := s.hear(); condition(e) != "" || len(s.dials) != 1 {
			t.Errorf("the focus: %v", e)
		}
	})
}

func refused(b *Brewery) (total int64) {
	for _, n := range b.Status().Refused {
		total += n
	}
	return total
}

func TestWhoMayDial(t *testing.T) {
	jids := func(s ...string) (out []stanza.JID) {
		for _, x := range s {
			out = append(out, stanza.ParseJID(x))
		}
		return out
	}
	const real = "focus@auth.meet.localhost/focus"
	for _, tt := range []struct {
		allowed []stanza.JID
		real    string // of the occupant focus
		may     string // senders, with a blank between
	}{
		{nil, real, "occupant"},
		{nil, "", "occupant"},
		{jids(brewery), real, "occupant"},
		{jids("JigasiBrewery@internal.auth.meet.localhost"), "", "occupant"},
		{jids(brewery + "/other"), real, "other"},
		{jids("focus@auth.meet.localhost"), real, "occupant real real2"},
		{jids("focus@auth.meet.localhost"), "guest@auth.meet.localhost/focus", "real real2"},
		{jids("focus@auth.meet.localhost"), "", "real real2"},
		{jids(real), real, "occupant real"},
		{jids(real), "focus@auth.meet.localhost/2", "real"},
		{jids(real, brewery), "", "occupant real"},
		{jids(""), "", ""},
	} {
		p := newPolicy(stanza.ParseJID(brewery), Focus{Allowed: tt.allowed})
		item := stanza.New(nsMUCUser, "item")
		if tt.real != "" {
			item.Set("jid", tt.real)
		}
		p.seen(stanza.ParseJID(focus), stanza.New("", "presence").Add(stanza.New(nsMUCUser, "x").Add(item)))
		var may []string
		for _, x := range [][2]string{
			{"occupant", focus}, {"other", brewery + "/other"}, {"room", brewery}, {"real", real}, {"real2", "focus@auth.meet.localhost/2"},
			{"bare", "focus@auth.meet.localhost2"}, {"guest", "guest@meet.localhost/x"}, {"none", ""},
		} {
			if p.mayDial(stanza.ParseJID(x[1])) {
				may = append(may, x[0])
			}
		}
		if got := strings.Join(may, " "); got != tt.may {
			t.Errorf("allowed %v, focus is %q: %q may, want %q", tt.allowed, tt.real, got, tt.may)
		}
		p.seen(stanza.ParseJID(focus), stanza.New("", "presence", "type", "unavailable").Add(stanza.New(nsMUCUser, "x").Add(item)))
		if !p.real.IsZero() {
			t.Error("remembers a focus that has left")
		}
	}
}

func TestDialRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, dial string
		set        func(*Options)
		stats      func(*Stats)
		want       string
		why        reason
	}{
		{"empty", "<dial xmlns='urn:xmpp:rayo:1' to=''/>", nil, nil, "bad-request", malformed},
		{"line break", "<dial xmlns='urn:xmpp:rayo:1' to='1&#10;2'/>", nil, nil, "bad-request", malformed},
		{"no room", "<dial xmlns='urn:xmpp:rayo:1' to='1'/>", nil, nil, "internal-server-error", noRoom},
		{"draining", dialIQ, nil, func(s *Stats) { s.Draining = true }, "service-unavailable", full},
		{"no phones", dialIQ, nil, func(s *Stats) { s.SIP = false }, "service-unavailable", unable},
		{"no transcriber", strings.Replace(dialIQ, "+15551234", rayo.Transcribe, 1), nil, nil, "service-unavailable", unable},
		{"full", dialIQ, fails(cause.Cause{Code: cause.Full}), nil, "resource-constraint", full},
		{"bad room", dialIQ, fails(cause.Cause{Code: cause.NoRoom}), nil, "internal-server-error", noRoom},
		{"password", dialIQ, fails(cause.Cause{Code: cause.PasswordNeeded}), nil, "not-authorized", failed},
		{"no answer", dialIQ, fails(cause.Cause{Code: cause.Timeout}), nil, "remote-server-timeout", late},
		{"other", dialIQ, fails(errors.New("x")), nil, "internal-server-error", failed},
		{"panic", dialIQ, func(o *Options) {
			o.Dial = func(context.Context, exchange.Request) (exchange.Dialled, error) { panic("defect") }
		}, nil, "internal-server-error", failed},
		{"silence", dialIQ, func(o *Options) {
			o.Dial = func(ctx context.Context, _ exchange.Request) (exchange.Dialled, error) {
				<-ctx.Done()
				return exchange.Dialled{}, ctx.Err()
			}
		}, nil, "remote-server-timeout", late},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.set, func(s *stage) {
				s.join()
				if tt.stats != nil {
					s.mu.Lock()
					tt.stats(&s.stats)
					s.mu.Unlock()
				}
				began := time.Now()
				s.say("<iq type='set' id='a=/+' from='" + focus + "'>" + tt.dial + "</iq>")
				e := s.hear()
				if condition(e) != tt.want || e.Get("id") != "a=/+" || e.Get("to") != focus {
					t.Errorf("answers %v", e)
				}
				if took := time.Since(began); took >= 15*time.Second {
					t.Errorf("answers after %v", took)
				}
				if s.b.counts[tt.why].Load() != 1 || refused(s.b) != 1 {
					t.Errorf("counted %v", s.b.Status().Refused)
				}
			})
		})
	}
}

func fails(err error) func(*Options) {
	return func(o *Options) {
		o.Dial = func(context.Context, exchange.Request) (exchange.Dialled, error) { return exchange.Dialled{}, err }
	}
}

func TestManyDialsAtOnce(t *testing.T) {
	block := func(o *Options) {
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			<-ctx.Done()
			return exchange.Dialled{}, ctx.Err()
		}
	}
	play(t, block, func(s *stage) {
		s.join()
		free := make(chan struct{}) // in the bubble of virtual time
		go func() {
			for range maxWaiting + 1 {
				<-s.sent
			}
			close(free)
		}()
		for i := range maxWaiting + 1 {
			s.say(fmt.Sprintf("<iq type='set' id='%d' from='%s'>%s</iq>", i, focus, dialIQ))
		}
		if n := s.b.counts[crowded].Load(); n != 1 {
			t.Errorf("%d refused", n)
		}
		<-free
	})
}

func TestHeadersAndHangup(t *testing.T) {
	var hung []string
	over := make(chan struct{})
	set := func(o *Options) {
		o.Rules, o.BOSH = &exchange.Rules{DomainBase: "x"}, "https://x"
		dial := o.Dial
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			d, err := dial(ctx, r)
			d.Done = over
			return d, err
		}
		o.Hangup = func(at stanza.JID, why cause.Cause) bool {
			hung = append(hung, at.String()+" "+why.Code.String())
			return true
		}
	}
	play(t, set, func(s *stage) {
		s.join()
		hangup := "<iq type='set' id='2' from='" + focus + "'><hangup xmlns='urn:xmpp:rayo:1'/></iq>"
		s.say(hangup)
		if e := s.hear(); condition(e) != "item-not-found" {
			t.Errorf("hangup of nothing: %v", e)
		}
		s.say("<iq type='set' id='1' from='" + focus + "'><dial xmlns='urn:xmpp:rayo:1' to='1'><header name='JvbRoomName' value='a@b'/>" +
			"<header name='JvbRoomPassword' value='pw'/><header name='X-B' value='2'/><header name='X-A' value='1'/></dial></iq>")
		if e := s.hear(); ref(e) != "xmpp:beta@conference.meet.localhost/12345678" {
			t.Errorf("ref %v", e)
		}
		r := s.dials[0]
		if diff := cmp.Diff([]exchange.Header{{Name: "X-B", Value: "2"}, {Name: "X-A", Value: "1"}}, r.Headers); diff != "" ||
			r.Password.Reveal() != "pw" || r.Rules.DomainBase != "x" || r.BOSH != "https://x" {
			t.Errorf("%+v %s", r, diff)
		}
		s.say(strings.Replace(hangup, focus, "guest@x", 1))
		if e := s.hear(); condition(e) != "forbidden" {
			t.Errorf("hangup by a guest: %v", e)
		}
		s.say(hangup)
		if e := s.hear(); condition(e) != "" || fmt.Sprint(hung) != "[beta@conference.meet.localhost/12345678 normal]" {
			t.Errorf("hangup: %v, %v", e, hung)
		}
		close(over)
		s.say(hangup)
		if e := s.hear(); condition(e) != "item-not-found" {
			t.Errorf("hangup of an ended call: %v", e)
		}
	})
}

func TestPublish(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.join()
		s.change(func(x *Stats) { x.Participants = 1 })
		s.change(func(x *Stats) { x.Participants = 2 })
		s.quiet(publishEvery - time.Second)
		s.change(func(x *Stats) { x.Participants = 3 })
		e := s.hear()
		if v := e.Kid(nsStats, "stats").Kids[1].Get("value"); v != "3" || e.Kid(nsMUC, "x") != nil || e.Get("to") != s.b.Status().Room.String() {
			t.Errorf("tells %v", e)
		}
		s.change(func(*Stats) {})
		s.quiet(time.Hour) // nothing has changed
		began := time.Now()
		for i := range 100 { // at most every 5 s
			s.change(func(x *Stats) { x.Participants = 10 + i })
			time.Sleep(500 * time.Millisecond)
		}
		n := len(s.sent)
		if took := time.Since(began); n < 9 || n > int(took/publishEvery)+1 {
			t.Errorf("%d presences in %v", n, took)
		}
		for len(s.sent) > 0 {
			<-s.sent
		}
		s.change(func(x *Stats) { x.Draining = true }) // does not wait
		if e := <-s.sent; e.Kid(nsStats, "stats").Kids[2].Get("value") != "true" {
			t.Errorf("tells %v", e)
		}
	})
}

func TestComesBack(t *testing.T) {
	gone := func(inner string) string {
		return "<presence type='unavailable' from='" + self + "'><x xmlns='" + nsMUCUser + "'><item role='none'/>" + inner + "<status code='110'/></x></presence>"
	}
	refusal := func(condition string) string {
		return "<presence type='error' from='" + self + "'><error type='cancel'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
	}
	notIn := &xmpp.Error{Type: "cancel", Condition: "not-acceptable"}
	for _, tt := range []struct {
		name   string
		happen func(s *stage)
		within time.Duration
		why    string
	}{
		{"kicked", func(s *stage) { s.join(); s.say(gone("<status code='307'/>")) }, time.Second, "kicked"},
		{"destroyed", func(s *stage) { s.join(); s.say(gone("<destroy/>")) }, time.Second, "destroyed"},
		{"service stops", func(s *stage) { s.join(); s.say(gone("<status code='332'/>")) }, time.Second, "stops"},
		{"refused", func(s *stage) { s.hear(); s.say(refusal("not-allowed")) }, time.Second, "not-allowed"},
		{"silent room", func(s *stage) { s.hear() }, 16 * time.Second, "did not let us in"},
		{"forgotten", func(s *stage) { s.join(); s.answerPings(notIn) }, checkEvery + time.Second, "not-acceptable"},
		{"room hangs", func(s *stage) { s.join(); s.answerPings(context.DeadlineExceeded) }, 2*checkEvery + time.Second, "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				tt.happen(s)
				began := time.Now()
				e := s.hear()
				st := s.b.Status()
				if st.State != Joining || st.Err == nil || !strings.Contains(st.Err.Error(), tt.why) || !st.Room.IsZero() {
					t.Errorf("%+v", st)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("after %v", took)
				}
				s.answerPings(nil)
				s.sent <- e
				s.join()
				if st := s.b.Status(); st.State != Joined || st.Err != nil || st.Restarts != 1 {
					t.Errorf("%+v", st)
				}
				s.quiet(time.Hour)
				if n := s.pings(); n < 100 {
					t.Errorf("asked the room %d times in an hour", n)
				}
			})
		})
	}
	t.Run("conflict", func(t *testing.T) {
		play(t, func(o *Options) { o.Nick = "" }, func(s *stage) {
			nick := s.hear().Get("to")
			s.say(strings.Replace(refusal("conflict"), self, nick, 1))
			if e := s.join(); e.Get("to") == nick || !strings.HasPrefix(e.Get("to"), nick) || s.b.Status().Room.String() != e.Get("to") {
				t.Errorf("as %s after %s, %+v", e.Get("to"), nick, s.b.Status())
			}
		})
	})
	t.Run("no self-ping there", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.join()
			s.answerPings(&xmpp.Error{Condition: "service-unavailable"})
			s.quiet(time.Hour)
		})
	})
}

// TestT21_ReconnectQuickly: 100 outages of 1 to 60 s, each over within 10 s of the server's return.
func TestT21_ReconnectQuickly(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.join()
		for range 100 {
			s.mu.Lock()
			s.down = errDown
			s.mu.Unlock()
			s.cut(errors.New("stream lost"))
			time.Sleep(time.Second + rand.N(59*time.Second))
			if st := s.b.Status(); st.State != Offline || !errors.Is(st.Err, errDown) && st.Err.Error() != "stream lost" {
				t.Fatalf("%+v", st)
			}
			s.mu.Lock()
			s.down = nil
			s.mu.Unlock()
			back := time.Now()
			s.next()
			s.join()
			if took := time.Since(back); took > 10*time.Second || s.b.Status().State != Joined {
				t.Fatalf("back after %v: %+v", took, s.b.Status())
			}
		}
	})
}

func TestRefusedLoginIsTriedSlowly(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.mu.Lock()
		s.down = &xmpp.AuthError{Condition: "not-authorized"}
		s.mu.Unlock()
		s.cut(errors.New("stream lost"))
		time.Sleep(time.Hour)
		if n := s.b.Status().Restarts; n < 50 || n > 61 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}

func TestLossGivesDialsUp(t *testing.T) {
	ended := make(chan error, 1)
	set := func(o *Options) {
		o.Dial = func(ctx context.Context, _ exchange.Request) (exchange.Dialled, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return exchange.Dialled{}, ctx.Err()
		}
	}
	play(t, set, func(s *stage) {
		s.join()
		s.say("<iq type='set' id='1' from='" + focus + "'>" + dialIQ + "</iq>")
		began := time.Now()
		s.cut(errors.New("stream lost"))
		<-ended
		if took := time.Since(began); took > time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestUnansweredCallIsHungUp(t *testing.T) {
	var hung []stanza.JID
	var cut func(error)
	set := func(o *Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			cut(errors.New("stream lost")) // in the very moment
			return dial(ctx, r)
		}
		o.Hangup = func(at stanza.JID, _ cause.Cause) bool { hung = append(hung, at); return true }
	}
	play(t, set, func(s *stage) {
		s.join()
		cut = s.cut
		s.say("<iq type='set' id='1' from='" + focus + "'>" + dialIQ + "</iq>")
		synctest.Wait()
		if len(hung) != 1 || hung[0].Resource != "12345678" {
			t.Errorf("hung up %v", hung)
		}
	})
}

func TestCloseLeaves(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.join()
		_ = s.b.Close(context.Background())
		if e := <-s.sent; e.Get("type") != "unavailable" || e.Get("to") != s.b.o.Room.String()+"/g1" {
			t.Errorf("leaves by %v", e)
		}
		if st := s.b.Status(); st.State != Closed || !errors.Is(s.Err(), xmpp.ErrClosed) {
			t.Errorf("%+v", st)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	good := (&stage{}).options()
	for name, spoil := range map[string]func(*Options){
		"room":      func(o *Options) { o.Room = stanza.JID{Domain: "x"} },
		"stats":     func(o *Options) { o.Stats = nil },
		"dial":      func(o *Options) { o.Dial = nil },
		"anonymous": func(o *Options) { o.Account.Anonymous = true },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBreweries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := &stage{t: t, links: make(chan *fakeLink, 10), stats: Stats{SIP: true}}
		var l Breweries
		for _, id := range []string{"b", "a"} {
			if err := l.Add(ctx, id, s.options()); err != nil {
				t.Fatal(err)
			}
			s.next()
			s.join()
		}
		if fmt.Sprint(l.List()) != "[a b]" || l.Status()["a"].State != Joined {
			t.Errorf("%v %v", l.List(), l.Status())
		}
		old := s.fakeLink
		if err := l.Add(ctx, "a", Options{}); err == nil || old.Err() != nil {
			t.Error("a bad account replaces a good one")
		}
		if err := l.Add(ctx, "a", s.options()); err != nil || old.Err() == nil {
			t.Errorf("not replaced: %v", err)
		}
		s.next()
		s.join()
		time.Sleep(publishEvery)
		s.mu.Lock()
		s.stats.Participants = 7
		s.mu.Unlock()
		l.Changed()
		s.hear()
		if !l.Remove(ctx, "b") || l.Remove(ctx, "b") || len(l.List()) != 1 {
			t.Error(l.List())
		}
		if err := l.Close(ctx); err != nil || len(l.List()) != 0 {
			t.Error(err)
		}
		if err := l.Add(ctx, "c", s.options()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
