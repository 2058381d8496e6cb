package focus

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/stanza"
)

// invite sends session-initiate to all who have none, once there are enough of them.
func (f *Focus) invite(r *room) {
	if f.bridge == nil || len(f.around(r)) < f.opt.Min {
		return
	}
	for _, nick := range r.order {
		if m := r.members[nick]; m != nil && m.known && m.sid == "" {
			m.sid = fmt.Sprintf("%x", rand.Uint64())
			if f.opt.Delay > 0 {
				time.AfterFunc(f.opt.Delay, func() { f.do(func() { f.offer(r, m, jingle.SessionInitiate) }) })
			} else {
				f.offer(r, m, jingle.SessionInitiate)
			}
		}
	}
}

func (f *Focus) offer(r *room, m *member, action string) {
	if r.members[m.nick] != m || f.bridge == nil {
		return
	}
	ep, err := f.bridge.Endpoint(r.conference(), m.nick)
	if err != nil {
		f.opt.Log.Warn("no endpoint", "err", err)
		return
	}
	m.endpoint, m.active, m.queued = ep, false, nil
	m.session = fmt.Sprintf("%x-%x", rand.Uint32(), rand.Uint32())
	t := ep.Local()
	msg := &jingle.Message{
		Action: action, SID: m.sid, Initiator: f.opt.JID, HasAudio: true, BridgeSession: m.session, Transport: &t,
		Payloads: []jingle.Payload{
			{ID: 111, Name: "opus", Clockrate: 48000, Channels: 2, Params: map[string]string{"minptime": "10", "useinbandfec": "1"}},
			{ID: 126, Name: "telephone-event", Clockrate: 8000, Channels: 1},
		},
		Exts: map[string]uint8{jingle.LevelURI: 1, "urn:ietf:params:rtp-hdrext:sdes:mid": 10},
	}
	if f.opt.Deaf {
		msg.Payloads = msg.Payloads[:1]
	}
	all := []jingle.Source{{SSRC: 1180214522, Owner: "jvb", Name: "jvb-a0", MSID: "mixedmslabel mixedlabelaudio0"}}
	for o := range f.around(r) {
		if o != m {
			all = append(all, o.sources...)
		}
	}
	var js *stanza.Elem
	if m.json {
		js = jsonSources(all)
	} else {
		msg.Sources = f.written(r, all)
	}
	e := msg.Elem().Add(js)
	if m.video {
		addVideo(e)
	}
	f.request(r.jid.With(m.nick).String(), e, "set", nil)
}

// addVideo offers VP8 beside the audio, over the same transport.
func addVideo(offer *stanza.Elem) {
	const rtp = "urn:xmpp:jingle:apps:rtp:1"
	offer.Kid("urn:xmpp:jingle:apps:grouping:0", "group").Add(stanza.New("", "content", "name", "video"))
	d := stanza.New(rtp, "description", "media", "video").Add(
		stanza.New("", "payload-type", "id", "100", "name", "VP8", "clockrate", "90000"),
		stanza.New("", "rtcp-mux"),
		stanza.New("urn:xmpp:jingle:apps:rtp:ssma:0", "source", "ssrc", "1180214523", "name", "jvb-v0").Add(
			stanza.New("http://jitsi.org/jitmeet", "ssrc-info", "owner", "jvb"),
			stanza.New(rtp, "parameter", "name", "msid", "value", "mixedmslabel mixedlabelvideo0")))
	for i, k := range offer.Kids {
		if k.Name.Local == "content" {
			t := k.Kid("urn:xmpp:jingle:transports:ice-udp:1", "transport").Clone()
			v := stanza.New("", "content", "creator", "initiator", "name", "video", "senders", "both").Add(d, t)
			offer.Kids = append(offer.Kids[:i+1], append([]*stanza.Elem{v}, offer.Kids[i+1:]...)...)
			return
		}
	}
}

// written are sources as XML shows them.
func (f *Focus) written(r *room, list []jingle.Source) []jingle.Source {
	if !f.opt.Old {
		return list
	}
	var out []jingle.Source
	for _, s := range list {
		s.Name = ""
		if s.Owner != "jvb" {
			s.Owner = r.jid.With(s.Owner).String()
		}
		out = append(out, s)
	}
	return out
}

