// Package conference is a seat in a Jitsi meeting, without its sound: the XMPP
// connection, the conference request to the focus, the room, and the Jingle
// session with the focus. It says what has to be connected to which bridge, and whose which
// stream is; package bridge and room do that, meetleg joins the three.
//
// A Session has one goroutine (run) with one select. Only one thing ever ends it of
// itself: being removed from the room, or a deadline. A session-terminate of the focus, a
// focus that leaves and a lost connection are only waits (docs in flow.go).
package conference

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
	"jigasi/internal/xmpp"
)

// A Link is a connection to the XMPP server; *xmpp.Conn is one.
type Link interface {
	Request(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error)
	Send(e *stanza.Elem) error
	Reply(iq, payload *stanza.Elem) error
	ReplyError(iq *stanza.Elem, typ, condition, text string, more ...*stanza.Elem) error
	JID() stanza.JID
	Done() <-chan struct{}
	Err() error
	Close(ctx context.Context) error
}

// Options makes a session. XMPP, Room and Nick are required.
type Options struct {
	XMPP      xmpp.Options // Handler and Caps are set here
	Room      stanza.JID   // bare
	Domain    string       // of the meetings: it knows the server's parts and TURN servers; "" means that of XMPP
	Nick      string       // endpoint id
	Focus     stanza.JID   // where the conference request goes: focus.DOMAIN
	FocusUser stanza.JID   // the focus itself, asked where there is no such address; zero means focus@auth.DOMAIN/focus
	FocusRes  string       // nick of the focus in the room; "" means focus
	Password  xlog.Secret
	Presence  meetxml.Presence // what the room sees; Caps is set here

	InviteTimeout time.Duration // until session-initiate, once somebody else is there; 0 means 30 s, negative for ever
	ReturnTimeout time.Duration // for what was lost to come back; 0 means 30 s
	LobbyTimeout  time.Duration // for somebody to let the phone in; 0 means 10 min
	// Transcriber makes the seat that of a transcriber: it listens, has no sound of its own, waits in no lobby, and leaves a room
	// that has a transcriber of Trusted already. Meeting and Changed tell what it has to know.
	Transcriber bool
	Relays      bool // ask for TURN servers
	Mute        bool // start muted where the room wants it
	LeaveEmpty  bool // end when nobody but phones is left
	// EmptyTimeout ends a session that nobody but phones was in for so long; 0 is never.
	EmptyTimeout time.Duration
	Trusted      []string // domains whose members are believed to be phones, if they say so

	// PasswordTimeout is for the phone to give the password that the room wants; 0: it cannot give any.
	PasswordTimeout time.Duration

	Visitors Visitors
	// Live waits until the meeting of a room is live, and tells within which time those who wait for it are to come. An error is
	// followed by another question to the focus, and another call. nil: a meeting that is not live ends the session.
	Live        func(ctx context.Context, room stanza.JID) (time.Duration, error)
	LiveTimeout time.Duration // for a meeting to be live; 0 means 1 h

	// Caller tells who the phone is, for the room to see; what it does not know is empty. It may take its time.
	Caller func(ctx context.Context) (name, avatar, email string)

	Dial func(ctx context.Context, o xmpp.Options) (Link, error) // nil means xmpp.Dial
	Log  *slog.Logger
}

