package scribeleg

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/leg"
	"jigasi/internal/meetxml"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

const (
	roomJID = "alpha@conference.meet.localhost"
	ours    = roomJID + "/0cb96be6"
)

// A server is the server, the room and the focus of one leg: a connection without a network.
type server struct {
	handler func(*stanza.Elem) bool
	done    chan struct{}

	mu   sync.Mutex
	said []string // what the leg tells the room: ON, OFF, left, or a text
}

func (*server) JID() stanza.JID                                                        { return stanza.ParseJID("transcriber@recorder.localhost/x") }
func (s *server) Done() <-chan struct{}                                                { return s.done }
func (*server) Err() error                                                             { return errors.New("cut") }
func (*server) Close(context.Context) error                                            { return nil }
func (*server) Reply(_, _ *stanza.Elem) error                                          { return nil }
func (*server) ReplyError(*stanza.Elem, string, string, string, ...*stanza.Elem) error { return nil }

func (*server) Request(_ context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	res := stanza.New("jabber:client", "iq", "type", "result")
	if iq.Kid(meetxml.NSFocus, "conference") != nil {
		res.Add(stanza.New(meetxml.NSFocus, "conference", "ready", "true", "focusjid", "focus@auth.meet.localhost"))
	}
	return res, nil
}

func (s *server) Send(e *stanza.Elem) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := e.Kid("", "transcription-status").Get("status")
	switch {
	case e.Name.Local == "message" && e.Kid("", "body") != nil:
		s.said = append(s.said, e.Kid("", "body").Text)
	case e.Get("type") == "unavailable":
		s.said = append(s.said, "left")
	case status != "" && (len(s.said) == 0 || s.said[len(s.said)-1] != status):
		s.said = append(s.said, status)
	}
	return nil
}

func (s *server) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, ", ")
}

// theater is a leg and its server.
type theater struct {
	t    *testing.T
	leg  *Leg
	s    *server
	kept *cabinet
	o    Options
}

// cabinet is a Keeper.
type cabinet struct {
	notice string
	began  int
	ended  int
	err    error
}

func (c *cabinet) Attach(*scribe.Options)    { c.began++ }
func (c *cabinet) Notice() string            { return c.notice }
func (c *cabinet) End(context.Context) error { c.ended++; return c.err }

// theaterOf plays a script on a leg that sits in the room with a focus and the members given, invited.
func theaterOf(t *testing.T, change func(*Options), script func(p *theater), members ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &theater{t: t, s: &server{done: make(chan struct{})}, kept: &cabinet{}}
		p.o = Options{
			Conference: conference.Options{
				XMPP: xmpp.Options{Domain: "meet.localhost"}, Room: stanza.ParseJID(roomJID), Nick: "0cb96be6", Focus: stanza.JID{Domain: "focus.meet.localhost"},
				Dial: func(_ context.Context, o xmpp.Options) (conference.Link, error) {
					p.s.handler = o.Handler
					return p.s, nil
				},
			},
			Language: "en-US", Captions: true, Counts: &Counts{}, Keep: func(time.Time) Keeper { return p.kept },
			Service: func(context.Context) (recognize.Service, func(), error) { return &service{}, func() {}, nil },
		}
		if change != nil {
			change(&p.o)
		}
		p.leg = Join(p.o)
		defer func() {
			_ = p.leg.Hangup(context.Background(), cause.Cause{Code: cause.Shutdown}) // if the script has not
			for range p.leg.Events() {                                                //nolint:revive // drained
			}
			if n := p.o.Counts.Sessions.Load(); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
		}()
		synctest.Wait()
		p.say(presence("focus", "focus@auth.meet.localhost/focus", ""))
		for _, m := range members {
			p.say(m)
		}
		p.say(strings.Replace(presence("0cb96be6", "transcriber@recorder.localhost/x", ""), "</x>", "<status code='110'/></x>", 1))
		p.invite("1")
		script(p)
	})
}

func presence(nick, jid, inner string) string {
	return "<presence xmlns='jabber:client' from='" + roomJID + "/" + nick + "'><x xmlns='" + meetxml.NSMUCUser + "'><item jid='" + jid + "' role='participant'/></x>" + inner + "</presence>"
}

func member(nick, inner string) string { return presence(nick, nick+"@guest.localhost/r", inner) }

func departs(nick string) string {
	return "<presence xmlns='jabber:client' type='unavailable' from='" + roomJID + "/" + nick + "'/>"
}

