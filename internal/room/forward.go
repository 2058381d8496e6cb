package room

import (
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// maxApart is how many speakers an ear passes on at once: more than anybody can follow, and not a meeting of hundreds
// with open microphones.
const maxApart = 8

// apart is of an ear whose packets go on as they are, each speaker's by themselves (docs/adr/0031). It decides for itself
// whom it passes on; in what the ears of a room share it takes part as any other.
type apart struct {
	to     media.Apart // nil: the ear hears the mix
	places [maxApart]*stream
}

// listen has the ear pass packets on to another, or hear the mix again. Called with mu held.
func (e *Ear) listen(to media.Apart) {
	e.apart = apart{to: to}
	for _, v := range e.views {
		v.pass, v.cut, v.sent = false, true, false
	}
}

// wants reports whether a packet goes on, by its header alone: of a known owner, of the loudest, and no silence.
func (a *apart) wants(m *meeting, v *view, h *rtpx.Header, now time.Time) bool {
	v.pass = v.known && m.chosen(a.places[:], v.s, h, now)
	if !v.pass {
		v.cut = true
	}
	return v.pass
}

// take gives who gets the packet that was judged last, nil for nobody, and whether there were others before
// it that were left out.
func (a *apart) take(v *view) (to media.Apart, cut bool) {
	if v == nil || !v.pass {
		return nil, false
	}
	cut = v.cut
	v.pass, v.cut, v.sent = false, false, true
	return a.to, cut
}

func (a *apart) drop(s *stream) {
	for i := range a.places {
		if a.places[i] == s {
			a.places[i] = nil
		}
	}
}

// chosen reports whether s has one of these places, or gets it, as the meeting's own are given.
func (m *meeting) chosen(places []*stream, s *stream, h *rtpx.Header, now time.Time) bool {
	quiet := h.HasLevel && h.Level == audio.Silent
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range places {
		if c == s {
			return !quiet || now.Sub(s.loud) < holdOn
		}
	}
	if quiet {
		return false
	}
	i := weakest(places, now)
	if !yields(places[i], s, now) {
		return false
	}
	places[i] = s
	return true
}

// placed reports whether s is heard in the mix: what is passed on alone is not kept.
func (m *meeting) placed(s *stream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.placeOf(s) >= 0
}

// keepUp takes a turn and hears nothing of it, so that what is held for the mix is not old when it is wanted. An ear that is
// at work in the room meanwhile does so for all: nobody who passes packets on waits for it.
func (e *Ear) keepUp(m *meeting, c *media.Chunk) {
	if m.turning.TryLock() {
		m.turn(&e.pull)
		m.turning.Unlock()
	}
	e.pull.same = 0
	clear(c.PCM)
	c.Level, c.Measured = audio.Silent, true
}