// A Session is a seat in a meeting. Its methods are safe for concurrent use and do not block.
type Session struct {
	opt    Options
	log    *slog.Logger
	events chan Event
	inbox  chan func() // what the connection brings
	asked  chan func() // what the owner wants: a flood in the room does not stand in its way
	// leaving holds the first reason to leave.
	leaving chan cause.Cause
	done    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	met      atomic.Int64 // people that have come
	unlinked atomic.Int64 // logins that failed
	watch    *watch       // nil: no transcriber
	mu       sync.Mutex
	members  int
	occupant stanza.JID

	// Owned by run.
	state    state
	link     Link
	epoch    int // of the connection: what belongs to an older one is passed over
	presence meetxml.Presence
	focus    focus
	who      map[string]member // occupants but us and the focus
	room     stanza.JID        // where we are, or are going: breakout rooms are others
	main     stanza.JID        // the meeting's own room: at a visitor node another than Options.Room
	sources  map[uint32]jingle.Source
	offer    *Offer
	accepted bool
	relays   []meetxml.Relay
	backoff  xmpp.Backoff
	timer    *time.Timer
	lostAt   time.Time
	restarts []time.Time
	rejoined int
	tries    int // of a first join that was refused
	joined   bool
	alone    <-chan time.Time // aloneAfter the join
	empty    <-chan time.Time // EmptyTimeout after the last person has left, or the join
	seats    int              // that we have had
	talked   bool             // there was a session before
	waiting  string           // what was told last as Waiting

	parts        meetxml.Components
	lobby        stanza.JID
	lobbyOn      bool // the room has one now: who is alone in it can let nobody in
	inLobby      bool
	passwords    int           // that the phone gave and were tried
	given        []xlog.Secret // not tried yet
	moderation   moderation
	recording    meetxml.Recording
	transcribing bool
	orphaned     bool // the session's focus has left
	offers       int  // so far: only the first one may start muted

	node     string       // visitor node where we are, or are going; "" is the main domain
	direct   bool         // the next entry asks nobody: the focus has sent us there
	wanted   bool         // we ask to be a visitor
	visitor  bool         // the phone was told that it is one
	promoted string       // name by which a visitor was let in
	liveBy   time.Time    // the meeting has to be live; zero if it was never waited for
	refusals atomic.Int32 // of conference requests, one after the other
	noProxy  atomic.Bool  // said that the focus has to be asked itself

	expectedAt time.Time // a session-initiate, since when
	why        cause.Cause
	ended      bool
}

// A member is another occupant.
type member struct {
	role  string
	phone bool // a gateway's, and believed to be
}

type focus struct {
	jid      stanza.JID // bare, as the conference reply says
	present  bool
	noBridge bool
}

// Join takes a seat. It returns at once; events tell what comes.
func Join(o Options) *Session {
	switch {
	case o.InviteTimeout == 0:
		o.InviteTimeout = 30 * time.Second
	case o.InviteTimeout < 0:
		o.InviteTimeout = 1 << 62
	}
	if o.ReturnTimeout == 0 {
		o.ReturnTimeout = 30 * time.Second
	}
	if o.Domain == "" {
		o.Domain = o.XMPP.Domain
	}
	if o.LobbyTimeout == 0 {
		o.LobbyTimeout = 10 * time.Minute
	}
	if o.LiveTimeout == 0 {
		o.LiveTimeout = time.Hour
	}
	if o.FocusRes == "" {
		o.FocusRes = "focus"
	}
	if domain, ok := strings.CutPrefix(o.Focus.Domain, o.FocusRes+"."); ok && o.FocusUser.IsZero() {
		o.FocusUser = stanza.JID{Local: o.FocusRes, Domain: "auth." + domain, Resource: o.FocusRes}
	}
	if o.FocusUser.IsZero() {
		o.FocusUser = o.Focus
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, xo xmpp.Options) (Link, error) { return xmpp.Dial(ctx, xo) }
	}
	if o.XMPP.Counts == nil {
		o.XMPP.Counts = &xmpp.Counts{}
	}
	s := &Session{
		opt: o, log: xlog.Or(o.Log), events: make(chan Event, 64), inbox: make(chan func(), 1024),
		asked: make(chan func(), 64), leaving: make(chan cause.Cause, 1), done: make(chan struct{}),
		occupant: o.Room.With(o.Nick), presence: o.Presence, who: map[string]member{}, room: o.Room, main: o.Room, wanted: o.Visitors.Wanted, sources: map[uint32]jingle.Source{}, timer: time.NewTimer(time.Hour),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	caps := s.caps()
	s.presence.Caps = caps.Elem()
	if o.Transcriber {
		s.watch, s.presence.Listens = newWatch(), true
	} else {
		s.presence.Source = o.Nick + "-a0"
	}
	go s.run()
	return s
}

