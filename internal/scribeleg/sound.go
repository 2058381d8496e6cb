package scribeleg

import (
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/jingle"
	"jigasi/internal/leg"
	"jigasi/internal/rtpx"
)

// happened is an event of the conference.
func (l *Leg) happened(e conference.Event) {
	switch e.Kind {
	case conference.Joined:
		select {
		case <-l.joined:
		default:
			close(l.joined)
		}
		l.changed(time.Now())
	case conference.Waiting:
		code := cause.NoInvite
		if e.Text == "no_bridge" {
			code = cause.NoBridge
			l.log.Warn("the focus has no bridge for this meeting: start a videobridge or look why Jicofo does not see it")
		}
		if l.phase == leg.Trying || l.phase == leg.Waiting || l.phase == leg.Moving {
			l.enter(leg.Waiting, cause.Cause{Code: code, Text: e.Text})
		}
	case conference.Offered:
		l.offered(e.Offer)
	case conference.Trickled:
		l.media.Trickled(e.Candidates)
	case conference.Suspended:
		l.suspended(e.Cause)
	case conference.Dismissed:
		l.stop(cause.Cause{Code: cause.Kicked, Text: "a moderator sent the transcriber away"})
	case conference.Over:
		l.stage, l.why = gone, e.Cause
	case conference.SourcesChanged, conference.Told, conference.Muted: // Changed tells of sources; nobody is told, and nobody speaks
	}
}

// lost is closed when the bridge connection is, unless we are leaving.
func (l *Leg) lost() <-chan struct{} {
	conn := l.media.Conn()
	if conn == nil || l.phase != leg.Up || l.stage >= ending {
		return nil
	}
	return conn.Done()
}

// offered takes a new offer: the old media are gone, and as soon as the call wants, the new ones come.
func (l *Leg) offered(o *conference.Offer) {
	l.media.Offered(o)
	l.begin()
	l.phase = leg.Trying
	l.enter(leg.Ready, cause.Cause{})
	l.connect()
}

func (l *Leg) suspended(why cause.Cause) {
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
	if o == nil || !l.answered || l.media.Conn() != nil || l.words == nil {
		return
	}
	bo := l.opt.Bridge
	bo.Want, bo.Log = wanted, l.log
	opus := o.Opus.ID
	bo.RTP = func(h *rtpx.Header, payload []byte) {
		if e := l.ears.Load(); e != nil && h.PT == opus {
			e.rtp(h, payload)
		}
	}
	if err := l.media.Connect(l.ctx, l.session, bo, jingle.Source{}); err != nil { // it sends nothing
		l.stop(cause.Of(err))
	}
}

func (l *Leg) connected(err error) {
	if why := cause.Of(err); why.Code == cause.Panic {
		l.stop(why)
		return
	}
	if err != nil {
		l.mediaLost(err)
		return
	}
	l.shown.Store(l.media.Conn())
	l.log.Info("the meeting is heard")
	l.enter(leg.Up, cause.Cause{})
}

// mediaLost asks for a new session: the focus alone knows another bridge.
func (l *Leg) mediaLost(err error) {
	why := cause.Of(err)
	l.log.Warn("the media connection failed", "why", why.String())
	l.media.Disconnect()
	if l.stage >= ending {
		return
	}
	l.enter(leg.Moving, why)
	l.session.Restart("connectivity-error")
}
