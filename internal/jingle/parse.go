package jingle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"jigasi/internal/stanza"
)

// Namespaces.
const (
	NS         = "urn:xmpp:jingle:1"
	nsRTP      = "urn:xmpp:jingle:apps:rtp:1"
	nsICE      = "urn:xmpp:jingle:transports:ice-udp:1"
	nsDTLS     = "urn:xmpp:jingle:apps:dtls:0"
	nsExt      = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
	nsSource   = "urn:xmpp:jingle:apps:rtp:ssma:0"
	nsGroup    = "urn:xmpp:jingle:apps:grouping:0"
	nsFocus    = "http://jitsi.org/protocol/focus"
	nsMeet     = "http://jitsi.org/jitmeet"
	nsMuted    = "http://jitsi.org/jitmeet/start-muted"
	nsColibri  = "http://jitsi.org/protocol/colibri"
	nsErrors   = "urn:xmpp:jingle:errors:1"
	LevelURI   = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	maxSources = 5000
	maxParts   = 64
)

// Actions (XEP-0166, 7.2).
const (
	SessionInitiate  = "session-initiate"
	SessionAccept    = "session-accept"
	SessionTerminate = "session-terminate"
	SessionInfo      = "session-info"
	TransportInfo    = "transport-info"
	TransportReplace = "transport-replace"
	TransportAccept  = "transport-accept"
	SourceAdd        = "source-add"
	SourceRemove     = "source-remove"
)

// A Message is one Jingle IQ's element.
type Message struct {
	Action               string
	SID                  string
	Initiator, Responder string

	Payloads  []Payload        // of the audio content
	Exts      map[string]uint8 // header extensions of the audio content: URI -> id
	Transport *Transport       // of the first content that has one
	Sources   []Source         // audio sources, from XML and JSON
	HasAudio  bool             // there is an audio content

	BridgeSession string // id: a restart has to name it
	Restart       bool   // of bridge-session
	StartMuted    bool
	Reason        string // condition of session-terminate
	Text          string
	ICEState      string // of session-info
	Receive       bool   `json:",omitempty"` // only the initiator sends sound
}

// ErrMalformed is wrapped by all errors of Parse.
var ErrMalformed = errors.New("malformed jingle")

// Parse reads the <jingle/> of an IQ.
func Parse(iq *stanza.Elem) (*Message, error) {
	j := iq.Kid(NS, "jingle")
	if j == nil {
		return nil, fmt.Errorf("%w: no jingle element", ErrMalformed)
	}
	m := &Message{
		Action: j.Get("action"), SID: j.Get("sid"), Initiator: j.Get("initiator"), Responder: j.Get("responder"),
		Exts: map[string]uint8{},
	}
	if m.Action == "" || m.SID == "" {
		return nil, fmt.Errorf("%w: no action or sid", ErrMalformed)
	}
	switch m.Action {
	case "addsource":
		m.Action = SourceAdd
	case "removesource":
		m.Action = SourceRemove
	}
	for i, c := range j.All("", "content") {
		if i == maxParts {
			break
		}
		if err := m.content(c); err != nil {
			return nil, err
		}
	}
	for _, jm := range j.All(nsMeet, "json-message") {
		if err := m.jsonSources(jm.Text); err != nil {
			return nil, err
		}
	}
	if b := j.Kid(nsFocus, "bridge-session"); b != nil {
		m.BridgeSession, m.Restart = b.Get("id"), b.Get("restart") == "true"
	}
	m.StartMuted = j.Kid(nsMuted, "startmuted").Get("audio") == "true"
	if r := j.Kid("", "reason"); r != nil {
		m.reason(r)
	}
	if s := j.Kid(nsFocus, "ice-state"); s != nil {
		m.ICEState = strings.TrimSpace(s.Text)
	}
	return m, nil
}

func (m *Message) reason(r *stanza.Elem) {
	for _, k := range r.Kids {
		if k.Name.Local == "text" {
			m.Text = k.Text
		} else if m.Reason == "" {
			m.Reason = k.Name.Local
		}
	}
}

func (m *Message) content(c *stanza.Elem) error {
	if t := c.Kid(nsICE, "transport"); t != nil && m.Transport == nil {
		tr, err := parseTransport(t)
		if err != nil {
			return err
		}
		m.Transport = tr
	}
	d := c.Kid(nsRTP, "description")
	media := d.Get("media")
	if media == "" {
		media = c.Get("name")
	}
	if media == "video" || media == "data" || media == "application" {
		return nil
	}
	m.HasAudio, m.Receive = true, c.Get("senders") == "initiator"
	for i, p := range d.All("", "payload-type") {
		if i == maxParts {
			break
		}
		id, err := strconv.ParseUint(p.Get("id"), 10, 7)
		if err != nil {
			return fmt.Errorf("%w: payload-type without a number", ErrMalformed)
		}
		pl := Payload{ID: uint8(id), Name: strings.ToLower(p.Get("name")), Clockrate: atoi(p.Get("clockrate")), Channels: max(1, atoi(p.Get("channels"))), Params: map[string]string{}}
		for _, param := range p.All("", "parameter") {
			pl.Params[param.Get("name")] = param.Get("value")
		}
		m.Payloads = append(m.Payloads, pl)
	}
	for _, e := range d.All(nsExt, "rtp-hdrext") {
		if id := atoi(e.Get("id")); id > 0 && id < 15 && len(m.Exts) < maxParts {
			m.Exts[e.Get("uri")] = uint8(id)
		}
	}
	for _, s := range d.All(nsSource, "source") {
		if err := m.source(s); err != nil {
			return err
		}
	}
	return nil
}