func (s *Session) caps() xmpp.Caps {
	features := meetxml.Features()
	if s.opt.Transcriber {
		features = meetxml.TranscriberFeatures()
	}
	if s.opt.Mute {
		features = append(features, meetxml.FeatureAudioMute)
	}
	if s.opt.Visitors.On {
		features = append(features, meetxml.FeatureVisitors)
	}
	return xmpp.Caps{
		Node: "http://jitsi.org/jigasi", Features: features,
		Identities: []xmpp.Identity{{Category: "client", Type: "phone", Name: "jigasi"}},
	}
}

// Events are what happens, in order. The channel is closed after Over.
func (s *Session) Events() <-chan Event { return s.events }

// Occupant is our address in the room, or in its lobby while we wait there.
func (s *Session) Occupant() stanza.JID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.occupant
}

func (s *Session) seat(at stanza.JID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.occupant = at
}

// rename takes another endpoint id, for a seat that somebody else has.
func (s *Session) rename() {
	s.opt.Nick = fmt.Sprintf("%08x", rand.Uint32())
	if !s.opt.Transcriber && s.node == "" {
		s.presence.Source = s.opt.Nick + "-a0"
	}
	s.seat(s.main.With(s.opt.Nick))
}

// Members is how many others are in the room, the focus not counted.
func (s *Session) Members() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members
}

// Met is how many others have been in the rooms so far, each time that they came.
func (s *Session) Met() int64 { return s.met.Load() }

// LoginsFailed is how often there was no connection.
func (s *Session) LoginsFailed() int64 { return s.unlinked.Load() }

// Accept answers an offer with our transport and source.
func (s *Session) Accept(o *Offer, t jingle.Transport, own jingle.Source) {
	s.want(func() { s.accept(o, t, own) })
}

// Restart asks the focus for a new session because the media of this one are lost. An
// Offered or Suspended follows.
func (s *Session) Restart(reason string) { s.want(func() { s.restart(reason) }) }

// SetStatus changes the text that the room shows beside the phone.
func (s *Session) SetStatus(text string) {
	s.want(func() {
		if s.presence.Status != text {
			s.presence.Status = text
			s.show()
		}
	})
}

// Leave leaves the room and ends the session; the first reason counts. Over follows.
func (s *Session) Leave(why cause.Cause) {
	select {
	case s.leaving <- why:
	default:
	}
}

// Done is closed when all is over and no goroutine is left.
func (s *Session) Done() <-chan struct{} { return s.done }

// post has f run on the session's goroutine. It never blocks: what does not fit means a flood, and
// is lost.
func (s *Session) post(f func()) bool {
	select {
	case s.inbox <- f:
		return true
	default:
		return false
	}
}

// want has f run for the owner, who asks for little.
func (s *Session) want(f func()) {
	select {
	case s.asked <- f:
	default:
	}
}

// tell does not wait for an owner that does not keep up: a flood of members or sources leaves room for what
// matters more.
func (s *Session) tell(e Event) {
	room := cap(s.events)
	switch {
	case e.Kind == Told && (e.Item == news.MemberJoined || e.Item == news.MemberLeft):
		room /= 16
	case e.Kind == SourcesChanged || e.Kind == Trickled:
		room /= 2
	}
	if len(s.events) > room {
		return
	}
	select {
	case s.events <- e:
	default:
	}
}

// show sends our presence, whole as it always is.
func (s *Session) show() {
	if s.link != nil && s.joined {
		_ = s.link.Send(s.presence.Elem(s.Occupant())) // a dead connection shows by itself
	}
}
