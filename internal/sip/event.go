package sip

import (
	"jigasi/internal/cause"
	"jigasi/internal/siptx"

	"github.com/emiago/sipgo/sip"
)

// EventKind says what an Event is about.
type EventKind uint8

const (
	// Progress: a provisional response to our INVITE; SDP may be early media.
	Progress EventKind = iota
	// Answered: a 2xx to our INVITE with its SDP; the ACK has been sent.
	Answered
	// Confirmed: the ACK to our 2xx came, with SDP if our 2xx carried an offer.
	Confirmed
	// Offer: a re-INVITE or UPDATE wants another session; Reply answers. Without SDP the peer
	// wants our offer in the reply, and Confirmed brings its answer.
	Offer
	// Info: an INFO request; Reply answers.
	Info
	// Ended: the dialog is over; the channel is closed after it.
	Ended
)

// An Event is what a dialog tells its owner.
type Event struct {
	Kind        EventKind
	Status      int    // Progress, Answered
	Reason      string // Progress
	SDP         []byte
	ContentType string // Info
	Body        []byte // Info
	Cause       cause.Cause
	// Reply answers an Offer or Info, once; later calls do nothing. It does not block.
	Reply func(status int, sdp []byte)

	res *sip.Response
}

// Header gives a header of the response that a Progress or Answered tells of.
func (e Event) Header(name string) string {
	if e.res == nil {
		return ""
	}
	return siptx.Clean(siptx.Value(e.res, name))
}

// maxEvents is how many events wait for an owner. Those that a peer can send without end take half of
// the room at most, so that the others always fit.
const maxEvents = 64

// tell gives an event to the owner; false means that it does not keep up and the event is lost.
func (d *Dialog) tell(e Event) bool {
	limit := maxEvents
	switch e.Kind {
	case Progress, Info, Offer:
		limit = maxEvents / 2
	case Ended:
	default:
		limit--
	}
	if len(d.events) >= limit {
		return false
	}
	select {
	case d.events <- e:
		return true
	default:
		return false
	}
}

// Events are what happens to the dialog, in order. The channel is closed after Ended.
func (d *Dialog) Events() <-chan Event { return d.events }
