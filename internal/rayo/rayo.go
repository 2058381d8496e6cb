// Package rayo is the part of Rayo (XEP-0327) by which a focus asks a gateway to
// call a phone: dial, ref, hangup and end, as structs and as XML. It does no I/O
// and decides nothing: who may dial is for package control.
//
// Unknown elements and attributes are ignored. What could not stand in a SIP
// message is an error here, before it gets near one (reliability promise T23).
package rayo

import (
	"errors"
	"fmt"
	"strings"

	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// NS is the namespace of all elements.
const NS = "urn:xmpp:rayo:1"

// Transcribe is what a dial is addressed to that wants a transcriber instead of a phone.
const Transcribe = "jitsi_meet_transcribe"

// The headers with a meaning of their own, compared without case.
const (
	RoomName     = "JvbRoomName"
	RoomPassword = "JvbRoomPassword"
)

// Bounds of one dial. No focus comes near them.
const (
	maxHeaders = 64
	maxName    = 128
	maxValue   = 2048
)

// ErrMalformed is wrapped by every error of the Parse functions.
var ErrMalformed = errors.New("malformed rayo element")

// A Header is a name and a value; names are SIP tokens (RFC 3261, 25.1).
type Header struct{ Name, Value string }

// A Dial asks for a call to To.
type Dial struct {
	To      string // number, SIP address or Transcribe; not empty
	From    string // shown to nobody; may be empty
	Headers []Header
}

// ParseDial reads a <dial/>.
func ParseDial(e *stanza.Elem) (Dial, error) {
	if !e.Is(NS, "dial") {
		return Dial{}, fmt.Errorf("%w: no dial", ErrMalformed)
	}
	d := Dial{To: strings.TrimSpace(e.Get("to")), From: e.Get("from")}
	switch {
	case d.To == "":
		return Dial{}, fmt.Errorf("%w: dial to nobody", ErrMalformed)
	case !sendable(d.To) || !sendable(d.From):
		return Dial{}, fmt.Errorf("%w: dial address", ErrMalformed)
	}
	var err error
	d.Headers, err = parseHeaders(e)
	return d, err
}

// Elem is d as XML.
func (d Dial) Elem() *stanza.Elem {
	e := stanza.New(NS, "dial", "to", d.To)
	if d.From != "" {
		e.Set("from", d.From)
	}
	return e.Add(headerElems(d.Headers)...)
}

// Room is the room that the phone is to join, by the last header that names one, or "".
func (d Dial) Room() string { return d.last(RoomName) }

// Password is the room's password, or "".
func (d Dial) Password() xlog.Secret { return xlog.Secret(d.last(RoomPassword)) }

func (d Dial) last(name string) (value string) {
	for _, h := range d.Headers {
		if strings.EqualFold(h.Name, name) {
			value = h.Value
		}
	}
	return value
}

// Extra are the other headers in order, the first of each name: they go into the
// INVITE and into the presence of the phone.
func (d Dial) Extra() []Header {
	var extra []Header
	seen := map[string]bool{strings.ToLower(RoomName): true, strings.ToLower(RoomPassword): true}
	for _, h := range d.Headers {
		if key := strings.ToLower(h.Name); !seen[key] {
			seen[key] = true
			extra = append(extra, h)
		}
	}
	return extra
}

// A Ref tells what a dial has become: where the phone sits in the room, and so
// where a hangup is to be sent. Askers take it apart, so it begins with xmpp:.
type Ref struct{ URI string }

// RefTo refers to an occupant of a room.
func RefTo(occupant stanza.JID) Ref { return Ref{URI: "xmpp:" + occupant.String()} }

// ParseRef reads a <ref/>.
func ParseRef(e *stanza.Elem) (Ref, error) {
	if !e.Is(NS, "ref") || e.Get("uri") == "" {
		return Ref{}, fmt.Errorf("%w: no ref", ErrMalformed)
	}
	return Ref{URI: e.Get("uri")}, nil
}

// JID is the address that is referred to.
func (r Ref) JID() stanza.JID { return stanza.ParseJID(strings.TrimPrefix(r.URI, "xmpp:")) }

// Elem is r as XML.
func (r Ref) Elem() *stanza.Elem { return stanza.New(NS, "ref", "uri", r.URI) }

// A Hangup asks for the end of the call that it is sent to.
type Hangup struct{ Headers []Header }

// ParseHangup reads a <hangup/>.
func ParseHangup(e *stanza.Elem) (Hangup, error) {
	if !e.Is(NS, "hangup") {
		return Hangup{}, fmt.Errorf("%w: no hangup", ErrMalformed)
	}
	h, err := parseHeaders(e)
	return Hangup{Headers: h}, err
}

// Elem is h as XML.
func (h Hangup) Elem() *stanza.Elem { return stanza.New(NS, "hangup").Add(headerElems(h.Headers)...) }

// The reasons of an End (XEP-0327, 6.8).
const (
	EndHangup  = "hangup" // by the program
	EndHungUp  = "hungup" // by the phone
	EndTimeout = "timeout"
	EndBusy    = "busy"
	EndReject  = "reject"
	EndError   = "error"
)

// An End says that a call is over.
type End struct {
	Reason  string // one of the constants, or what the other side made up
	Text    string
	Headers []Header
}

// ParseEnd reads an <end/>.
func ParseEnd(e *stanza.Elem) (End, error) {
	if !e.Is(NS, "end") {
		return End{}, fmt.Errorf("%w: no end", ErrMalformed)
	}
	var end End
	for _, k := range e.Kids {
		if k.Name.Space == NS && k.Name.Local != "header" {
			end.Reason, end.Text = k.Name.Local, k.Text
			break
		}
	}
	if end.Reason == "" {
		return End{}, fmt.Errorf("%w: end without reason", ErrMalformed)
	}
	var err error
	end.Headers, err = parseHeaders(e)
	return end, err
}

// Elem is x as XML.
func (x End) Elem() *stanza.Elem {
	return stanza.New(NS, "end").Add(stanza.New("", x.Reason).WithText(x.Text)).Add(headerElems(x.Headers)...)
}

func parseHeaders(e *stanza.Elem) ([]Header, error) {
	var out []Header
	for _, k := range e.All(NS, "header") {
		h := Header{Name: k.Get("name"), Value: k.Get("value")}
		switch {
		case !token(h.Name) || len(h.Name) > maxName:
			return nil, fmt.Errorf("%w: header name", ErrMalformed)
		case !sendable(h.Value):
			return nil, fmt.Errorf("%w: header value", ErrMalformed)
		case len(out) == maxHeaders:
			return nil, fmt.Errorf("%w: more than %d headers", ErrMalformed, maxHeaders)
		}
		out = append(out, h)
	}
	return out, nil
}

func headerElems(headers []Header) []*stanza.Elem {
	out := make([]*stanza.Elem, len(headers))
	for i, h := range headers {
		out[i] = stanza.New("", "header", "name", h.Name, "value", h.Value)
	}
	return out
}

// sendable reports whether s may stand in one line of a SIP message.
func sendable(s string) bool {
	return len(s) <= maxValue && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
	})
}

// token is the token of RFC 3261, 25.1.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-.!%*_+`'~", rune(c)) {
			return false
		}
	}
	return s != ""
}
