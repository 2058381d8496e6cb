package meetxml

import (
	"encoding/json"
	"strconv"
	"strings"

	"jigasi/internal/stanza"
)

// Features of members that are no people.
const (
	FeatureTranscriber = "http://jitsi.org/protocol/transcriber"
	FeatureJibri       = "http://jitsi.org/protocol/jibri"
)

// TranscriberFeatures is what disco#info of a transcriber lists: a phone's that presses no keys.
func TranscriberFeatures() []string {
	var out []string
	for _, f := range Features() {
		if f != FeatureDTMF {
			out = append(out, f)
		}
	}
	return append(out, FeatureTranscriber)
}

// A Listener is what a presence says of a member that a transcriber has to know (transcription spec 3.1, 6.1).
type Listener struct {
	Nick, Name string
	JID        stanza.JID

	Language    string // that it speaks, as it says; valid if Speaks
	Speaks      bool   // it says which
	Target      string // that it reads; "" is what was said
	Wants       bool   // that speech is transcribed
	Knows       bool   // it says whether it wants that
	Muted       bool
	HandRaised  bool
	Status      string // of a transcriber: ON, OFF or not said
	Transcriber bool
	Recorder    bool
	Phone       bool

	Email, Avatar             string
	UserName, UserID, GroupID string
}

// limits of what a member can make us remember.
const (
	maxTag  = 64
	maxWord = 1024
)

// ParseListener reads a presence of a member; o is what ParseOccupant made of it.
func ParseListener(p *stanza.Elem, o Occupant) Listener {
	text := func(e *stanza.Elem, name string) string {
		if k := e.Kid("", name); k != nil && len(k.Text) <= maxWord {
			return strings.TrimSpace(k.Text)
		}
		return ""
	}
	l := Listener{Nick: o.Nick, Name: short(o.Name), JID: o.JID}
	if k := p.Kid("", "jitsi_participant_transcription_language"); k != nil && len(k.Text) <= maxTag {
		l.Language, l.Speaks = strings.TrimSpace(k.Text), true
	}
	if t := text(p, "jitsi_participant_translation_language"); len(t) <= maxTag {
		l.Target = t
	}
	if k := p.Kid("", "jitsi_participant_requestingTranscription"); k != nil {
		l.Wants, l.Knows = strings.EqualFold(strings.TrimSpace(k.Text), "true"), true
	}
	hand := text(p, "jitsi_participant_raisedHand")
	l.HandRaised = hand != "" && hand != "0" && hand != "false"
	l.Muted = mutedIn(text(p, "SourceInfo")) || text(p, "audiomuted") == "true"
	l.Status = p.Kid("", "transcription-status").Get("status")
	for _, f := range p.Kid("", "features").All("", "feature") {
		switch f.Get("var") {
		case FeatureTranscriber:
			l.Transcriber = true
		case FeatureJibri:
			l.Recorder = true
		case FeatureJigasi:
			l.Phone = true
		}
	}
	l.Email, l.Avatar = text(p, "email"), text(p, "avatar-url")
	if id := p.Kid("", "identity"); id != nil {
		user := id.Kid("", "user")
		l.UserName, l.UserID, l.GroupID = text(user, "name"), text(user, "id"), text(id, "group")
		if a := text(user, "avatar"); a != "" {
			l.Avatar = a
		}
	}
	return l
}

// mutedIn reports whether SourceInfo says that the microphone, whose name ends in a0, is muted.
func mutedIn(s string) bool {
	var sources map[string]struct {
		Muted bool `json:"muted"`
	}
	if s == "" || json.Unmarshal([]byte(s), &sources) != nil {
		return false
	}
	for name, src := range sources {
		if strings.HasSuffix(name, "a0") && src.Muted {
			return true
		}
	}
	return false
}

func short(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxWord)], "") }

// Metadata is what the metadata of a room say to a transcriber (transcription spec 1.10).
type Metadata struct {
	Transcribing bool     // the room wants to be
	Visitors     int      // of those who want it and cannot be seen
	Languages    []string // that they read
	Service      string   // the speech service that the server has chosen: transcriberType
}

// ParseMetadata reads a room_metadata message, and the same JSON in the room's disco#info. A value of a
// wrong type is as one that is not there.
func ParseMetadata(text string) (m Metadata, ok bool) {
	var raw struct {
		Type     string                     `json:"type"`
		Metadata map[string]json.RawMessage `json:"metadata"`
	}
	if len(text) > maxJSON || json.Unmarshal([]byte(text), &raw) != nil || raw.Type != "room_metadata" {
		return Metadata{}, false
	}
	read := func(b json.RawMessage, key string) json.RawMessage {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(b, &fields) // what is no object has no fields
		return fields[key]
	}
	_ = json.Unmarshal(read(raw.Metadata["recording"], "isTranscribingEnabled"), &m.Transcribing)
	_ = json.Unmarshal(raw.Metadata["transcriberType"], &m.Service)
	count := strings.Trim(string(read(raw.Metadata["visitors"], "transcribingCount")), `"`)
	m.Visitors, _ = strconv.Atoi(count)
	var list string
	_ = json.Unmarshal(read(raw.Metadata["visitors"], "transcribingLanguages"), &list)
	for lang := range strings.SplitSeq(list, ",") {
		if lang = strings.TrimSpace(lang); lang != "" && len(lang) <= maxTag && len(m.Languages) < 100 {
			m.Languages = append(m.Languages, lang)
		}
	}
	return m, true
}

// MetadataRequest asks a room for its disco#info.
func MetadataRequest() *stanza.Elem { return stanza.New(nsDisco, "query") }

// RoomMetadata is the JSON of the metadata in the room's disco#info; "" is none.
func RoomMetadata(iq *stanza.Elem) string { return roomField(iq, "muc#roominfo_jitsimetadata") }

// RoomStartsMuted reports whether the metadata in the room's disco#info have people start muted.
func RoomStartsMuted(iq *stanza.Elem) bool {
	var m struct {
		Metadata struct {
			StartMuted struct {
				Audio bool `json:"audio"`
			} `json:"startMuted"`
		} `json:"metadata"`
	}
	text := RoomMetadata(iq)
	return len(text) <= maxJSON && json.Unmarshal([]byte(text), &m) == nil && m.Metadata.StartMuted.Audio
}

// RoomLobby reports whether the room's disco#info names a lobby.
func RoomLobby(iq *stanza.Elem) bool { return roomField(iq, "muc#roominfo_lobbyroom") != "" }

func roomField(iq *stanza.Elem, name string) string {
	for _, x := range iq.Kid(nsDisco, "query").All("jabber:x:data", "x") {
		for _, f := range x.All("", "field") {
			if f.Get("var") == name {
				if v := f.Kid("", "value"); v != nil {
					return v.Text
				}
			}
		}
	}
	return ""
}

// JSONMessage is a message to a room that its clients read and nobody sees (transcription spec 6.1).
func JSONMessage(text []byte) *stanza.Elem {
	return stanza.New("", "message", "type", "groupchat").Add(stanza.New(NSMeet, "json-message").WithText(string(text)))
}

// TextMessage is a message to a room that everybody sees.
func TextMessage(text string) *stanza.Elem {
	return stanza.New("", "message", "type", "groupchat").Add(stanza.New("", "body").WithText(text))
}
