package exchange

import (
	"context"
	"fmt"
	"sort"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// A Record is what is known of a call, running or ended.
type Record struct {
	ID, SIPCallID string
	Room          stanza.JID
	Occupant      stanza.JID
	Peer          string // the other party's number, masked
	Account       string // by which it came, or went first; "" is a trunk
	Outgoing      bool
	State         call.State
	Began         time.Time
	Lasted        time.Duration
	Joining       time.Duration // from the start until the meeting was ready
	Talking       time.Duration // sound both ways
	Waiting       time.Duration // of joining: for people
	Answering     time.Duration // both sides going up
	Cause         cause.Cause
}

// advice is what to look at when a called party's side refuses a call.
var advice = map[cause.Code]string{
	cause.AuthFailed:  "check user, password and auth_user of the account",
	cause.Forbidden:   "its server does not let the account call that; ask the provider, or choose another account by dial_out.rules",
	cause.NotFound:    "check the number, and strip and prefix of dial_out.rules",
	cause.NoCodec:     "it takes none of what was offered: see media.codecs and media.srtp",
	cause.BadRequest:  "look at what was sent, in /calls or with tcpdump",
	cause.Unavailable: "its server is in trouble, or does not serve this account",
}

// Why is the cause in a sentence that says what to do. A refusal by the called party's side, which the room reads in its
// own words, has its status.
func (r Record) Why() string {
	if !r.Outgoing || r.Cause.Status < 300 {
		return r.Cause.String()
	}
	why := fmt.Sprintf("the called side answered %d %s", r.Cause.Status, r.Cause.Text)
	if what := advice[r.Cause.Code]; what != "" {
		why += ": " + what
	}
	return why
}

func record(e *entry) Record {
	return Record{
		ID: e.ID(), SIPCallID: e.sipID, Room: e.place.Room, Occupant: e.seat.Occupant(), Peer: xlog.Number(e.peer), Account: e.place.Account,
		Outgoing: e.outgoing, State: e.State(), Began: e.Began(), Lasted: time.Since(e.Began()),
		Joining: e.Spent(call.Joining) + e.Spent(call.Waiting), Talking: e.Spent(call.Active),
		Waiting: e.Spent(call.Waiting), Answering: e.Spent(call.Answering), Cause: e.Cause(),
	}
}

// Calls are the calls that run now, oldest first.
func (x *Exchange) Calls() []Record {
	x.mu.Lock()
	entries := make([]*entry, 0, len(x.calls))
	for _, e := range x.calls {
		if e != nil {
			entries = append(entries, e)
		}
	}
	x.mu.Unlock()
	all := make([]Record, len(entries))
	for i, e := range entries {
		all[i] = record(e)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Began.Before(all[j].Began) })
	return all
}

// HangupOccupant ends the call that sits at an address in a room.
func (x *Exchange) HangupOccupant(at stanza.JID, why cause.Cause) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.calls {
		if e != nil && (e.seat.Occupant().Equal(at) || !e.ref.IsZero() && e.ref.Equal(at)) {
			e.Hangup(why)
			return true
		}
	}
	return false
}

// Stats is the exchange in numbers. The last five only grow.
type Stats struct {
	Calls        int     // of any state
	Conferences  int     // calls whose room has been entered
	Participants int     // people in those rooms, each room's own phone included, the focus not
	Sizes        [22]int // rooms by their people; the last is 21 and more
	Draining     bool

	Incoming, Outgoing, Refused, Failed, Ended int64
}

// Stats counts now.
func (x *Exchange) Stats() Stats {
	s := Stats{
		Draining: x.draining.Load(), Incoming: x.total.incoming.Load(), Outgoing: x.total.outgoing.Load(),
		Refused: x.total.refused.Load(), Failed: x.total.failed.Load(), Ended: x.total.ended.Load(),
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s.Calls = len(x.calls)
	for _, e := range x.calls {
		if e == nil {
			continue
		}
		select {
		case <-e.seat.Joined():
			s.Conferences++
			people := e.seat.Members() + 1
			s.Participants += people
			s.Sizes[min(people, len(s.Sizes)-1)]++
		default:
		}
	}
	return s
}

// Drain refuses new calls from now on. It returns when no call is left, or ctx is done.
func (x *Exchange) Drain(ctx context.Context) error {
	x.mu.Lock()
	x.draining.Store(true) // under the lock: no admit can follow the Wait below
	x.mu.Unlock()
	x.changed()
	done := make(chan struct{})
	go func() {
		x.idle.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Draining reports whether Drain or Close has been called.
func (x *Exchange) Draining() bool { return x.draining.Load() }

// Close hangs all calls up and waits for their end, or for ctx.
func (x *Exchange) Close(ctx context.Context) error {
	x.mu.Lock()
	x.draining.Store(true)
	for _, e := range x.calls {
		if e != nil {
			e.Hangup(cause.Cause{Code: cause.Shutdown, Text: "the gateway was stopped"})
		}
	}
	x.mu.Unlock()
	defer x.cancel(cause.Cause{Code: cause.Shutdown})
	return x.Drain(ctx)
}