// jsonSources is Jicofo's compact form.
func jsonSources(list []jingle.Source) *stanza.Elem {
	type source struct {
		S uint32 `json:"s"`
		N string `json:"n,omitempty"`
		M string `json:"m,omitempty"`
	}
	byOwner := map[string][]any{}
	audio := map[string][]source{}
	for _, s := range list {
		audio[s.Owner] = append(audio[s.Owner], source{s.SSRC, s.Name, s.MSID})
	}
	for o, a := range audio {
		byOwner[o] = []any{[]any{}, []any{}, a}
	}
	b, err := json.Marshal(map[string]any{"sources": byOwner})
	if err != nil {
		return nil
	}
	return stanza.New("http://jitsi.org/jitmeet", "json-message").WithText(string(b))
}

func (f *Focus) jingle(r *room, m *member, e *stanza.Elem) {
	msg, err := jingle.Parse(e)
	if err != nil || msg.SID != m.sid || m.sid == "" {
		f.fail(e, "bad-request")
		return
	}
	switch msg.Action {
	case jingle.SessionAccept, jingle.TransportAccept:
		f.reply(e, nil)
		f.accepted(r, m, msg)
	case jingle.TransportInfo:
		f.reply(e, nil)
		if msg.Transport != nil && m.endpoint != nil {
			m.endpoint.AddCandidates(msg.Transport.Candidates)
		}
	case jingle.SessionTerminate:
		if msg.BridgeSession != m.session {
			f.fail(e, "item-not-found")
			return
		}
		f.reply(e, nil)
		f.withdraw(r, m)
		m.close()
		if msg.Restart {
			f.restart[m.nick]++
			f.invite(r)
		}
	case jingle.SessionInfo:
		f.reply(e, nil)
	default:
		f.fail(e, "feature-not-implemented")
	}
}

func (f *Focus) accepted(r *room, m *member, msg *jingle.Message) {
	if msg.Transport == nil || m.endpoint == nil {
		return
	}
	m.sources = nil
	if r.main != nil && len(msg.Sources) > 0 {
		f.opt.Log.Error("a visitor has sources", "nick", m.nick)
		m.close()
		return
	}
	for _, s := range msg.Sources {
		s.Owner = m.nick
		m.sources = append(m.sources, s)
		m.endpoint.AddSource(s.SSRC)
	}
	m.active = true
	nick := m.nick
	m.endpoint.Connect(*msg.Transport, func(err error) {
		if err != nil {
			f.opt.Log.Debug("endpoint not connected", "nick", nick, "err", err)
		}
	})
	for o, at := range f.around(r) {
		if o != m {
			f.sources(at, o, jingle.SourceAdd, m.sources)
		}
	}
	f.sources(r, m, jingle.SourceAdd, m.queued)
	m.queued = nil
}

// sources tells o that sources came or went, or queues it until o has accepted.
func (f *Focus) sources(r *room, o *member, action string, list []jingle.Source) {
	if len(list) == 0 || o.sid == "" {
		return
	}
	if !o.active {
		if action == jingle.SourceAdd {
			o.queued = append(o.queued, list...)
		}
		return
	}
	msg := &jingle.Message{Action: action, SID: o.sid}
	e := msg.Elem()
	if o.json {
		e.Add(jsonSources(list))
	} else {
		msg.Sources = f.written(r, list)
		e = msg.Elem()
		e.Kid("", "content").Attr = nil // Jicofo names the content and says no more of it
		e.Kid("", "content").Set("name", "audio")
	}
	f.request(r.jid.With(o.nick).String(), e, "set", nil)
}

// withdraw tells the others that m's sources are gone while m stays.
func (f *Focus) withdraw(r *room, m *member) {
	for o, at := range f.around(r) {
		if o != m {
			f.sources(at, o, jingle.SourceRemove, m.sources)
		}
	}
	m.sources = nil
}

func (f *Focus) terminate(r *room, m *member, reason, text string) {
	if m.sid == "" {
		return
	}
	msg := &jingle.Message{Action: jingle.SessionTerminate, SID: m.sid, Reason: reason, Text: text}
	f.request(r.jid.With(m.nick).String(), msg.Elem(), "set", nil)
	f.withdraw(r, m)
	m.close()
}
