package bench

import (
	"fmt"
	"sync"

	"jigasi/internal/jingle"
	"jigasi/internal/lab/xmppd"
	"jigasi/internal/stanza"
)

const (
	domain    = "bench.test"
	focusJID  = "focus@auth." + domain + "/focus"
	speakers  = "speakers." + domain
	opusType  = 111
	levelID   = 1
	speakerID = 0x5eed0001 // SSRC of the speaker in each room
	crowdID   = 0x5eed1001 // of the first who speaks in a crowd
	nsFocus   = "http://jitsi.org/protocol/focus"
	nsDisco   = "http://jabber.org/protocol/disco#info"
	nsMUC     = "http://jabber.org/protocol/muc"
)

// A focus invites whoever enters a room to the sound, as Jicofo does, and tells what comes of it. In
// each room are the speakers, who have been there before.
type focus struct {
	xmpp     *xmppd.Server
	offer    func(seat string) *jingle.Transport                                 // nil: no such room
	accepted func(seat string, remote jingle.Transport, more []jingle.Candidate) // or more candidates alone

	in   chan *stanza.Elem
	done sync.WaitGroup

	// Of the focus' goroutine.
	rooms map[string]bool
	seats map[string]*seat  // occupants that have been asked what they can
	asked map[string]string // id of a question -> occupant
	next  int
}

// A seat is an occupant of a room.
type seat struct {
	sid     string
	sources []jingle.Source // once it has accepted
}

func startFocus(s *xmppd.Server, offer func(string) *jingle.Transport, accepted func(string, jingle.Transport, []jingle.Candidate)) *focus {
	f := &focus{
		xmpp: s, offer: offer, accepted: accepted, in: make(chan *stanza.Elem, 8192),
		rooms: map[string]bool{}, seats: map[string]*seat{}, asked: map[string]string{},
	}
	f.done.Go(func() {
		for e := range f.in {
			f.stanza(e)
		}
	})
	deliver := func(e *stanza.Elem) { f.in <- e }
	s.Attach(focusJID, deliver)
	s.Attach("focus."+domain, deliver)
	s.Attach(speakers, func(*stanza.Elem) {}) // they listen, but do not read
	return f
}

// close ends the focus; the server is closed already, so that nobody sends.
func (f *focus) close() {
	close(f.in)
	f.done.Wait()
}

func (f *focus) stanza(e *stanza.Elem) {
	switch typ := e.Get("type"); {
	case e.Name.Local == "presence":
		f.presence(e)
	case e.Name.Local != "iq":
	case typ == "result":
		if seat := f.asked[e.Get("id")]; seat != "" {
			delete(f.asked, e.Get("id"))
			f.invite(seat)
		}
	case typ == "set" || typ == "get":
		f.request(e)
	}
}

func (f *focus) request(e *stanza.Elem) {
	if c := e.Kid(nsFocus, "conference"); c != nil {
		room := c.Get("room")
		f.open(room)
		f.xmpp.Send(e.Get("to"), stanza.New("jabber:client", "iq", "type", "result", "id", e.Get("id"), "to", e.Get("from")).Add(
			stanza.New(nsFocus, "conference", "ready", "true", "room", room, "focusjid", stanza.ParseJID(focusJID).Bare().String())))
		return
	}
	f.send(stanza.New("jabber:client", "iq", "type", "result", "id", e.Get("id"), "to", e.Get("from")))
	msg, err := jingle.Parse(e)
	if err != nil || msg.Transport == nil {
		return
	}
	from := e.Get("from")
	switch msg.Action {
	case jingle.SessionAccept:
		f.accepted(from, *msg.Transport, nil)
		f.introduce(from, msg.Sources)
	case jingle.TransportInfo:
		f.accepted(from, jingle.Transport{}, msg.Transport.Candidates)
	}
}

// introduce tells a seat who the other phones in its room are, and them who it is.
func (f *focus) introduce(from string, sources []jingle.Source) {
	s := f.seats[from]
	if s == nil {
		return
	}
	for i := range sources {
		sources[i].Owner = stanza.ParseJID(from).Resource
	}
	s.sources = sources
	var others []jingle.Source
	for jid, o := range f.seats {
		if jid != from && o.sources != nil && stanza.ParseJID(jid).Local == stanza.ParseJID(from).Local {
			others = append(others, o.sources...)
			f.add(jid, sources)
		}
	}
	if others != nil {
		f.add(from, others)
	}
}

func (f *focus) add(to string, sources []jingle.Source) {
	msg := &jingle.Message{Action: jingle.SourceAdd, SID: f.seats[to].sid, Initiator: focusJID, Sources: sources}
	f.send(stanza.New("jabber:client", "iq", "type", "set", "id", f.id(), "to", to).Add(msg.Elem()))
}

// open enters a room, with one speaker: the others are known by their streams alone.
func (f *focus) open(room string) {
	if f.rooms[room] {
		return
	}
	f.rooms[room] = true
	f.send(stanza.New("jabber:client", "presence", "to", room+"/focus").Add(stanza.New(nsMUC, "x")))
	f.xmpp.Send(stanza.ParseJID(room).Local+"@"+speakers+"/x",
		stanza.New("jabber:client", "presence", "to", room+"/speaker").Add(stanza.New(nsMUC, "x")))
}

func (f *focus) presence(e *stanza.Elem) {
	from := e.Get("from")
	who := stanza.ParseJID(from).Resource
	if who == "focus" || who == "speaker" || who == "" {
		return
	}
	if e.Get("type") == "unavailable" {
		delete(f.seats, from)
		return
	}
	if f.seats[from] != nil {
		return
	}
	f.seats[from] = &seat{}
	id := f.id()
	f.asked[id] = from
	f.send(stanza.New("jabber:client", "iq", "type", "get", "id", id, "to", from).Add(stanza.New(nsDisco, "query")))
}

// invite sends session-initiate.
func (f *focus) invite(to string) {
	t, s := f.offer(to), f.seats[to]
	if t == nil || s == nil {
		return
	}
	s.sid = "s" + f.id()
	msg := &jingle.Message{
		Action: jingle.SessionInitiate, SID: s.sid, Initiator: focusJID, HasAudio: true, BridgeSession: f.id(), Transport: t,
		Payloads: []jingle.Payload{
			{ID: opusType, Name: "opus", Clockrate: 48000, Channels: 2, Params: map[string]string{"minptime": "10", "useinbandfec": "1"}},
			{ID: 126, Name: "telephone-event", Clockrate: 8000, Channels: 1},
		},
		Exts: map[string]uint8{jingle.LevelURI: levelID},
		Sources: []jingle.Source{
			{SSRC: 1180214522, Owner: "jvb", Name: "jvb-a0", MSID: "mixedmslabel mixedlabelaudio0"},
			{SSRC: speakerID, Owner: "speaker", Name: "speaker-a0", MSID: "speaker-audio-0-1 speaker-track-0"},
		},
	}
	for i := range crowdSpeakers {
		name := fmt.Sprintf("other%d", i)
		msg.Sources = append(msg.Sources, jingle.Source{SSRC: crowdID + uint32(i), Owner: name, Name: name + "-a0", MSID: name + "-audio-0-1 " + name + "-track-0"})
	}
	f.send(stanza.New("jabber:client", "iq", "type", "set", "id", f.id(), "to", to).Add(msg.Elem()))
}

func (f *focus) send(e *stanza.Elem) { f.xmpp.Send(focusJID, e) }

func (f *focus) id() string {
	f.next++
	return fmt.Sprintf("f%d", f.next)
}

// roomName is the room of a call.
func roomName(call int) string { return fmt.Sprintf("room%d", call) }
