package scribeleg

import (
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/jingle"
	"jigasi/internal/leg"
	"jigasi/internal/rtpx"
	"jigasi/internal/xlog"
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
		if l.conn != nil {
			l.conn.AddCandidates(e.Candidates)
		} else if len(l.late) < 64 {
			l.late = append(l.late, e.Candidates...)
		}
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
	if l.conn == nil || l.phase != leg.Up || l.stage >= ending {
		return nil
	}
	return l.conn.Done()
}

// offered takes a new offer: the old media are gone, and as soon as the call wants, the new ones come.
func (l *Leg) offered(o *conference.Offer) {
	l.disconnect()
	l.offer, l.late = o, nil
	l.begin()
	l.phase = leg.Trying
	l.enter(leg.Ready, cause.Cause{})
	l.connect()
}

func (l *Leg) suspended(why cause.Cause) {
	l.disconnect()
	l.offer = nil
	if l.phase == leg.Up || l.phase == leg.Moving || l.answered {
		l.enter(leg.Moving, why)
		return
	}
	l.enter(leg.Trying, why)
}

// connect accepts the offer and connects to its bridge, beside the leg's goroutine.
func (l *Leg) connect() {
	if l.offer == nil || !l.answered || l.conn != nil || l.words == nil {
		return
	}
	o := l.offer
	bo := l.opt.Bridge
	bo.Want, bo.Log = wanted, l.log
	opus := o.Opus.ID
	bo.RTP = func(h *rtpx.Header, payload []byte) {
		if e := l.ears.Load(); e != nil && h.PT == opus {
			e.rtp(h, payload)
		}
	}
	for _, r := range o.Relays {
		bo.Relays = append(bo.Relays, bridge.Relay{URL: r.URL, User: r.User, Password: r.Password})
	}
	conn, err := bridge.New(l.ctx, bo)
	if err != nil {
		l.stop(cause.Of(err))
		return
	}
	conn.SetLevelID(o.LevelID)
	l.conn = conn
	l.session.Accept(o, conn.Local(), jingle.Source{}) // it sends nothing
	conn.AddCandidates(l.late)
	l.wg.Go(func() {
		defer cause.Recover(func(why cause.Cause, stack []byte) {
			l.log.Error("panic while connecting media", xlog.Err, why.Err, "stack", string(stack))
			l.post(func() { l.stop(why) })
		})
		err := conn.Connect(l.ctx, o.Transport)
		select {
		case l.asked <- func() { l.connected(conn, err) }:
		case <-l.ctx.Done():
		}
	})
}

func (l *Leg) connected(conn *bridge.Conn, err error) {
	if conn != l.conn {
		return // another offer came meanwhile
	}
	if err != nil {
		l.mediaLost(err)
		return
	}
	l.shown.Store(conn)
	l.log.Info("the meeting is heard")
	l.enter(leg.Up, cause.Cause{})
}

// mediaLost asks for a new session: the focus alone knows another bridge.
func (l *Leg) mediaLost(err error) {
	why := cause.Of(err)
	l.log.Warn("the media connection failed", "why", why.String())
	l.disconnect()
	if l.stage >= ending {
		return
	}
	l.enter(leg.Moving, why)
	l.session.Restart("connectivity-error")
}

func (l *Leg) disconnect() {
	if l.conn != nil {
		conn := l.conn
		l.conn = nil
		l.wg.Go(conn.Close)
	}
}