const (
	yes = "<jitsi_participant_requestingTranscription>true</jitsi_participant_requestingTranscription>"
	no  = "<jitsi_participant_requestingTranscription>false</jitsi_participant_requestingTranscription>"
)

func (p *theater) say(xml string) {
	p.t.Helper()
	e, err := stanza.Parse([]byte(xml), stanza.Limits{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.s.handler(e)
	synctest.Wait()
}

// invite is a session-initiate.
func (p *theater) invite(sid string) {
	p.t.Helper()
	p.say("<iq xmlns='jabber:client' type='set' id='i' from='" + roomJID + "/focus'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='" + sid + "' initiator='focus@auth.meet.localhost/focus'>" +
		"<content creator='initiator' name='audio'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='111' name='opus' clockrate='48000' channels='2'/></description>" +
		"<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u' pwd='p'><fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>AA:BB</fingerprint></transport></content></jingle></iq>")
}

// room is a message of the metadata.
func (p *theater) room(wanted string) {
	p.say("<message xmlns='jabber:client' from='metadata.meet.localhost'><json-message xmlns='http://jitsi.org/jitmeet' room='" + roomJID + "'>" +
		`{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":` + wanted + `}}}</json-message></message>`)
}

// after lets time pass, and compares what the room has been told.
func (p *theater) after(d time.Duration, want string) {
	p.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := p.s.heard(); got != want {
		p.t.Errorf("after %v the room reads %q, want %q", d, got, want)
	}
}

// over waits for the end, and its cause.
func (p *theater) over(code cause.Code) {
	p.t.Helper()
	var last leg.Event
	for e := range p.leg.Events() {
		last = e
	}
	if last.Phase != leg.Over || last.Why.Code != code {
		p.t.Errorf("ended by %+v, want %v", last, code)
	}
}

// TestLife: when a transcriber comes, what it stays for, and what it leaves for (acceptance 2 to 4 of the transcription spec).
func TestLife(t *testing.T) {
	for name, f := range map[string]struct {
		members []string
		script  func(p *theater)
	}{
		"toggled off, and on again in time": {[]string{member("a", yes), member("b", no)}, func(p *theater) {
			p.after(time.Hour, "ON")
			p.say(member("a", no))
			p.after(2900*time.Millisecond, "ON")
			p.say(member("a", yes))
			p.after(time.Hour, "ON")
			p.say(member("a", no))
			p.after(2900*time.Millisecond, "ON")
			p.after(time.Second, "ON, OFF, left")
			p.over(cause.Normal)
		}},
		"who wants it leaves the room": {[]string{member("a", yes), member("b", no)}, func(p *theater) {
			p.say(departs("a"))
			p.after(4*time.Second, "ON, OFF, left")
			p.over(cause.Normal)
		}},
		"old clients cannot say so": {[]string{member("a", ""), member("b", "")}, func(p *theater) {
			p.say(member("b", "<audiomuted>true</audiomuted>"))
			p.after(time.Hour, "ON")
		}},
		"the room wants it": {[]string{member("a", yes)}, func(p *theater) {
			p.room("true")
			p.say(member("a", no))
			p.after(time.Hour, "ON")
			p.room("false")
			p.after(4*time.Second, "ON, OFF, left")
			p.over(cause.Normal)
		}},
		"nobody is left": {[]string{member("a", yes)}, func(p *theater) {
			p.room("true")
			p.say(departs("a"))
			p.say(member("r", "<features><feature var='"+meetxml.FeatureJibri+"'/></features>"))
			p.after(29*time.Second, "ON")
			p.say(member("b", ""))
			p.after(time.Hour, "ON")
			p.say(departs("b"))
			p.after(31*time.Second, "ON, OFF, left")
			p.over(cause.Deserted)
		}},
		"sent away by a moderator": {[]string{member("a", yes)}, func(p *theater) {
			p.say("<iq xmlns='jabber:client' type='set' id='h' from='" + roomJID + "/focus'><hangup xmlns='urn:xmpp:rayo:1'/></iq>")
			p.after(time.Second, "ON, OFF, left")
			p.over(cause.Kicked)
		}},
		"kicked": {[]string{member("a", yes)}, func(p *theater) {
			p.say("<presence xmlns='jabber:client' type='unavailable' from='" + ours + "'><x xmlns='" + meetxml.NSMUCUser + "'><item role='none'/><status code='307'/><status code='110'/></x></presence>")
			p.after(time.Second, "ON")
			p.over(cause.Kicked)
		}},
		"hung up": {[]string{member("a", yes)}, func(p *theater) {
			if err := p.leg.Hangup(context.Background(), cause.Cause{Code: cause.Shutdown}); err != nil {
				p.t.Error(err)
			}
			p.after(time.Second, "ON, OFF, left")
			p.over(cause.Shutdown)
		}},
		"the session is taken away, and another one comes": {[]string{member("a", yes)}, func(p *theater) {
			p.say("<iq xmlns='jabber:client' type='set' id='t' from='" + roomJID + "/focus'><jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='1'><reason><success/></reason></jingle></iq>")
			p.after(time.Second, "ON")
			p.invite("2")
			p.after(time.Hour, "ON")
			if p.kept.began != 1 {
				p.t.Errorf("%d transcripts", p.kept.began)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) { theaterOf(t, nil, f.script, f.members...) })
	}
}

// TestKeeper: the room is told where its transcript will be, it is kept once the last words are there, and what is not kept is counted.
func TestKeeper(t *testing.T) {
	theaterOf(t, nil, func(p *theater) {
		p.kept.err = errors.New("the disk is full")
		p.say(departs("a"))
		p.over(cause.Normal)
		if p.kept.began != 1 || p.kept.ended != 1 || p.o.Counts.Missing.Load() != 1 || p.o.Counts.Ended.Load() != 1 {
			p.t.Errorf("%+v, %d missing", p.kept, p.o.Counts.Missing.Load())
		}
	}, member("a", yes))
	theaterOf(t, func(o *Options) {
		keep := o.Keep
		o.Keep = func(at time.Time) Keeper {
			k := keep(at)
			k.(*cabinet).notice = "Transcript will be saved in https://x/y"
			return k
		}
	}, func(p *theater) { p.after(time.Second, "ON, Transcript will be saved in https://x/y") }, member("a", yes))
}

// TestNoService: a room is told once that there is no speech service, and left; one that is chosen late is waited for.
func TestNoService(t *testing.T) {
	ended := 0
	theaterOf(t, func(o *Options) {
		o.Service = func(context.Context) (recognize.Service, func(), error) {
			return nil, nil, errors.New("no credentials")
		}
	}, func(p *theater) {
		p.after(time.Second, notConfigured+", left")
		p.over(cause.Unavailable)
		if p.o.Counts.Failed.Load() != 1 || p.kept.began != 0 {
			p.t.Errorf("%d failed, %d transcripts", p.o.Counts.Failed.Load(), p.kept.began)
		}
	}, member("a", yes))
	theaterOf(t, func(o *Options) {
		o.Service = func(context.Context) (recognize.Service, func(), error) {
			time.Sleep(5 * time.Second)
			return &service{}, func() { ended++ }, nil
		}
	}, func(p *theater) {
		p.after(time.Second, "")
		p.after(5*time.Second, "ON")
	}, member("a", yes))
	theaterOf(t, func(o *Options) {
		o.Service = func(ctx context.Context) (recognize.Service, func(), error) { panic("defect") }
	}, func(p *theater) { p.over(cause.Unavailable) }, member("a", yes))
	theaterOf(t, func(o *Options) { // it is given up before
		o.Service = func(ctx context.Context) (recognize.Service, func(), error) {
			<-ctx.Done()
			return nil, func() { ended++ }, ctx.Err()
		}
	}, func(p *theater) {
		_ = p.leg.Hangup(context.Background(), cause.Cause{Code: cause.Cancelled}) // what follows tells
		p.over(cause.Cancelled)
	}, member("a", yes))
	if ended != 2 {
		t.Errorf("%d services are ended", ended)
	}
}

// TestWantedAgain: who wants transcription again while the last words are awaited gets a new one, in the same seat.
func TestWantedAgain(t *testing.T) {
	theaterOf(t, func(o *Options) {
		o.Service = func(context.Context) (recognize.Service, func(), error) { return &service{}, func() {}, nil }
		keep := o.Keep
		o.Keep = func(at time.Time) Keeper { return slow{keep(at)} }
	}, func(p *theater) {
		p.say(member("a", no))
		p.after(4*time.Second, "ON")
		p.say(member("a", yes))
		p.after(time.Hour, "ON")
		if p.kept.began != 2 || p.kept.ended != 1 {
			p.t.Errorf("%d transcripts, %d ended", p.kept.began, p.kept.ended)
		}
		p.say(member("a", no))
		p.after(10*time.Second, "ON, OFF, left")
		p.over(cause.Normal)
	}, member("a", yes))
}

// slow is a Keeper that takes its time.
type slow struct{ Keeper }

func (s slow) End(ctx context.Context) error { time.Sleep(3 * time.Second); return s.Keeper.End(ctx) }
