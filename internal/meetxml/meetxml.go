// Package meetxml is the vocabulary of Jitsi Meet outside of Jingle: the
// conference request, what stands in the presence of a member and of the
// focus. It turns elements into structs and back, does no I/O and decides nothing.
package meetxml

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/stanza"
)

// Namespaces.
const (
	NSFocus   = "http://jitsi.org/protocol/focus"
	NSMeet    = "http://jitsi.org/jitmeet"
	NSMUC     = "http://jabber.org/protocol/muc"
	NSMUCUser = "http://jabber.org/protocol/muc#user"
	NSJigasi  = "http://jitsi.org/protocol/jigasi"
	NSColibri = "http://jitsi.org/protocol/colibri"
	NSNick    = "http://jabber.org/protocol/nick"
	nsRayo    = "urn:xmpp:rayo:1"
	nsExtDisc = "urn:xmpp:extdisco:2"
	nsOldDisc = "urn:xmpp:extdisco:1"
)

// Features that a gateway announces (disco and presence).
const (
	FeatureJigasi    = "http://jitsi.org/protocol/jigasi"
	FeatureDTMF      = "urn:xmpp:jingle:dtmf:0"
	FeatureAudioMute = "http://jitsi.org/protocol/audio-mute"
)

// Features is what disco#info of a phone in a meeting lists: audio over one
// DTLS transport, sources as JSON, no video. What Jicofo offers follows from it.
func Features() []string {
	return []string{
		"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/caps",
		"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0",
		"urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:jingle:apps:dtls:0", "urn:ietf:rfc:5761", "urn:ietf:rfc:5888",
		"http://jitsi.org/json-encoded-sources", "http://jitsi.org/source-name", FeatureDTMF, FeatureJigasi,
	}
}

// A ConferenceRequest asks the focus for a conference.
type ConferenceRequest struct {
	Room       string
	Properties map[string]string
}

// Elem is r as XML.
func (r ConferenceRequest) Elem() *stanza.Elem {
	e := stanza.New(NSFocus, "conference", "room", r.Room)
	for k, v := range r.Properties {
		e.Add(stanza.New("", "property", "name", k, "value", v))
	}
	return e
}

// A ConferenceReply is the answer.
type ConferenceReply struct {
	Ready    bool
	FocusJID stanza.JID // bare
	Vnode    string
	NotLive  bool
}

// ParseConferenceReply reads the result of a conference request.
func ParseConferenceReply(iq *stanza.Elem) (ConferenceReply, bool) {
	c := iq.Kid(NSFocus, "conference")
	if c == nil {
		return ConferenceReply{}, false
	}
	r := ConferenceReply{Ready: c.Get("ready") == "true", FocusJID: stanza.ParseJID(c.Get("focusjid")).Bare(), Vnode: c.Get("vnode")}
	for _, p := range c.All("", "property") {
		if p.Get("name") == "live" && p.Get("value") == "false" {
			r.NotLive = true
		}
	}
	return r, true
}

// A Header is one of those that came with the dial; the room sees them.
type Header struct{ Name, Value string }

// A Presence is what a gateway shows of a phone. Every presence repeats all of it.
type Presence struct {
	Nick       string // display name
	Email      string
	Avatar     string // URL of a picture
	StatsID    string
	Region     string
	Version    string
	Status     string
	AudioMuted bool
	RaisedHand time.Time // zero: never raised; the epoch: lowered, as browsers do not notice what is no longer there
	Features   []string
	Initiator  []Header
	// Transcription is how a transcriber stands: ON or OFF; "" is none, or not yet.
	Transcription string
	Listens       bool         // it has no sound of its own, and says nothing of it
	Source        string       // name of our audio source
	Caps          *stanza.Elem // <c/>
}

