package focus

import (
	"encoding/json"
	"fmt"
	"slices"

	"jigasi/internal/stanza"
)

// rules is what the moderation component has told of a room's sound.
type rules struct {
	on      bool
	allowed []string // occupant JIDs
}

// told is a message of a part of the server: moderation of audio is carried out, the rest is none of ours.
func (f *Focus) told(e *stanza.Elem) {
	j := e.Kid("http://jitsi.org/jitmeet", "json-message")
	if j == nil || f.opt.Moderation == "" || e.Get("from") != f.opt.Moderation {
		return
	}
	var m struct {
		Type, Room, Actor string
		MediaType         string `json:"mediaType"`
		Enabled           *bool
		Whitelists        map[string][]string
	}
	if json.Unmarshal([]byte(j.Text), &m) != nil || m.Type != "av_moderation" || m.MediaType != "audio" {
		return
	}
	r := f.rooms[stanza.ParseJID(m.Room).Bare().String()]
	switch {
	case r == nil:
	case m.Enabled != nil && *m.Enabled != r.rules.on:
		r.rules = rules{on: *m.Enabled}
		for nick, member := range r.members {
			if at := r.jid.With(nick).String(); r.rules.on && at != m.Actor && (!member.gateway || member.mutable) {
				f.request(at, stanza.New(nsAudio, "mute").WithText("true"), "set", nil)
			}
		}
	case m.Whitelists != nil:
		r.rules.allowed = m.Whitelists["audio"]
	}
}

// mayUnmute reports whether a member may be heard by its own wish.
func (r *room) mayUnmute(m *member) bool {
	return !r.rules.on || m.role == "moderator" || slices.Contains(r.rules.allowed, r.jid.With(m.nick).String())
}

// recorder starts or stops a recording for a moderator: nothing is recorded, but the room sees it.
func (f *Focus) recorder(r *room, m *member, e, ask *stanza.Elem) {
	const ns = "http://jitsi.org/protocol/jibri"
	status := func(s string) {
		r.recorder = stanza.New(ns, "jibri-recording-status", "session_id", r.recording, "recording_mode", r.mode, "status", s, "initiator", m.real.String())
		f.show(r.jid)
	}
	switch {
	case m.role != "moderator":
		f.fail(e, "not-allowed")
	case ask.Get("action") == "start":
		f.next++
		r.recording, r.mode = fmt.Sprintf("rec%d", f.next), ask.Get("recording_mode")
		f.reply(e, stanza.New(ns, "jibri", "session_id", r.recording, "status", "pending"))
		status("pending")
		status("on")
	case r.recording == "":
		f.fail(e, "item-not-found")
	default:
		f.reply(e, nil)
		status("off")
		r.recording = ""
	}
}
