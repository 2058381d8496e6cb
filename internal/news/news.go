// Package news names what happens in a meeting that a phone is told: by a voice, by SIP INFO, or both. It is the word
// between the meeting's side, which sees it happen, and the phone's, which knows how to say it.
package news

// An Item is a piece of news.
type Item uint8

// The items.
const (
	LobbyEntered     Item = iota // waiting for somebody to let the phone in
	LobbyGranted                 // let in
	RecordingOn                  // the meeting is recorded
	RecordingOff                 //
	StreamingOn                  // the meeting is streamed live
	StreamingOff                 //
	TranscriptionOn              // what is said is written down
	TranscriptionOff             //
	MemberJoined                 //
	MemberLeft                   //
	Alone                        // nobody else is there
	ModerationOn                 // who is no moderator speaks by permission only
	ModerationOff                //
	MayUnmute                    // permission was given
	MayNotUnmute                 // permission was taken back
	HandRaised                   // permission was asked for
	NotLive                      // the meeting has not started; the phone waits
	Live                         // it has
	Visiting                     // the phone is a visitor: it hears and is not heard
	Promoted                     // it is no visitor any more
	items
)

// String is the item's name in lower case.
func (i Item) String() string {
	return [...]string{
		"lobby_entered", "lobby_granted", "recording_on", "recording_off", "streaming_on", "streaming_off", "transcription_on", "transcription_off",
		"member_joined", "member_left", "alone", "moderation_on", "moderation_off", "may_unmute", "may_not_unmute", "hand_raised",
		"not_live", "live", "visiting", "promoted", "?",
	}[min(i, items)]
}
