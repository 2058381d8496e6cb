package meetxml

import (
	"encoding/json"

	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

const (
	nsMute  = "http://jitsi.org/jitmeet/audio"
	nsJibri = "http://jitsi.org/protocol/jibri"
	nsDisco = "http://jabber.org/protocol/disco#info"
)

// Components are the addresses of the server's parts by type ("av_moderation", "room_metadata"): a message of a
// part counts only if it comes from there (conference spec 1.5).
type Components map[string]stanza.JID

// ComponentsRequest asks the main domain for them.
func ComponentsRequest() *stanza.Elem { return stanza.New(nsDisco, "query") }

// ParseComponents reads the answer.
func ParseComponents(iq *stanza.Elem) Components {
	c := Components{}
	for _, i := range iq.Kid(nsDisco, "query").All("", "identity") {
		if i.Get("category") == "component" && i.Get("name") != "" && len(c) < 32 {
			c[i.Get("type")] = stanza.ParseJID(i.Get("name"))
		}
	}
	return c
}

// IsMute reports whether an IQ asks us to be silent, or would be asked so by us.
func IsMute(iq *stanza.Elem) bool { return iq.Kid(nsMute, "mute") != nil }

// ParseMute reads it; ok is false where there is no value.
func ParseMute(iq *stanza.Elem) (on, ok bool) {
	m := iq.Kid(nsMute, "mute")
	if m == nil || m.Text != "true" && m.Text != "false" {
		return false, false
	}
	return m.Text == "true", true
}

// MuteRequest asks the focus to have an occupant, ourselves, muted or unmuted.
func MuteRequest(occupant stanza.JID, on bool) *stanza.Elem {
	text := "false"
	if on {
		text = "true"
	}
	return stanza.New(nsMute, "mute", "jid", occupant.String()).WithText(text)
}

// A Message is what a json-message says that a phone has to know.
type Message struct {
	Type string // av_moderation, room_metadata, or what else there is
	Room string // as the message says; may be empty

	Enabled           *bool // av_moderation of audio: on or off
	Approved, Removed bool  // the same, of ourselves

	StartMuted   bool  // room_metadata
	Transcribing bool  // room_metadata: speech is written down
	Lobby        *bool // room_metadata: the room has a lobby; nil where it does not say

	MoveTo stanza.JID // breakout_rooms: we are to go to that room; zero if not
	Demote string     // visitors: who is to be a visitor from now on, by endpoint id
}

// maxJSON bounds a json-message.
const maxJSON = 256 << 10

// ParseMessage reads the json-message of a message stanza; ok is false if there is none that can be read.
func ParseMessage(e *stanza.Elem) (m Message, ok bool) {
	j := e.Kid(NSMeet, "json-message")
	if j == nil || len(j.Text) > maxJSON {
		return Message{}, false
	}
	var raw struct {
		Type      string `json:"type"`
		Room      string `json:"room"`
		MediaType string `json:"mediaType"`
		Event     string `json:"event"`
		RoomJID   string `json:"roomJid"`
		Action    string `json:"action"`
		ID        string `json:"id"`
		Enabled   *bool  `json:"enabled"`
		Approved  bool   `json:"approved"`
		Removed   bool   `json:"removed"`
		Metadata  struct {
			StartMuted struct {
				Audio bool `json:"audio"`
			} `json:"startMuted"`
			Lobby     *bool `json:"lobbyEnabled"`
			Recording struct {
				Transcribing bool `json:"isTranscribingEnabled"`
			} `json:"recording"`
		} `json:"metadata"`
	}
	if json.Unmarshal([]byte(j.Text), &raw) != nil {
		return Message{}, false
	}
	m = Message{Type: raw.Type, Room: raw.Room, StartMuted: raw.Metadata.StartMuted.Audio, Transcribing: raw.Metadata.Recording.Transcribing}
	m.Lobby = raw.Metadata.Lobby
	if raw.Event == "features/breakout-rooms/move-to-room" {
		m.MoveTo = stanza.ParseJID(raw.RoomJID).Bare()
	}
	if raw.Type == "visitors" && raw.Action == "demote-request" {
		m.Demote = raw.ID
	}
	if m.Room == "" {
		m.Room = j.Get("room")
	}
	if raw.MediaType == "audio" {
		m.Enabled, m.Approved, m.Removed = raw.Enabled, raw.Approved, raw.Removed
	}
	return m, true
}

// Recording is what the presence of the focus says of recorders.
type Recording struct {
	Known     bool // it says something
	On        bool
	Streaming bool
}

// ParseRecording reads a presence of the focus (gateway spec 7.2).
func ParseRecording(p *stanza.Elem) Recording {
	var r Recording
	if s := p.Kid(nsJibri, "jibri-recording-status"); s != nil {
		r.Streaming = s.Get("recording_mode") == "stream"
		switch s.Get("status") {
		case "on":
			r.Known, r.On = true, true
		case "off":
			r.Known = true
		}
	}
	for _, x := range p.Kid(NSFocus, "conference-properties").All("", "property") {
		if x.Get("key") == "audio-recording-enabled" {
			r.Known, r.On = true, r.On || x.Get("value") == "true"
		}
	}
	return r
}

// LobbyRoom is where a refused join says that the lobby is; zero if it says nothing (conference spec 5.2).
func LobbyRoom(refusal *stanza.Elem) stanza.JID {
	for _, at := range []*stanza.Elem{refusal.Kid("", "error"), refusal} {
		if l := at.Kid("", "lobbyroom"); l != nil {
			return stanza.ParseJID(l.Text).Bare()
		}
	}
	return stanza.JID{}
}

// ParseInvitation reads a mediated invitation (XEP-0045, 7.8.2); ok is false if e is none.
func ParseInvitation(e *stanza.Elem) (password xlog.Secret, ok bool) {
	x := e.Kid(NSMUCUser, "x")
	if x.Kid("", "invite") == nil {
		return "", false
	}
	if p := x.Kid("", "password"); p != nil {
		password = xlog.Secret(p.Text)
	}
	return password, true
}
