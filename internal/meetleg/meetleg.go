// Package meetleg makes a seat's leg of a conference session, a bridge connection
// and an ear in the room: the three meet only here.
//
// A leg has one goroutine (run); ICE and DTLS run beside it.
// What the phone says is encoded and sent in Push, on the goroutine of the phone's
// socket; what it hears is pulled from the ear on the clock's.
package meetleg

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/codec"
	"jigasi/internal/conference"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/meetmedia"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// Options makes legs.
type Options struct {
	Conference conference.Options
	Bridge     bridge.Options // Want, RTP and Log are set here
	Hub        *room.Hub
	Opus       codec.OpusOptions // towards the bridge; Rate follows the phone
	Outgoing   bool              // the status texts of the phone's dialling are shown
	FEC        bool              // protect packets while the bridge reports that some are lost
	Gate       bool              // encode nothing in silence; the encoder's own DTX takes tones for noise
	Counts     *leg.Counts       // nil: nobody looks at them
	Log        *slog.Logger
}

// A Leg is a seat in a meeting. It implements leg.Seat.
type Leg struct {
	opt     Options
	log     *slog.Logger
	session *conference.Session
	ear     *room.Ear
	voice   *voice
	events  chan leg.Event
	asked   chan func()
	quit    chan struct{}
	joined  chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	first   atomic.Bool
	shown   atomic.Pointer[bridge.Conn] // the latest connection, for Report
	leaving atomic.Bool                 // Hangup was called

	// Owned by run.
	phase    leg.Phase
	answered bool
	media    meetmedia.Link
	why      cause.Cause
	ended    bool
	was      struct{ up, moving, back, unheard, unpressed bool } // counted, or told, once
	pressing *time.Ticker                                        // while keys of the phone are sent
	nick     string                                              // our endpoint id, and the stream that goes with it
	ssrc     uint32
	seat     int // where the stream is from
}