// Elem is p addressed to an occupant of ours.
func (p Presence) Elem(to stanza.JID) *stanza.Elem {
	e := stanza.New("", "presence", "to", to.String())
	text := func(name, s string) {
		if s != "" {
			e.Add(stanza.New("", name).WithText(s))
		}
	}
	e.Add(stanza.New(NSNick, "nick").WithText(p.Nick))
	text("email", p.Email)
	text("avatar-url", p.Avatar)
	text("stats-id", p.StatsID)
	text("jitsi_participant_region", p.Region)
	if p.Version != "" {
		e.Add(stanza.New("", "stat", "name", "version", "value", p.Version))
	}
	init := stanza.New(NSJigasi, "initiator")
	for _, h := range p.Initiator {
		init.Add(stanza.New(nsRayo, "header", "name", h.Name, "value", h.Value))
	}
	e.Add(init)
	features := stanza.New("", "features")
	for _, f := range p.Features {
		features.Add(stanza.New("", "feature", "var", f))
	}
	e.Add(features)
	if !p.Listens {
		text("audiomuted", strconv.FormatBool(p.AudioMuted))
		text("videomuted", "true")
	}
	if p.Source != "" {
		b, err := json.Marshal(map[string]any{p.Source: map[string]bool{"muted": p.AudioMuted}})
		if err == nil {
			text("SourceInfo", string(b))
		}
	}
	if !p.RaisedHand.IsZero() {
		text("jitsi_participant_raisedHand", strconv.FormatInt(p.RaisedHand.UnixMilli(), 10))
	}
	if p.Transcription != "" {
		e.Add(stanza.New("", "transcription-status", "status", p.Transcription))
	}
	text("status", p.Status)
	return e.Add(p.Caps)
}

// An Occupant is what a presence out of a room says of one.
type Occupant struct {
	Nick        string // resourcepart: the endpoint id
	Name        string // display name
	JID         stanza.JID
	Role        string
	Affiliation string
	Gone        bool
	Codes       []int // status codes of XEP-0045
	Actor       string
	Reason      string
	Destroyed   bool
	Alternate   stanza.JID // with Destroyed: where the room goes on
	NoBridge    bool       // of the focus: there is no bridge
	Jigasi      bool
}

// Self reports whether the presence is our own (status 110).
func (o Occupant) Self() bool { return o.Has(110) }

// Has reports whether a status code is there.
func (o Occupant) Has(code int) bool {
	for _, c := range o.Codes {
		if c == code {
			return true
		}
	}
	return false
}

// ParseOccupant reads a presence of a room; ok is false for an error or one from nobody.
func ParseOccupant(p *stanza.Elem) (o Occupant, ok bool) {
	from := stanza.ParseJID(p.Get("from"))
	if from.Resource == "" || p.Get("type") == "error" {
		return Occupant{}, false
	}
	o = Occupant{Nick: from.Resource, Gone: p.Get("type") == "unavailable"}
	if n := p.Kid(NSNick, "nick"); n != nil {
		o.Name = n.Text
	}
	o.NoBridge = p.Kid(NSFocus, "bridgeNotAvailable") != nil
	for _, f := range p.Kid("", "features").All("", "feature") {
		o.Jigasi = o.Jigasi || f.Get("var") == FeatureJigasi
	}
	x := p.Kid(NSMUCUser, "x")
	item := x.Kid("", "item")
	o.JID = stanza.ParseJID(item.Get("jid"))
	o.Role, o.Affiliation = item.Get("role"), item.Get("affiliation")
	o.Actor = item.Kid("", "actor").Get("nick")
	if r := item.Kid("", "reason"); r != nil {
		o.Reason = r.Text
	}
	for i, s := range x.All("", "status") {
		if code, err := strconv.Atoi(s.Get("code")); err == nil && i < 16 {
			o.Codes = append(o.Codes, code)
		}
	}
	if d := x.Kid("", "destroy"); d != nil {
		o.Destroyed, o.Alternate = true, stanza.ParseJID(d.Get("jid"))
		if r := d.Kid("", "reason"); r != nil {
			o.Reason = r.Text
		}
	}
	return o, true
}

// A Relay is a TURN server that the XMPP server hands out (XEP-0215).
type Relay struct{ URL, User, Password string }

// RelayRequest asks for them.
func RelayRequest() *stanza.Elem { return stanza.New(nsExtDisc, "services") }

// OldRelayRequest asks a server that knows only the first version of the question.
func OldRelayRequest() *stanza.Elem { return stanza.New(nsOldDisc, "services") }

// ParseRelays reads the answer.
func ParseRelays(iq *stanza.Elem) []Relay {
	var out []Relay
	for _, s := range iq.Kid("", "services").All("", "service") {
		kind, host := s.Get("type"), s.Get("host")
		if kind != "turn" && kind != "turns" || host == "" || len(out) == 8 {
			continue
		}
		if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
			host = "[" + host + "]"
		}
		u := kind + ":" + host
		if p := s.Get("port"); p != "" {
			u += ":" + p
		}
		if tr := s.Get("transport"); tr != "" {
			u += "?transport=" + tr
		}
		out = append(out, Relay{u, s.Get("username"), s.Get("password")})
	}
	return out
}
