package export

import (
	"bytes"
	"encoding/base64"
	"math"
)

// A scanner reads the messages of one socket. Of media there are fifty a second of each speaker: those it reads by
// itself where they look as the bridge writes them. All else, and what is wrong, is for parse, which says the same.
type scanner struct {
	tags map[string]string // that were read before, so that none is made anew for each packet
}

// read reads a message. Its sound is appended to sound, which it gives back; text may be overwritten then.
func (s *scanner) read(text, sound []byte) (message, []byte, error) {
	if m, out, ok := s.media(text, sound); ok {
		return m, out, nil
	}
	m, err := parse(text)
	return m, sound, err
}

// media reads a message that is media and plain: no space outside of strings, no escapes in them, nothing but ASCII, and
// whole numbers. ok is false where it is not, or not right.
func (s *scanner) media(text, sound []byte) (m message, out []byte, ok bool) {
	c := cursor{rest: text}
	var event []byte
	var f mediaFields
	for key := range c.fields {
		switch string(key) {
		case "event":
			event = c.text()
		case "media":
			if f.seen { // rare, and of two the last counts
				return m, sound, false
			}
			f.read(&c)
		default:
			c.skip()
		}
	}
	if c.bad || len(c.rest) > 0 || string(event) != "media" || !f.valid() {
		return m, sound, false
	}
	if out, ok = appendSound(sound, f.payload); !ok {
		return m, sound, false
	}
	return message{kind: media, tag: s.tag(f.tag), chunk: f.chunk, at: f.at, payload: out[len(sound):len(out):len(out)]}, out, true
}

// tag is a tag as a string.
func (s *scanner) tag(b []byte) string {
	if t, ok := s.tags[string(b)]; ok {
		return t
	}
	if s.tags == nil || len(s.tags) >= maxTags {
		s.tags = map[string]string{}
	}
	t := string(b)
	s.tags[t] = t
	return t
}

// mediaFields are those of a media message that we look at. Of a key that is there twice, the last counts.
type mediaFields struct {
	seen             bool
	tag, payload     []byte
	chunk, at        int64
	chunked, clocked bool
}

func (f *mediaFields) read(c *cursor) {
	f.seen = true
	for key := range c.fields {
		switch string(key) {
		case "tag":
			f.tag = c.text()
		case "payload":
			f.payload = c.text()
		case "chunk":
			f.chunk, f.chunked = c.number(), true
		case "timestamp":
			f.at, f.clocked = c.number(), true
		default:
			c.skip()
		}
	}
}

func (f *mediaFields) valid() bool {
	return f.seen && f.chunked && f.clocked && len(f.tag) > 0 && len(f.tag) <= maxTag && len(f.payload) > 0 && f.at >= -maxTime && f.at <= maxTime
}

// appendSound decodes base64.
func appendSound(dst, text []byte) (out []byte, ok bool) {
	out, err := base64.StdEncoding.AppendDecode(dst, text)
	n := len(text) / 4 * 3
	for i := len(text) - 1; i >= 0 && text[i] == '='; i-- {
		n--
	}
	return out, err == nil && len(text)%4 == 0 && len(out)-len(dst) == n // nothing was left out, such as a line's end
}

// A cursor goes through plain JSON. Once it is bad it stays so.
type cursor struct {
	rest []byte
	bad  bool
}

// take goes over one byte, where that is the next.
func (c *cursor) take(b byte) bool {
	if c.bad || len(c.rest) == 0 || c.rest[0] != b {
		return false
	}
	c.rest = c.rest[1:]
	return true
}

// fields goes through an object. For each key it is the loop that goes over the value.
func (c *cursor) fields(yield func(key []byte) bool) {
	if !c.take('{') {
		c.bad = true
		return
	}
	for first := true; !c.bad && !(first && c.take('}')); first = false {
		key := c.text()
		if !c.take(':') {
			c.bad = true
		}
		if c.bad || !yield(key) || c.take('}') {
			return
		}
		if !c.take(',') {
			c.bad = true
		}
	}
}

// text goes over a string.
func (c *cursor) text() []byte {
	if !c.take('"') {
		c.bad = true
		return nil
	}
	end := bytes.IndexByte(c.rest, '"')
	if end < 0 {
		c.bad = true
		return nil
	}
	s := c.rest[:end]
	for _, b := range s {
		if b < ' ' || b >= 0x7f || b == '\\' {
			c.bad = true
			return nil
		}
	}
	c.rest = c.rest[end+1:]
	return s
}

// number goes over a whole number, also one that is written as a string.
func (c *cursor) number() int64 {
	if len(c.rest) == 0 || c.rest[0] != '"' {
		return c.digits(false)
	}
	s := cursor{rest: c.text(), bad: c.bad}
	n := s.digits(true)
	c.bad = c.bad || s.bad || len(s.rest) > 0
	return n
}

// digits goes over a number of at most eighteen digits, which may begin with 0 in a string only.
func (c *cursor) digits(zeros bool) (n int64) {
	negative := c.take('-')
	i := 0
	for i < len(c.rest) && c.rest[i] >= '0' && c.rest[i] <= '9' && n < math.MaxInt64/10 {
		n = 10*n + int64(c.rest[i]-'0')
		i++
	}
	if c.bad || i == 0 || i > 18 || i > 1 && c.rest[0] == '0' && !zeros {
		c.bad = true
		return 0
	}
	c.rest = c.rest[i:]
	if negative {
		return -n
	}
	return n
}

// skip goes over a value that is neither an object nor an array.
func (c *cursor) skip() {
	switch {
	case len(c.rest) == 0:
		c.bad = true
	case c.rest[0] == '"':
		c.text()
	case !c.word("true") && !c.word("false") && !c.word("null"):
		c.digits(false)
	}
}

func (c *cursor) word(w string) bool {
	if !bytes.HasPrefix(c.rest, []byte(w)) {
		return false
	}
	c.rest = c.rest[len(w):]
	return true
}
