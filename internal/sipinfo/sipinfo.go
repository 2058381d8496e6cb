// Package sipinfo is the dialect of JSON in SIP INFO (RFC 6086, without a package) that Jigasi and the IVRs in front of it
// speak: bytes to structs and back. It decides nothing.
package sipinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"jigasi/internal/xlog"
)

// ContentType of all of them.
const ContentType = "application/json"

// maxBody bounds what is read.
const maxBody = 16 << 10

// The numbers of the messages; 1, 2, 13 and 14 are not used.
const (
	LobbyJoined     = 3
	Password        = 4 // from the phone
	LobbyLeft       = 5
	LobbyGranted    = 6
	LobbyDenied     = 7
	Moderation      = 8
	Approved        = 9
	ApprovalRemoved = 10
	Heartbeat       = 11
	Visitor         = 12
	Live            = 15
)

type message struct {
	I      *int            `json:"i,omitempty"`
	T      *int            `json:"t,omitempty"`
	D      json.RawMessage `json:"d,omitempty"`
	Type   string          `json:"type,omitempty"`
	Data   *audioData      `json:"data,omitempty"`
	ID     string          `json:"id,omitempty"`
	Status string          `json:"status,omitempty"`
}

type audioData struct {
	Audio *bool `json:"audio"`
}

func (m message) bytes() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		return nil // cannot be: every field is plain
	}
	return b
}

// Plain is {"t":t}.
func Plain(t int) []byte { return message{T: &t}.bytes() }

// Numbered is {"i":i,"t":t}; the messages of the lobby are counted from 0 in each call.
func Numbered(i, t int) []byte { return message{I: &i, T: &t}.bytes() }

// Flag is {"t":t,"d":on}.
func Flag(t int, on bool) []byte {
	d := json.RawMessage("false")
	if on {
		d = json.RawMessage("true")
	}
	return message{T: &t, D: d}.bytes()
}

// MuteRequest asks the phone to be silent, or tells that it may speak again.
func MuteRequest(id string, on bool) []byte {
	return message{Type: "muteRequest", ID: id, Data: &audioData{&on}}.bytes()
}

// MuteResponse answers the phone's request of that id.
func MuteResponse(id string, on, ok bool) []byte {
	m := message{Type: "muteResponse", ID: id, Data: &audioData{&on}, Status: "FAILED"}
	if ok {
		m.Status = "OK"
	}
	return m.bytes()
}

// A Kind says what a phone said.
type Kind uint8

// What a phone can say.
const (
	Unused       Kind = iota // well-formed, and nothing to us
	Beat                     // it answers a heartbeat
	GivePassword             // the password of the room
	AskMute                  // wants to be muted or unmuted
	ConfirmMute              // answers MuteRequest
)

// A Message is what a phone said.
type Message struct {
	Kind     Kind
	Password xlog.Secret
	ID       string
	Mute     bool
	OK       bool // with ConfirmMute: it did as asked
}

// ErrForm says that a body is no message; what it holds is not in the error.
var ErrForm = errors.New("sipinfo: no JSON message")

// Parse reads a body.
func Parse(body []byte) (Message, error) {
	if len(body) > maxBody {
		return Message{}, ErrForm
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	var m message
	if err := dec.Decode(&m); err != nil {
		return Message{}, ErrForm
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Message{}, ErrForm // more than one object
	}
	if m.Type != "" {
		return m.mute()
	}
	switch {
	case m.T == nil:
		return Message{}, nil
	case *m.T == Heartbeat:
		return Message{Kind: Beat}, nil
	case *m.T == Password:
		var d struct {
			Pwd xlog.Secret `json:"pwd"`
		}
		if err := json.Unmarshal(m.D, &d); err != nil || d.Pwd == "" {
			return Message{}, ErrForm
		}
		return Message{Kind: GivePassword, Password: d.Pwd}, nil
	}
	return Message{}, nil
}

func (m message) mute() (Message, error) {
	var kind Kind
	switch strings.ToLower(m.Type) {
	case "muterequest":
		kind = AskMute
	case "muteresponse":
		kind = ConfirmMute
	default:
		return Message{}, nil
	}
	if m.ID == "" || len(m.ID) > 128 || m.Data == nil || m.Data.Audio == nil {
		return Message{}, ErrForm
	}
	return Message{Kind: kind, ID: m.ID, Mute: *m.Data.Audio, OK: strings.EqualFold(m.Status, "OK")}, nil
}
