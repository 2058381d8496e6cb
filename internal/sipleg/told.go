package sipleg

import (
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/media"
	"jigasi/internal/news"
	"jigasi/internal/prompt"
	"jigasi/internal/sipinfo"
)

// What a phone is told of each piece of news, by a voice.
var saidOf = map[news.Item]prompt.Sound{
	news.LobbyEntered: prompt.LobbyWait, news.LobbyGranted: prompt.LobbyAccessGranted,
	news.RecordingOn: prompt.RecordingOn, news.RecordingOff: prompt.RecordingStopped,
	news.StreamingOn: prompt.LiveStreamingOn, news.StreamingOff: prompt.LiveStreamingOff,
	news.TranscriptionOn: prompt.TranscriptionOn, news.TranscriptionOff: prompt.TranscriptionOff,
	news.MemberJoined: prompt.ParticipantJoined, news.MemberLeft: prompt.ParticipantLeft, news.Alone: prompt.Alone,
	news.MayUnmute: prompt.MaySpeak, news.HandRaised: prompt.HandRaised,
	news.NotLive:  prompt.NotLive,
	news.Visiting: prompt.Visitor, news.Promoted: prompt.MaySpeak,
}

// What a phone is told at the end, where the meeting is over for it.
var saidAtEnd = map[cause.Code]prompt.Sound{
	cause.LobbyDenied: prompt.LobbyAccessDenied, cause.Destroyed: prompt.LobbyMeetingEnd, cause.Deserted: prompt.LobbyMeetingEnd, cause.Full: prompt.MaxOccupants,
	cause.Kicked: prompt.Removed, cause.Banned: prompt.Removed, cause.PasswordNeeded: prompt.PasswordNeeded,
	cause.Lost: prompt.Lost, cause.FocusLeft: prompt.Lost, cause.NoInvite: prompt.Lost, cause.NoBridge: prompt.Lost,
	cause.MediaFailed: prompt.Lost, cause.Unavailable: prompt.Lost, cause.Timeout: prompt.Lost, cause.Shutdown: prompt.Lost,
}

// onceIn is how often news may be told at the most; what is not here has no limit.
var onceIn = map[news.Item]time.Duration{
	news.MemberJoined: 30 * time.Second, news.MemberLeft: 30 * time.Second,
	news.RecordingOn: 10 * time.Second, news.StreamingOn: 10 * time.Second, news.TranscriptionOn: 10 * time.Second,
}

// told is news for the phone.
func (l *Leg) told(item news.Item) {
	if limit := onceIn[item]; limit > 0 {
		if last, ok := l.toldAt[item]; ok && time.Since(last) < limit {
			return
		}
		l.toldAt[item] = time.Now()
	}
	after := func() {}
	switch item {
	case news.LobbyEntered: // the message follows the voice
		after = func() { l.post(func() { l.numbered(sipinfo.LobbyJoined) }) }
	case news.LobbyGranted:
		l.numbered(sipinfo.LobbyGranted)
		l.numbered(sipinfo.LobbyLeft)
	case news.ModerationOn:
		l.inform(sipinfo.Flag(sipinfo.Moderation, true))
	case news.ModerationOff:
		l.inform(sipinfo.Flag(sipinfo.Moderation, false))
	case news.MayUnmute:
		l.inform(sipinfo.Plain(sipinfo.Approved))
	case news.MayNotUnmute:
		l.inform(sipinfo.Plain(sipinfo.ApprovalRemoved))
	case news.NotLive:
		l.inform(sipinfo.Flag(sipinfo.Live, false))
	case news.Live:
		l.inform(sipinfo.Flag(sipinfo.Live, true))
	case news.Visiting:
		l.inform(sipinfo.Flag(sipinfo.Visitor, true))
	case news.Promoted:
		l.inform(sipinfo.Flag(sipinfo.Visitor, false))
	}
	if l.quietAbout(item) {
		after()
		return
	}
	l.say(saidOf[item], after)
}

// quietAbout reports whether the operator wants no voice for it.
func (l *Leg) quietAbout(item news.Item) bool {
	switch item {
	case news.RecordingOn, news.RecordingOff, news.StreamingOn, news.StreamingOff, news.TranscriptionOn, news.TranscriptionOff:
		return l.opt.NoAnnouncements
	case news.MemberJoined, news.MemberLeft, news.Alone:
		return !l.opt.Chimes
	}
	return false
}

// say plays a sound once the phone is up; done is called when it has been played, or at once
// where there is none.
func (l *Leg) say(s prompt.Sound, done func()) {
	if s == "" || l.player == nil {
		done()
		return
	}
	l.player.Play(s, done)
}

// farewell tells the phone why the meeting is over for it, and hangs up.
func (l *Leg) farewell(why cause.Cause) {
	if why.Code == cause.LobbyDenied {
		l.numbered(sipinfo.LobbyDenied)
	}
	l.say(saidAtEnd[why.Code], func() { l.post(func() { l.leave(why) }) })
}

// Connect implements leg.Phone. Once the phone is up, what it is told lies over the meeting.
func (l *Leg) Connect(p media.Port) {
	l.joinMu.Lock()
	defer l.joinMu.Unlock()
	l.meeting = p
	l.joinPort()
}

// joinPort is called with joinMu held.
func (l *Leg) joinPort() {
	if l.player != nil && l.listens {
		l.port.Connect(l.player.Over(l.meeting))
		return
	}
	l.port.Connect(l.meeting)
}

// listen begins to play what is told.
func (l *Leg) listen() {
	l.joinMu.Lock()
	defer l.joinMu.Unlock()
	l.listens = true
	l.joinPort()
}
