// Package scribeleg makes the seat of a transcriber: the first door of transcription, by which a focus invites one into a room.
// It hears everybody apart, lets package scribe write down what they say, and brings that back into the room. A transcriber
// is a call like any other whose phone is Nobody.
//
//	bridge ── RTP ──> ears: order, owner ──> talk ──> scribe ──> the room: captions, chat
//	focus ─ sources ─┘                                  │
//	members ── languages, wishes ──> when to leave      └──> what the Keeper keeps
//
// A leg has one goroutine (run), its ears have another; ICE, DTLS and the last words run beside them and post what comes of
// them. No spoken word is ever logged.
package scribeleg

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/meetmedia"
	"jigasi/internal/meetxml"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"
	"jigasi/internal/stanza"
	"jigasi/internal/talk"
	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// A Keeper keeps what a session leaves behind.
type Keeper interface {
	// Attach adds its journal and its publishers to the options of a scribe.
	Attach(o *scribe.Options)
	// Notice is what the room is told about it, "" is nothing.
	Notice() string
	// End is called once the last words are there. The error says what is not kept.
	End(ctx context.Context) error
}

// Options makes legs. Conference, Service and Counts are required.
type Options struct {
	Conference conference.Options // Transcriber and what the presence shows are set here
	Bridge     bridge.Options     // Want, RTP and Log are set here
	RoomURL    string             // for people
	Language   string             // of who does not say what it speaks
	Speakers   int                // at the same time; 0 is 100
	Gate       bool

	// Service chooses the speech service, and says what ends it. It may take its time.
	Service    func(ctx context.Context) (recognize.Service, func(), error)
	Translator translate.Translator // nil is none
	Keep       func(start time.Time) Keeper

	Captions   bool // what is said goes to the clients of the room
	Chat       bool // and into its chat
	Identities bool // with what the room knows of a member beside name and picture

	EmptyLimit time.Duration // that it stays where nobody is; 0 is 30 s
	EndLimit   time.Duration // that the last words may take; 0 is 10 s
	Counts     *Counts
	Words      *scribe.Counts // nil is none
	Log        *slog.Logger
}

// Counts count what happens in all sessions.
type Counts struct {
	Sessions atomic.Int64 // that there are
	Ended    atomic.Int64 // in peace
	Failed   atomic.Int64 // ended otherwise
	Unheard  atomic.Int64 // packets of too many, or of who is not to be transcribed
	Missing  atomic.Int64 // sessions of which something did not arrive where it belongs
	talk.Counts
}

// DisplayName is how a transcriber is shown: old clients know it by this name alone.
const DisplayName = "Transcriber"

// A Leg is the seat of a transcriber. It implements leg.Seat.
type Leg struct {
	opt     Options
	log     *slog.Logger
	session *conference.Session
	events  chan leg.Event
	asked   chan func()
	quit    chan struct{}
	joined  chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	shown   atomic.Pointer[bridge.Conn] // the latest connection, for Report
	ears    atomic.Pointer[ears]        // of words, for the bridge's goroutine

	// Owned by run.
	phase    leg.Phase
	answered bool
	media    meetmedia.Link
	why      cause.Cause
	stage    stage
	chosen   *choice // nil: the service is not chosen yet
	end      func()  // of the service
	words    *words  // nil: nothing is written down
	once     bool    // somebody has wanted transcription
	leaveAt  time.Time
	leaveFor verdict
	told     cause.Cause // to go, while the last words are awaited
}

// A choice is the service, or why there is none.
type choice struct {
	service recognize.Service
	end     func()
	err     error
}

