package exchange

import (
	"fmt"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/stanza"
)

// DialLimits bound the calls that we place: what a defect, or somebody who has got hold of the focus, can cost.
type DialLimits struct {
	PerRoom   int           // phones of one room at the same time; 0 is no limit
	PerMinute int           // in all; 0 is no limit
	AtOnce    int           // in all, at the same time; 0 is no limit
	Longest   time.Duration // of each call; 0 is no limit
}

// dialling is what is known of the calls that we place; it is guarded by the exchange's mutex.
type dialling struct {
	rooms   map[string]int
	running int
	recent  []time.Time // of the last minute
}

// mayDial counts one more call out of a room, or says why there is to be none.
func (x *Exchange) mayDial(room stanza.JID) error {
	l := x.opt.Dialling
	x.mu.Lock()
	defer x.mu.Unlock()
	d := &x.dials
	now := time.Now()
	for len(d.recent) > 0 && now.Sub(d.recent[0]) >= time.Minute {
		d.recent = d.recent[1:]
	}
	switch {
	case l.PerMinute > 0 && len(d.recent) >= l.PerMinute:
		return cause.Cause{Code: cause.Full, Text: fmt.Sprintf("%d calls were placed within a minute (dial_out.per_minute)", l.PerMinute)}
	case l.AtOnce > 0 && d.running >= l.AtOnce:
		return cause.Cause{Code: cause.Full, Text: fmt.Sprintf("%d calls that were placed go on already (dial_out.at_once)", l.AtOnce)}
	case l.PerRoom > 0 && d.rooms[room.String()] >= l.PerRoom:
		return cause.Cause{Code: cause.Full, Text: fmt.Sprintf("%d phones were called from this room already (dial_out.per_room)", l.PerRoom)}
	}
	if d.rooms == nil {
		d.rooms = map[string]int{}
	}
	d.rooms[room.String()]++
	d.running++
	if l.PerMinute > 0 {
		d.recent = append(d.recent, now)
	}
	return nil
}

// dialOver is the end of a call out of a room.
func (x *Exchange) dialOver(room stanza.JID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dials.running--
	if x.dials.rooms[room.String()]--; x.dials.rooms[room.String()] <= 0 {
		delete(x.dials.rooms, room.String())
	}
}
