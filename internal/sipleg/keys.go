package sipleg

import (
	"fmt"
	"strings"
	"time"

	"jigasi/internal/leg"
)

const (
	pause    = 2 * time.Second        // of a comma, as telephones have it
	between  = 100 * time.Millisecond // two keys
	maxTyped = 128                    // keys that wait
	firstKey = 100                    // length in ms of a key that nobody pressed
)

// typed has a key, or a pause, come to the phone after those before it. It does not block.
func (l *Leg) typed(d leg.Digit) {
	d.Duration = max(d.Duration, l.opt.MinKey)
	l.typeMu.Lock()
	defer l.typeMu.Unlock()
	if len(l.queue) < maxTyped {
		l.queue = append(l.queue, d)
	}
	l.post(func() {
		if l.typing == nil {
			l.typeNext()
		}
	})
}

// typeFirst sends what is to be typed when the phone is picked up.
func (l *Leg) typeFirst() {
	for _, key := range l.opt.Typed {
		l.typed(leg.Digit{Key: key, Duration: firstKey})
	}
	l.opt.Typed = ""
}

// typeNext sends the next key. Keys of people in the meeting are for a phone that hears them: one that is not up gets none.
func (l *Leg) typeNext() {
	l.typing = nil
	l.typeMu.Lock()
	defer l.typeMu.Unlock()
	if l.phase != leg.Up {
		l.queue = nil
	}
	if len(l.queue) == 0 {
		return
	}
	d := l.queue[0]
	l.queue = l.queue[1:]
	wait := pause
	if d.Key != leg.Pause {
		l.typeKey(d)
		wait = time.Duration(d.Duration)*time.Millisecond + between
	}
	l.typing = time.After(wait)
}

// typeKey sends a key to the phone: as the account wants it, else as event where the phone takes it, and by INFO where not.
func (l *Leg) typeKey(d leg.Digit) {
	switch {
	case l.opt.Keys == KeysTones && l.player != nil:
		if !l.player.Key(d.Key, d.Duration) {
			l.log.Debug("a key was dropped: too many wait")
		}
	case l.opt.Keys == KeysInfo || l.opt.Keys == KeysTones || !l.port.SendKey(d.Key, d.Duration) && l.opt.Keys != KeysRTP:
		l.infoKey(d)
	}
}

// infoKey sends a key by SIP INFO.
func (l *Leg) infoKey(d leg.Digit) {
	if l.dialog != nil && strings.ContainsRune("0123456789*#ABCD", d.Key) {
		l.dialog.Info("application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", d.Key, d.Duration), nil)
	}
}

// key takes a key of the phone: *6 mutes and unmutes, *9 asks for permission to speak. All others go to the meeting's
// side; a star waits until it is known what it belongs to, for Options.Star.
func (l *Leg) key(key rune, ms int) {
	star := l.star != nil
	l.star = nil
	switch {
	case star && key == '6':
		l.tell(leg.Event{Signal: leg.Mute{On: !l.muted}})
		return
	case star && key == '9':
		l.tell(leg.Event{Signal: leg.RaiseHand{}})
		return
	case star:
		l.pass('*', l.starMS)
	}
	if key == '*' {
		l.star, l.starMS = time.After(l.opt.Star), ms
		return
	}
	l.pass(key, ms)
}

// alone is a star that nothing followed.
func (l *Leg) alone() {
	l.star = nil
	l.pass('*', l.starMS)
}

// pass gives a key to the meeting's side, where that is wanted: everybody in the meeting can read it.
func (l *Leg) pass(key rune, ms int) {
	if l.opt.KeysToMeeting {
		l.tell(leg.Event{Signal: leg.Digit{Key: key, Duration: ms}})
	}
}
