// Package meetmedia is how whoever sits in a meeting comes by its media: a phone's leg and the transcriber alike
// are offered a bridge, connect to it when they want, lose it, and are offered another.
package meetmedia

import (
	"context"
	"sync"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/jingle"
	"jigasi/internal/xlog"
)

// maxLate is how many candidates of an offer are kept that is not connected yet.
const maxLate = 64

// Link is the way of one seat to the bridge of its meeting. It belongs to the goroutine of the seat;
// nothing in it blocks but Wait.
type Link struct {
	offer *conference.Offer
	conn  *bridge.Conn
	late  []jingle.Candidate
	tried chan error
	wg    sync.WaitGroup
}

// Offer is what the focus offers; nil if it offers nothing.
func (l *Link) Offer() *conference.Offer { return l.offer }

// Conn is the connection to the bridge, which may not be up yet; nil if there is none.
func (l *Link) Conn() *bridge.Conn { return l.conn }

// Offered takes a new offer, or none: what was connected is not any more.
func (l *Link) Offered(o *conference.Offer) {
	l.Disconnect()
	l.offer, l.late = o, nil
}

// Trickled takes candidates that come after their offer (XEP-0176, 5.4).
func (l *Link) Trickled(candidates []jingle.Candidate) {
	if l.conn != nil {
		l.conn.AddCandidates(candidates)
	} else if len(l.late) < maxLate {
		l.late = append(l.late, candidates...)
	}
}

// Connect accepts the offer, to send what source says, and connects to its bridge. Tried tells how that went.
func (l *Link) Connect(ctx context.Context, session *conference.Session, opt bridge.Options, source jingle.Source) error {
	o := l.offer
	for _, r := range o.Relays {
		opt.Relays = append(opt.Relays, bridge.Relay{URL: r.URL, User: r.User, Password: r.Password})
	}
	conn, err := bridge.New(ctx, opt)
	if err != nil {
		return err
	}
	conn.SetLevelID(o.LevelID)
	session.Accept(o, conn.Local(), source)
	conn.AddCandidates(l.late)
	tried := make(chan error, 1)
	l.conn, l.late, l.tried = conn, nil, tried
	l.wg.Go(func() {
		defer cause.Recover(func(why cause.Cause, stack []byte) {
			xlog.Or(opt.Log).Error("panic while connecting media", xlog.Err, why.Err, "stack", string(stack))
			tried <- why
		})
		tried <- conn.Connect(ctx, o.Transport)
	})
	return nil
}

// Tried gives how the latest attempt to connect went, once: nil, or why not. It gives nothing after Disconnect.
func (l *Link) Tried() <-chan error { return l.tried }

// Disconnect closes what is connected, beside the caller. The offer stays.
func (l *Link) Disconnect() {
	if conn := l.conn; conn != nil {
		l.wg.Go(conn.Close)
	}
	l.conn, l.tried = nil, nil
}

// Wait blocks until all that was connected is closed; the context of Connect has to be over.
func (l *Link) Wait() { l.wg.Wait() }
