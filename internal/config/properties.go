package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A property is one line of an old file, or what stands for one.
type property struct {
	key, value string
	place
}

// A lineError is a line that java.util.Properties would refuse.
type lineError struct {
	line int
	err  error
}

var errEscape = errors.New(`malformed \uxxxx`)

// parseProperties reads a file as java.util.Properties.load does: ISO-8859-1 (or UTF-8),
// logical lines, escapes. All lines are given, in their order; a later one with the
// same key wins. A line that Java refuses (with the whole file) is left out.
func parseProperties(file string, data []byte) (props []property, bad []lineError) {
	r := lines{data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), line: 1} // some editors begin with a mark
	for {
		text, line, ok := r.next()
		if !ok {
			return props, bad
		}
		k, v := splitProperty(text)
		key, err := unescape(k)
		if err != nil {
			bad = append(bad, lineError{line, err})
			continue
		}
		value, err := unescape(v)
		if err != nil {
			bad = append(bad, lineError{line, err})
			continue
		}
		props = append(props, property{key, value, place{file: file, line: line, name: key}})
	}
}

// lines gives logical lines: natural lines joined where a backslash ends one,
// without comments and blank lines.
type lines struct {
	data []byte
	at   int
	line int
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }

// next gives a logical line and the number of its first natural line.
func (r *lines) next() (text []byte, line int, ok bool) {
	joined := false
	for {
		// The blanks before a natural line count for nothing; a blank line only
		// where it does not end a continuation.
		for r.at < len(r.data) && isBlank(r.data[r.at]) {
			r.at++
		}
		if r.at >= len(r.data) {
			return text, line, len(text) > 0
		}
		if c := r.data[r.at]; (c == '\n' || c == '\r') && !joined {
			r.endOfLine()
			continue
		}
		if c := r.data[r.at]; (c == '#' || c == '!') && len(text) == 0 {
			for r.at < len(r.data) && r.data[r.at] != '\n' && r.data[r.at] != '\r' {
				r.at++
			}
			continue
		}
		if len(text) == 0 {
			line = r.line
		}
		joined = false
		escaped := false
		for r.at < len(r.data) && r.data[r.at] != '\n' && r.data[r.at] != '\r' {
			escaped = r.data[r.at] == '\\' && !escaped
			text = append(text, r.data[r.at])
			r.at++
		}
		if escaped {
			text = text[:len(text)-1]
			joined = true
		}
		if r.at < len(r.data) {
			r.endOfLine()
		}
		switch {
		case escaped && r.at >= len(r.data):
			return text, line, true // as Java does, even where nothing is before the backslash
		case !escaped && len(text) > 0:
			return text, line, true
		}
	}
}

func (r *lines) endOfLine() {
	if r.data[r.at] == '\r' && r.at+1 < len(r.data) && r.data[r.at+1] == '\n' {
		r.at++
	}
	r.at++
	r.line++
}

// splitProperty cuts at the first unescaped =, : or blank.
func splitProperty(s []byte) (key, value []byte) {
	i, escaped, separated := 0, false, false
	for ; i < len(s); i++ {
		if c := s[i]; !escaped && (c == '=' || c == ':' || isBlank(c)) {
			break
		}
		escaped = s[i] == '\\' && !escaped
	}
	key = s[:i]
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case isBlank(c):
		case (c == '=' || c == ':') && !separated:
			separated = true
		default:
			return key, s[i:]
		}
	}
	return key, nil
}

// unescape resolves escapes and makes text of what is UTF-8 or Latin-1, and \uxxxx. Java reads Latin-1 alone: what is
// UTF-8 was meant so, and was garbled.
func unescape(b []byte) (string, error) {
	s := make([]uint16, 0, len(b))
	if utf8.Valid(b) {
		for _, r := range string(b) {
			s = utf16.AppendRune(s, r)
		}
	} else {
		for _, c := range b {
			s = append(s, uint16(c))
		}
	}
	out := make([]uint16, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if i++; i == len(s) {
			break
		}
		switch s[i] {
		case 't':
			c = '\t'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 'f':
			c = '\f'
		case 'u':
			if i+4 >= len(s) {
				return "", errEscape
			}
			c = 0
			for _, h := range s[i+1 : i+5] {
				d := -1
				if h >= '0' && h < 0x80 {
					d = strings.IndexByte("0123456789abcdef", byte(h)|0x20)
				}
				if d < 0 {
					return "", errEscape
				}
				c = c<<4 | uint16(d)
			}
			i += 4
		default:
			c = s[i]
		}
		out = append(out, c)
	}
	return string(utf16.Decode(out)), nil
}
