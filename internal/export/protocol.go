package export

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"jigasi/internal/recognize"
)

// A kind says what a message of the bridge is.
type kind uint8

// The kinds. Unknown is ignored: the protocol grows.
const (
	unknown kind = iota
	info
	start
	media
	ping
	sessionEnd
)

var kinds = map[string]kind{"info": info, "start": start, "media": media, "ping": ping, "session-end": sessionEnd, "SessionEndEvent": sessionEnd}

// A message is one of the bridge's. Which fields are set follows from kind: tag with start and media.
type message struct {
	kind     kind
	tag      string // of a source of sound
	person   string // its endpoint; start
	language string // tidied; start, where the bridge says it
	opus     bool   // start
	red      bool   // start: Opus within RED
	chunk    int64  // media
	at       int64  // media: timestamp in 1/48000 s, with an origin of the tag's own; what overtook the first packet is below 0
	payload  []byte // media: an Opus packet
	id       int64  // ping
}

// The errors name what is wrong and nothing of what was sent.
var (
	errJSON   = errors.New("the message is no JSON object")
	errEvent  = errors.New("the message has no event")
	errTag    = errors.New("the message has no tag, or one that is too long")
	errNumber = errors.New("the message has no number where one belongs")
	errSound  = errors.New("the message has no sound")
)

const (
	maxTag  = 256     // bytes of a tag or an endpoint
	maxTime = 1 << 46 // of a timestamp: 46 years
)

// parse reads a message. The bridge writes keys twice, of which the last counts, and most numbers as strings.
func parse(b []byte) (message, error) {
	f, ok := object(b)
	if !ok {
		return message{}, errJSON
	}
	event, ok := f.text("event")
	if !ok {
		return message{}, errEvent
	}
	m := message{kind: kinds[event]}
	var err error
	switch m.kind {
	case start:
		err = m.start(f)
	case media:
		err = m.media(f)
	case ping:
		if m.id, ok = f.number("id"); !ok {
			err = errNumber
		}
	case unknown, info, sessionEnd: // say nothing more
	}
	if err != nil {
		return message{}, err
	}
	return m, nil
}

func (m *message) start(f fields) error {
	in, ok := object(f["start"])
	if !ok || !m.named(in) {
		return errTag
	}
	m.person, m.opus = endpoint(m.tag), true
	if format, ok := object(in["mediaFormat"]); ok {
		if encoding, ok := format.text("encoding"); ok {
			m.red = strings.EqualFold(encoding, "red") // as some clients send it: the bridge passes on what came
			m.opus = m.red || strings.EqualFold(encoding, "opus")
		}
	}
	if custom, ok := object(in["customParameters"]); ok {
		if id, ok := custom.text("endpointId"); ok && id != "" && len(id) <= maxTag {
			m.person = id
		}
		language, _ := custom.text("language")
		m.language = recognize.Tag(language)
	}
	return nil
}

func (m *message) media(f fields) error {
	in, ok := object(f["media"])
	if !ok || !m.named(in) {
		return errTag
	}
	chunk, ok1 := in.number("chunk")
	at, ok2 := in.number("timestamp")
	if !ok1 || !ok2 || at < -maxTime || at > maxTime {
		return errNumber
	}
	m.chunk, m.at = chunk, at
	if raw := in["payload"]; json.Unmarshal(raw, &m.payload) != nil || len(m.payload) == 0 {
		return errSound
	}
	return nil
}

func (m *message) named(in fields) bool {
	m.tag, _ = in.text("tag")
	return m.tag != "" && len(m.tag) <= maxTag
}

// endpoint is who has a source of a name such as a1b2c3d4-a0.
func endpoint(tag string) string {
	if i := strings.LastIndexByte(tag, '-'); i > 0 {
		return tag[:i]
	}
	return tag
}

// fields are those of an object; of a key that is there twice, the last.
type fields map[string]json.RawMessage

func object(b []byte) (fields, bool) {
	var f fields
	err := json.Unmarshal(b, &f)
	return f, err == nil && f != nil
}

func (f fields) text(key string) (string, bool) {
	var s *string
	if json.Unmarshal(f[key], &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// number reads an integer, also one that is written as a string.
func (f fields) number(key string) (int64, bool) {
	s, ok := f.text(key)
	if !ok {
		s = string(f[key])
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