// Join takes a seat. It returns at once.
func Join(o Options) *Leg {
	if o.Counts == nil {
		o.Counts = &leg.Counts{}
	}
	l := &Leg{
		opt: o, log: xlog.Or(o.Log), events: make(chan leg.Event, 64), asked: make(chan func(), 256),
		quit: make(chan struct{}), joined: make(chan struct{}), nick: o.Conference.Nick, ssrc: rand.Uint32() | 1,
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.ear = o.Hub.Join(hubRoom(o.Conference, o.Conference.Room), func(key rune, ms int) {
		l.post(func() { l.tell(leg.Event{Signal: leg.Digit{Key: key, Duration: ms}}) })
	})
	l.voice = newVoice(o.Opus, l.ssrc, o.Gate)
	o.Conference.Log = l.log
	l.session = conference.Join(o.Conference)
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

// Answer implements leg.Leg: offers are accepted from now on.
func (l *Leg) Answer() {
	l.post(func() {
		l.answered = true
		l.connect()
	})
}

// Send implements leg.Leg.
func (l *Leg) Send(s leg.Signal) {
	switch s := s.(type) {
	case leg.Status:
		if l.opt.Outgoing || s.Text != "Connected" {
			l.session.SetStatus(s.Text)
		}
	case leg.Hold:
		if s.On {
			l.session.SetStatus("Remotely On Hold")
		} else {
			l.session.SetStatus("Connected")
		}
	case leg.Mute:
		if s.On {
			l.voice.mute(true) // at once; the room learns it
		}
		l.session.AskMute(s.On, s.ID)
	case leg.Muted:
		if s.On {
			l.voice.mute(true)
		}
		l.session.SetMuted(s.On)
	case leg.Digit:
		l.post(func() { l.press(s) })
	case leg.RaiseHand:
		l.session.RaiseHand()
	case leg.Password:
		l.session.GivePassword(s.Text)
	}
}

// Audio implements leg.Seat.
func (l *Leg) Audio() media.Port { return (*port)(l) }

// Hangup implements leg.Leg.
func (l *Leg) Hangup(ctx context.Context, why cause.Cause) error {
	l.leaving.Store(true)
	l.session.Leave(why)
	select {
	case <-l.quit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Leg) post(f func()) {
	select {
	case l.asked <- f:
	default: // a flood of keys
	}
}

func (l *Leg) tell(e leg.Event) {
	select {
	case l.events <- e:
	default:
	}
}

func (l *Leg) enter(p leg.Phase, why cause.Cause) {
	l.count(p)
	if l.phase != p || p == leg.Waiting {
		l.phase = p
		l.tell(leg.Event{Phase: p, Why: why})
	}
}

func (l *Leg) run() {
	defer close(l.quit)
	defer close(l.events)
	defer func() {
		if l.pressing != nil {
			l.pressing.Stop()
		}
		l.cancel()
		l.disconnect()
		l.media.Wait()
		<-l.session.Done()
		l.sum()
		l.ear.Close()
		for len(l.events) > cap(l.events)-2 {
			<-l.events
		}
		l.events <- leg.Event{Phase: leg.Over, Why: l.why}
	}()
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		l.log.Error("panic in a seat", xlog.Err, why.Err, "stack", string(stack))
		l.why = why
		l.session.Leave(why)
	})
	reports := time.NewTicker(bridge.ReportEvery)
	defer reports.Stop()
	for !l.ended {
		select {
		case e, ok := <-l.session.Events():
			if !ok {
				l.ended = true
				break
			}
			l.happened(e)
		case f := <-l.asked:
			f()
		case <-l.lost():
			if !l.leaving.Load() { // else the focus has taken its bridge away, as it should
				l.mediaLost(l.media.Conn().Err())
			}
		case err := <-l.media.Tried():
			l.connected(err)
		case <-reports.C:
			l.report()
		case <-l.turn():
			l.keys()
		}
	}
}

// lost is closed when the bridge connection is, unless we are leaving.
func (l *Leg) lost() <-chan struct{} {
	conn := l.media.Conn()
	if conn == nil || l.phase != leg.Up || l.leaving.Load() {
		return nil
	}
	return conn.Done()
}

// happened is an event of the conference.
func (l *Leg) happened(e conference.Event) {
	switch e.Kind {
	case conference.Joined:
		select {
		case <-l.joined:
		default:
			close(l.joined)
		}
	case conference.Waiting:
		code := cause.NoInvite
		switch e.Text {
		case conference.InLobby:
			code = cause.LobbyWait
		case conference.NeedsPassword:
			code = cause.PasswordNeeded
		case conference.NotLiveYet:
			code = cause.NotLive
		case "no_bridge":
			code = cause.NoBridge
			l.log.Warn("the focus has no bridge for this meeting: start a videobridge or look why Jicofo does not see it")
		}
		if l.phase == leg.Trying || l.phase == leg.Waiting || l.phase == leg.Moving && (code == cause.NoInvite || code == cause.NoBridge || code == cause.NotLive) {
			l.enter(leg.Waiting, cause.Cause{Code: code, Text: e.Text})
		}
	case conference.Offered:
		l.offered(e.Offer)
	case conference.Trickled:
		l.media.Trickled(e.Candidates)
	case conference.SourcesChanged:
		l.sources(e.Added, e.Removed)
	case conference.Told:
		l.tell(leg.Event{Signal: leg.News{Item: e.Item}})
	case conference.Muted:
		l.muted(e)
	case conference.Suspended:
		l.suspended(e.Cause)
	case conference.Over:
		l.why, l.ended = e.Cause, true
	}
}

// muted carries out what was decided about the phone's sound, and tells the phone.
func (l *Leg) muted(e conference.Event) {
	if e.OK {
		l.voice.mute(e.On)
	}
	if e.Known {
		return
	}
	if e.ByRoom {
		l.tell(leg.Event{Signal: leg.Mute{On: e.On}})
		return
	}
	l.tell(leg.Event{Signal: leg.Muted{On: e.On, OK: e.OK, ID: e.ID}})
}

// offered takes a new offer: the old media are gone, and as soon as the call wants, the new ones come.
func (l *Leg) offered(o *conference.Offer) {
	if o.Replaces {
		l.opt.Counts.Moved.Add(1)
	}
	l.disconnect()
	l.media.Offered(o)
	l.ear.Move(hubRoom(l.opt.Conference, l.session.Occupant().Bare())) // it may be a breakout room
	l.ear.SetTypes(room.PayloadTypes{Opus: o.Opus.ID, Event: o.EventPT})
	l.keep(o.Sources)
	l.phase = leg.Trying
	l.enter(leg.Ready, cause.Cause{})
	l.connect()
}

func (l *Leg) suspended(why cause.Cause) {
	l.disconnect()
	l.media.Offered(nil)
	if l.phase == leg.Up || l.phase == leg.Moving || l.answered {
		l.enter(leg.Moving, why)
		return
	}
	l.enter(leg.Trying, why)
}

// connect accepts the offer and connects to its bridge.
func (l *Leg) connect() {
	o := l.media.Offer()
	if o == nil || !l.answered || l.media.Conn() != nil {
		return
	}
	bo := l.opt.Bridge
	bo.Want, bo.RTP, bo.Log = l.ear.Want, l.rtp, l.log
	if l.opt.FEC {
		bo.RTCP = func(r *rtpx.Report) { l.voice.reported(r.About) }
	}
	if err := l.media.Connect(l.ctx, l.session, bo, l.source(o)); err != nil {
		l.session.Leave(cause.Of(err))
	}
}

func (l *Leg) connected(err error) {
	if why := cause.Of(err); why.Code == cause.Panic {
		l.session.Leave(why)
		return
	}
	if err != nil {
		l.mediaLost(err)
		return
	}
	conn, o := l.media.Conn(), l.media.Offer()
	l.shown.Store(conn)
	if !o.Visitor {
		l.voice.start(conn, o.Opus.ID)
	}
	if !l.opt.Outgoing {
		l.session.SetStatus("Connected")
	}
	l.enter(leg.Up, cause.Cause{})
}

// mediaLost asks for a new session: the focus alone knows another bridge.
func (l *Leg) mediaLost(err error) {
	why := cause.Of(err)
	l.log.Warn("the media connection failed", "why", why.String())
	if !l.was.up && !l.was.unheard {
		l.was.unheard = true
		l.opt.Counts.Unheard.Add(1)
	}
	l.disconnect()
	l.enter(leg.Moving, why)
	l.session.Restart("connectivity-error")
}

func (l *Leg) disconnect() {
	l.voice.stop()
	l.media.Disconnect()
}
