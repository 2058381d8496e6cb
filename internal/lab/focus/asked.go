package focus

import "jigasi/internal/stanza"

// asked is an IQ of a member that is no Jingle: a dial or a mute. It reports whether it was one.
func (f *Focus) asked(r *room, m *member, e *stanza.Elem) bool {
	const audio = "http://jitsi.org/jitmeet/audio"
	dial, mute := e.Kid("urn:xmpp:rayo:1", "dial"), e.Kid(audio, "mute")
	switch {
	case mute != nil && mute.Get("jid") == e.Get("from"):
		f.reply(e, nil) // of oneself: who may not unmute is not known here
	case mute != nil:
		target := r.members[stanza.ParseJID(mute.Get("jid")).Resource]
		if m.role != "moderator" || target == nil || mute.Text != "true" {
			f.fail(e, "not-allowed")
			return true
		}
		f.reply(e, nil)
		f.request(r.jid.With(target.nick).String(), stanza.New(audio, "mute", "actor", r.jid.With(m.nick).String()).WithText("true"), "set", nil)
	case dial != nil:
		f.dialed(m, e, dial)
	default:
		return false
	}
	return true
}

// dialed hands a moderator's dial to a gateway, and its answer back as it is.
func (f *Focus) dialed(m *member, e, dial *stanza.Elem) {
	if m.role != "moderator" {
		f.fail(e, "forbidden")
		return
	}
	for at := range f.brewery {
		f.request(at, dial.Clone(), "set", func(res *stanza.Elem) {
			if ref := res.Kid("urn:xmpp:rayo:1", "ref"); res.Get("type") == "result" && ref != nil {
				f.reply(e, ref)
			} else {
				f.fail(e, "internal-server-error")
			}
		})
		return
	}
	f.fail(e, "service-unavailable")
}