// source reads one <source/>; its owner may be a bare endpoint id or an address.
func (m *Message) source(s *stanza.Elem) error {
	ssrc, err := strconv.ParseUint(s.Get("ssrc"), 10, 32)
	if err != nil || ssrc == 0 {
		return fmt.Errorf("%w: source without an SSRC", ErrMalformed)
	}
	src := Source{SSRC: uint32(ssrc), Name: s.Get("name")}
	src.Owner = s.Kid(nsMeet, "ssrc-info").Get("owner")
	if j := stanza.ParseJID(src.Owner); j.Resource != "" {
		src.Owner = j.Resource
	}
	for _, p := range s.All("", "parameter") {
		if p.Get("name") == "msid" {
			src.MSID = p.Get("value")
		}
	}
	return m.add(src)
}

func (m *Message) add(s Source) error {
	if len(m.Sources) == maxSources {
		return fmt.Errorf("%w: more than %d sources", ErrMalformed, maxSources)
	}
	m.Sources = append(m.Sources, s)
	return nil
}

// jsonSources reads Jitsi's compact form: owner -> [video, video groups, audio, audio groups].
func (m *Message) jsonSources(text string) error {
	var msg struct {
		Sources map[string][]json.RawMessage `json:"sources"`
	}
	if err := json.Unmarshal([]byte(text), &msg); err != nil {
		return fmt.Errorf("%w: json-message is no object", ErrMalformed)
	}
	for _, owner := range slices.Sorted(maps.Keys(msg.Sources)) { // the same message gives the same list
		lists := msg.Sources[owner]
		if len(lists) < 3 {
			continue // no audio
		}
		var audio []struct {
			S json.RawMessage `json:"s"`
			N string          `json:"n"`
			M string          `json:"m"`
		}
		if err := json.Unmarshal(lists[2], &audio); err != nil {
			return fmt.Errorf("%w: json-message holds no list of audio sources", ErrMalformed)
		}
		for _, a := range audio {
			ssrc, err := strconv.ParseUint(strings.Trim(string(a.S), `"`), 10, 32)
			if err != nil || ssrc == 0 {
				return fmt.Errorf("%w: json source without an SSRC", ErrMalformed)
			}
			if err := m.add(Source{SSRC: uint32(ssrc), Owner: owner, Name: a.N, MSID: a.M}); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseTransport(t *stanza.Elem) (*Transport, error) {
	tr := &Transport{
		Ufrag: t.Get("ufrag"), Pwd: t.Get("pwd"), RTCPMux: t.Kid("", "rtcp-mux") != nil, ICEGeneration: atoi(t.Get("ice-generation")),
	}
	for i, f := range t.All(nsDTLS, "fingerprint") {
		if i == maxParts {
			break
		}
		tr.Fingerprints = append(tr.Fingerprints, Fingerprint{Hash: strings.ToLower(f.Get("hash")), Value: strings.ToUpper(strings.TrimSpace(f.Text)), Setup: f.Get("setup")})
	}
	for i, w := range t.All(nsColibri, "web-socket") {
		if i == maxParts {
			break
		}
		tr.WebSockets = append(tr.WebSockets, w.Get("url"))
	}
	for i, c := range t.All("", "candidate") {
		if i == maxParts {
			break
		}
		port, prio := atoi(c.Get("port")), c.Get("priority")
		p, err := strconv.ParseUint(prio, 10, 32)
		if err != nil || port < 1 || port > 65535 {
			return nil, fmt.Errorf("%w: candidate without port or priority", ErrMalformed)
		}
		tr.Candidates = append(tr.Candidates, Candidate{
			ID: c.Get("id"), Foundation: c.Get("foundation"), Component: atoi(c.Get("component")), Protocol: strings.ToLower(c.Get("protocol")),
			Priority: uint32(p), IP: c.Get("ip"), Port: port, Type: c.Get("type"), RelAddr: c.Get("rel-addr"), RelPort: atoi(c.Get("rel-port")),
			Generation: atoi(c.Get("generation")), Network: atoi(c.Get("network")), TCPType: c.Get("tcptype"),
		})
	}
	return tr, nil
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
