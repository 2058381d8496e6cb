package jingle

import (
	"maps"
	"slices"
	"strconv"

	"jigasi/internal/stanza"
)

// Elem is m as XML, with sources in XML: Jicofo reads no other form.
func (m *Message) Elem() *stanza.Elem {
	j := stanza.New(NS, "jingle", "action", m.Action, "sid", m.SID)
	for _, a := range [][2]string{{"initiator", m.Initiator}, {"responder", m.Responder}} {
		if a[1] != "" {
			j.Set(a[0], a[1])
		}
	}
	withMedia := m.HasAudio || m.Transport != nil || len(m.Sources) > 0
	if withMedia && (m.Action == SessionInitiate || m.Action == SessionAccept || m.Action == TransportReplace || m.Action == TransportAccept) {
		j.Add(stanza.New(nsGroup, "group", "semantics", "BUNDLE").Add(stanza.New("", "content", "name", "audio")))
	}
	if withMedia {
		j.Add(m.audio())
	}
	if m.StartMuted {
		j.Add(stanza.New(nsMuted, "startmuted", "audio", "true"))
	}
	if m.Reason != "" {
		r := stanza.New("", "reason").Add(stanza.New("", m.Reason))
		if m.Text != "" {
			r.Add(stanza.New("", "text").WithText(m.Text))
		}
		j.Add(r)
	}
	if m.ICEState != "" {
		j.Add(stanza.New(nsFocus, "ice-state").WithText(m.ICEState))
	}
	if m.BridgeSession != "" {
		b := stanza.New(nsFocus, "bridge-session", "id", m.BridgeSession)
		if m.Restart {
			b.Set("restart", "true")
		}
		j.Add(b)
	}
	return j
}

func (m *Message) audio() *stanza.Elem {
	c := stanza.New("", "content", "creator", "initiator", "name", "audio", "senders", "both")
	if m.Receive {
		c.Set("senders", "initiator")
	}
	if m.HasAudio || len(m.Sources) > 0 {
		d := stanza.New(nsRTP, "description", "media", "audio")
		for _, p := range m.Payloads {
			e := stanza.New("", "payload-type", "id", strconv.Itoa(int(p.ID)), "name", p.Name, "clockrate", strconv.Itoa(p.Clockrate))
			if p.Channels > 1 {
				e.Set("channels", strconv.Itoa(p.Channels))
			}
			for _, name := range slices.Sorted(maps.Keys(p.Params)) {
				e.Add(stanza.New("", "parameter", "name", name, "value", p.Params[name]))
			}
			d.Add(e)
		}
		for _, uri := range slices.Sorted(maps.Keys(m.Exts)) {
			d.Add(stanza.New(nsExt, "rtp-hdrext", "id", strconv.Itoa(int(m.Exts[uri])), "uri", uri))
		}
		if m.Transport != nil {
			d.Add(stanza.New("", "rtcp-mux"))
		}
		for _, s := range m.Sources {
			d.Add(s.elem())
		}
		c.Add(d)
	}
	if m.Transport != nil {
		c.Add(m.Transport.elem())
	}
	return c
}

func (s Source) elem() *stanza.Elem {
	e := stanza.New(nsSource, "source", "ssrc", strconv.FormatUint(uint64(s.SSRC), 10))
	if s.Name != "" {
		e.Set("name", s.Name)
	}
	if s.Owner != "" {
		e.Add(stanza.New(nsMeet, "ssrc-info", "owner", s.Owner))
	}
	if s.MSID != "" {
		e.Add(stanza.New(nsRTP, "parameter", "name", "msid", "value", s.MSID))
	}
	return e
}

func (t *Transport) elem() *stanza.Elem {
	e := stanza.New(nsICE, "transport", "ufrag", t.Ufrag, "pwd", t.Pwd)
	if t.ICEGeneration > 0 {
		e.Set("ice-generation", strconv.Itoa(t.ICEGeneration))
	}
	if t.RTCPMux {
		e.Add(stanza.New("", "rtcp-mux"))
	}
	for _, f := range t.Fingerprints {
		x := stanza.New(nsDTLS, "fingerprint", "hash", f.Hash)
		if f.Setup != "" {
			x.Set("setup", f.Setup)
		}
		e.Add(x.WithText(f.Value))
	}
	for _, w := range t.WebSockets {
		e.Add(stanza.New(nsColibri, "web-socket", "url", w))
	}
	for _, c := range t.Candidates {
		e.Add(c.elem())
	}
	return e
}

func (c Candidate) elem() *stanza.Elem {
	n := strconv.Itoa
	e := stanza.New("", "candidate", "id", c.ID, "foundation", c.Foundation, "component", n(c.Component), "protocol", c.Protocol,
		"priority", strconv.FormatUint(uint64(c.Priority), 10), "ip", c.IP, "port", n(c.Port), "type", c.Type,
		"generation", n(c.Generation), "network", n(c.Network))
	if c.RelAddr != "" {
		e.Set("rel-addr", c.RelAddr).Set("rel-port", n(c.RelPort))
	}
	if c.TCPType != "" {
		e.Set("tcptype", c.TCPType)
	}
	return e
}

// UnknownSession is what an error to an IQ with an unknown sid holds (XEP-0166, 6.4).
func UnknownSession() *stanza.Elem { return stanza.New(nsErrors, "unknown-session") }