// Join takes a seat. It returns at once.
func Join(o Options) *Leg {
	o.EmptyLimit, o.EndLimit, o.Speakers = cmp.Or(o.EmptyLimit, 30*time.Second), cmp.Or(o.EndLimit, 10*time.Second), cmp.Or(o.Speakers, 100)
	l := &Leg{
		opt: o, log: xlog.Or(o.Log), events: make(chan leg.Event, 64), asked: make(chan func(), 256), quit: make(chan struct{}), joined: make(chan struct{}),
		end: func() {},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	c := o.Conference
	c.Transcriber, c.Log = true, l.log
	c.Presence.Nick = cmp.Or(c.Presence.Nick, DisplayName)
	c.Presence.Features = []string{meetxml.FeatureJigasi, meetxml.FeatureTranscriber}
	if c.Mute {
		c.Presence.Features = append(c.Presence.Features, meetxml.FeatureAudioMute)
	}
	l.session = conference.Join(c)
	o.Counts.Sessions.Add(1)
	l.wg.Go(l.choose)
	go l.run()
	return l
}

// Events implements leg.Leg.
func (l *Leg) Events() <-chan leg.Event { return l.events }

// Joined is closed when the room has been entered.
func (l *Leg) Joined() <-chan struct{} { return l.joined }

// Occupant is our address in the room.
func (l *Leg) Occupant() stanza.JID { return l.session.Occupant() }

// Members is how many others are in the room.
func (l *Leg) Members() int { return l.session.Members() }

// Audio implements leg.Seat: nobody listens.
func (l *Leg) Audio() media.Port { return silence{} }

// Send implements leg.Leg: nobody says anything.
func (l *Leg) Send(leg.Signal) {}

// Answer implements leg.Leg: offers are accepted from now on.
func (l *Leg) Answer() {
	l.post(func() {
		l.answered = true
		l.connect()
	})
}

// Report implements leg.Leg.
func (l *Leg) Report() leg.Report {
	var r leg.Report
	if c := l.shown.Load(); c != nil {
		s := c.Stats()
		r.Facts = []slog.Attr{
			slog.String("bridge", s.Remote.String()), slog.String("profile", s.Profile), slog.Int64("received", s.Received),
			slog.Int64("skipped", s.Skipped), slog.Int64("bad", s.Bad),
		}
	}
	return r
}

// Hangup implements leg.Leg. The last words are awaited first.
func (l *Leg) Hangup(ctx context.Context, why cause.Cause) error {
	l.post(func() { l.stop(why) })
	select {
	case <-l.quit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post has f run on the leg's goroutine.
func (l *Leg) post(f func()) {
	select {
	case l.asked <- f:
	case <-l.quit:
	}
}

func (l *Leg) tell(e leg.Event) {
	select {
	case l.events <- e:
	default:
	}
}

func (l *Leg) enter(p leg.Phase, why cause.Cause) {
	if l.phase != p || p == leg.Waiting {
		l.phase = p
		l.tell(leg.Event{Phase: p, Why: why})
	}
}

// choose chooses the service, beside the leg's goroutine.
func (l *Leg) choose() {
	var c choice
	func() {
		defer cause.Recover(func(why cause.Cause, stack []byte) {
			l.log.Error("panic while choosing a speech service", xlog.Err, why.Err, "stack", string(stack))
			c = choice{err: why}
		})
		c.service, c.end, c.err = l.opt.Service(l.ctx)
	}()
	select {
	case l.asked <- func() {
		l.chosen = &c
		if c.end != nil {
			l.end = c.end
		}
		l.begin()
	}:
	case <-l.ctx.Done():
		if c.end != nil {
			c.end()
		}
	}
}

func (l *Leg) run() {
	defer close(l.quit)
	defer close(l.events)
	defer l.finish()
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		l.log.Error("panic in a transcriber", xlog.Err, why.Err, "stack", string(stack))
		l.why = why
		l.session.Leave(why)
	})
	slow := time.NewTicker(time.Second)
	defer slow.Stop()
	leave := time.NewTimer(time.Hour)
	defer leave.Stop()
	for l.stage != gone {
		if !l.leaveAt.IsZero() {
			leave.Reset(time.Until(l.leaveAt))
		}
		select {
		case e, ok := <-l.session.Events():
			if !ok {
				l.stage = gone
				break
			}
			l.happened(e)
		case <-l.session.Changed():
			l.changed(time.Now())
		case f := <-l.asked:
			f()
		case now := <-slow.C:
			if l.words != nil {
				l.words.tick(now)
			}
		case <-leave.C:
			if !l.leaveAt.IsZero() && !time.Now().Before(l.leaveAt) {
				l.leaveAt = time.Time{}
				l.stop(l.leaveFor.why)
			}
		case <-l.lost():
			l.mediaLost(l.media.Conn().Err())
		case err := <-l.media.Tried():
			l.connected(err)
		}
	}
}

// count counts how it ended.
func (l *Leg) count() {
	switch l.why.Code {
	case cause.Normal, cause.Deserted, cause.Kicked, cause.Destroyed, cause.Shutdown, cause.Cancelled, cause.Busy:
		l.opt.Counts.Ended.Add(1)
	default:
		l.opt.Counts.Failed.Add(1)
	}
}

// finish is the end of run.
func (l *Leg) finish() {
	l.cancel()
	l.media.Disconnect()
	if l.words != nil { // the room was lost before the last words
		l.words.close(l.lastWords(l.why), time.Now())
	}
	l.count()
	l.wg.Wait()
	l.media.Wait()
	<-l.session.Done()
	for len(l.asked) > 0 { // a service that was chosen too late is among it
		f := <-l.asked
		l.stage = gone
		f()
	}
	l.end()
	l.opt.Counts.Sessions.Add(-1)
	for len(l.events) > cap(l.events)-2 {
		<-l.events
	}
	l.events <- leg.Event{Phase: leg.Over, Why: l.why}
}
