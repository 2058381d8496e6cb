package sipleg

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/prompt"
	"jigasi/internal/sip"
	"jigasi/internal/sipinfo"
)

// maxInfos bounds the messages that wait for the dialog.
const maxInfos = 32

// inform sends a message to the phone, or keeps it until the dialog is up.
func (l *Leg) inform(body []byte) {
	if l.unread {
		return
	}
	if l.dialog == nil || l.phase != leg.Up {
		if len(l.unsent) < maxInfos {
			l.unsent = append(l.unsent, body)
		}
		return
	}
	l.send(body)
}

// send sends a message. An ordinary phone refuses it, and gets no other.
func (l *Leg) send(body []byte) {
	l.dialog.Info(sipinfo.ContentType, body, func(status int) {
		if status == 405 || status == 415 || status == 489 || status == 469 || status == 501 {
			l.post(func() { l.unread, l.unsent = true, nil })
		}
	})
}

// numbered sends a message of the lobby.
func (l *Leg) numbered(t int) {
	l.inform(sipinfo.Numbered(l.counted, t))
	l.counted++
}

// flush sends what waited for the dialog.
func (l *Leg) flush() {
	for _, body := range l.unsent {
		l.send(body)
	}
	l.unsent = nil
}

// beat asks the phone whether it is there (gateway spec 3.8): two beats without answer end the call. One that was not
// picked up yet is asked nothing, and has nothing to answer.
func (l *Leg) beat() {
	if l.phase != leg.Up {
		return
	}
	if l.beats >= 2 {
		l.opt.Counts.NoHeartbeat.Add(1)
		l.leave(cause.Cause{Code: cause.Timeout, Text: "No response on heartbeat: let the phone answer SIP INFO in JSON, or switch heartbeats off"})
		return
	}
	l.beats++
	l.dialog.Info(sipinfo.ContentType, sipinfo.Plain(sipinfo.Heartbeat), nil)
}

// heartbeat is the ticker of beats, nil without.
func heartbeat(every time.Duration) (<-chan time.Time, func()) {
	if every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// mute is the meeting's order to be silent, or its word that the phone may be heard: it is carried out
// already, the phone is told.
func (l *Leg) mute(m leg.Mute) {
	id := m.ID
	if id == "" {
		id = rand.Text()
	}
	l.inform(sipinfo.MuteRequest(id, m.On))
	l.nowMuted(m.On)
}

// mutedNow answers the phone's own wish.
func (l *Leg) mutedNow(m leg.Muted) {
	if m.ID != "" {
		l.inform(sipinfo.MuteResponse(m.ID, m.On, m.OK))
	}
	if m.OK {
		l.nowMuted(m.On)
	}
}

func (l *Leg) nowMuted(on bool) {
	if l.muted == on {
		return
	}
	l.muted = on
	sound := prompt.Unmuted
	if on {
		sound = prompt.Muted
	}
	l.say(sound, func() {})
}

// info answers an INFO: keys of the phone (dtmf-relay), messages in JSON, or nothing that is known here.
func (l *Leg) info(e sip.Event) int {
	kind, _, _ := strings.Cut(e.ContentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/dtmf-relay", "application/dtmf":
		key, ms, ok := parseRelay(string(e.Body))
		if !ok {
			return 400
		}
		l.key(key, ms)
		return 200
	case sipinfo.ContentType:
		return l.message(e.Body)
	case "":
		return 200
	}
	return 415
}

// message takes what the phone says in JSON.
func (l *Leg) message(body []byte) int {
	m, err := sipinfo.Parse(body)
	if err != nil {
		l.log.Warn("a message of the phone cannot be read", "err", err)
		return 400
	}
	switch m.Kind {
	case sipinfo.Beat:
		l.beats--
	case sipinfo.GivePassword:
		l.tell(leg.Event{Signal: leg.Password{Text: m.Password}})
	case sipinfo.AskMute:
		l.tell(leg.Event{Signal: leg.Mute{On: m.Mute, ID: m.ID}})
	case sipinfo.ConfirmMute:
		if m.OK {
			l.muted = m.Mute
			l.tell(leg.Event{Signal: leg.Muted{On: m.Mute, OK: true, ID: m.ID}})
		}
	case sipinfo.Unused:
	}
	return 200
}

// parseRelay reads "Signal=5\r\nDuration=160", or a bare "5".
func parseRelay(body string) (key rune, ms int, ok bool) {
	ms = 200
	signal := strings.TrimSpace(body)
	if len(body) > 256 {
		return 0, 0, false
	}
	for _, line := range strings.FieldsFunc(body, func(r rune) bool { return r == '\r' || r == '\n' }) {
		name, v, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "signal":
			signal = strings.TrimSpace(v)
		case "duration":
			if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && n > 0 {
				ms = min(n, int(10*time.Second/time.Millisecond))
			}
		}
	}
	switch signal {
	case "10":
		signal = "*"
	case "11":
		signal = "#"
	}
	if len(signal) != 1 || !strings.Contains("0123456789*#ABCD", strings.ToUpper(signal)) {
		return 0, 0, false
	}
	return rune(strings.ToUpper(signal)[0]), ms, true
}
