package focus

import "jigasi/internal/stanza"

const nsAudio = "http://jitsi.org/jitmeet/audio"

// asked is an IQ of a member that is no Jingle: a dial, a mute or a recording. It reports whether it was one.
func (f *Focus) asked(r *room, m *member, e *stanza.Elem) bool {
	dial, mute, record := e.Kid("urn:xmpp:rayo:1", "dial"), e.Kid(nsAudio, "mute"), e.Kid("http://jitsi.org/protocol/jibri", "jibri")
	switch {
	case mute != nil && mute.Get("jid") == e.Get("from") && mute.Text == "false" && !r.mayUnmute(m):
		f.fail(e, "not-allowed")
	case mute != nil && mute.Get("jid") == e.Get("from"):
		f.reply(e, nil)
	case mute != nil:
		target := r.members[stanza.ParseJID(mute.Get("jid")).Resource]
		if m.role != "moderator" || target == nil || mute.Text != "true" {
			f.fail(e, "not-allowed")
			return true
		}
		f.reply(e, nil)
		f.request(r.jid.With(target.nick).String(), stanza.New(nsAudio, "mute", "actor", r.jid.With(m.nick).String()).WithText("true"), "set", nil)
	case dial != nil:
		f.dialed(m, e, dial)
	case record != nil:
		f.recorder(r, m, e, record)
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
