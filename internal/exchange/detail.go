package exchange

import (
	"context"
	"log/slog"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/xlog"
)

// A Detail is all that is known of a call, for who wants to know why it went as it did.
type Detail struct {
	Record
	Story []xlog.Line // what was logged of it
	Phone leg.Report
	Seat  leg.Report
}

// maxEnded is how many calls are remembered after their end.
const maxEnded = 100

func detail(e *entry) Detail {
	return Detail{Record: record(e), Story: e.place.story.Lines(), Phone: e.phone.Report(), Seat: e.seat.Report()}
}

// logEnd writes the one line that tells the end of a call.
func logEnd(log *slog.Logger, d Detail) {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	direction := "in"
	if d.Outgoing {
		direction = "out"
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "call ended",
		slog.String(xlog.Cause, d.Cause.Code.String()), slog.String("why", d.Why()),
		slog.String("direction", direction), slog.String(xlog.Account, d.Account),
		slog.Int64("lasted_ms", ms(d.Lasted)), slog.Int64("joining_ms", ms(d.Joining)), slog.Int64("waiting_ms", ms(d.Waiting)),
		slog.Int64("answering_ms", ms(d.Answering)), slog.Int64("talking_ms", ms(d.Talking)),
		slog.GroupAttrs("phone", d.Phone.Facts...), slog.GroupAttrs("meeting", d.Seat.Facts...))
}

// keep remembers a call that has ended.
func (x *Exchange) keep(d Detail) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.ended) == maxEnded {
		x.ended = append(x.ended[:0], x.ended[1:]...)
	}
	x.ended = append(x.ended, d)
}

// Ended are the calls that have ended lately, the oldest first.
func (x *Exchange) Ended() []Record {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := make([]Record, len(x.ended))
	for i, d := range x.ended {
		all[i] = d.Record
	}
	return all
}

// Detail gives a call that runs or has ended lately.
func (x *Exchange) Detail(id string) (Detail, bool) {
	x.mu.Lock()
	e := x.calls[id]
	for _, d := range x.ended {
		if d.ID == id {
			x.mu.Unlock()
			return d, true
		}
	}
	x.mu.Unlock()
	if e == nil {
		return Detail{}, false
	}
	return detail(e), true
}

// Mute has the phone of a call silenced, or heard again where the meeting allows it, as by the phone itself.
// It reports whether there is such a call.
func (x *Exchange) Mute(id string, on bool) bool {
	return x.with(id, func(e *entry) { e.seat.Send(leg.Mute{On: on}) })
}

// Press sends keys to the phone of a call (0-9 * # A-D, a comma is a pause), and reports whether there is such a call.
func (x *Exchange) Press(id, keys string) bool {
	return x.with(id, func(e *entry) {
		for _, k := range keys {
			e.phone.Send(leg.Digit{Key: k, Duration: 100})
		}
	})
}

// Hangup ends the call of that id, and reports whether there was one.
func (x *Exchange) Hangup(id string, why cause.Cause) bool {
	return x.with(id, func(e *entry) { e.Hangup(why) })
}

func (x *Exchange) with(id string, f func(*entry)) bool {
	x.mu.Lock()
	e := x.calls[id]
	x.mu.Unlock()
	if e == nil {
		return false
	}
	f(e)
	return true
}
