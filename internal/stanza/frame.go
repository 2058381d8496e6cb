package stanza

import (
	"bufio"
	"errors"
	"io"
)

// Limits bound what one stanza may be. A zero field means its default.
type Limits struct {
	Bytes    int // on the wire; 1 MiB
	Depth    int // nested elements; 64
	Elements int // all elements together; 16384
	Attrs    int // attributes of one element, namespace declarations included; 64
}

// skipFactor times Limits.Bytes is how long a stanza may be to be passed over;
// reading on past a longer one costs more than a new stream.
const skipFactor = 8

func (l Limits) orDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Bytes, 1<<20)
	def(&l.Depth, 64)
	def(&l.Elements, 16384)
	def(&l.Attrs, 64)
	return l
}

// A LimitError says that a stanza was larger than allowed.
type LimitError struct {
	What string // bytes, depth, elements or attributes
	// Skipped says that the whole stanza was passed over without being kept, and
	// that the next one can be read. Otherwise the stream is of no more use.
	Skipped bool
}

func (e *LimitError) Error() string { return "stanza exceeds the limit of " + e.What }

// What ends a stream.
var (
	ErrMalformed  = errors.New("malformed XML")
	ErrRestricted = errors.New("comment, processing instruction or DTD in XMPP") // RFC 6120, 11.1
)

// A framer cuts a byte stream into whole elements without building anything, so
// that what is too large costs a counter and no memory. It knows just enough of
// XML: tags, quotes, CDATA. Whether an element is well-formed is for the parser
// that reads the frame.
type framer struct {
	r   *bufio.Reader
	lim Limits

	buf      []byte // the frame
	base     int    // what is in buf before the frame
	size     int    // bytes of the frame, kept or not
	depth    int
	elements int
	refused  string // the limit that was exceeded; nothing is kept from there on
}

// A mark is what kind of markup a tag is.
type mark uint8

const (
	markText mark = iota
	markStart
	markEmpty
	markEnd
	markDecl // <?xml ... ?>
)

// element reads from the '<' of a start tag to the end of its element. It gives
// io.EOF at the end tag of the enclosing element.
func (f *framer) element() error {
	f.buf, f.size, f.depth, f.elements, f.refused = f.buf[:f.base], 0, 0, 0, ""
	if err := f.space(); err != nil {
		return err
	}
	for {
		m, err := f.markup(false)
		if err != nil {
			return cut(err)
		}
		switch m {
		case markStart:
			f.depth++
		case markEnd:
			f.depth--
		}
		if f.depth < 0 {
			return io.EOF
		}
		f.count(m)
		if f.depth == 0 {
			return f.verdict()
		}
		if err := f.text(); err != nil {
			return cut(err)
		}
	}
}

func (f *framer) count(m mark) {
	if m == markStart || m == markEmpty {
		f.elements++
	}
	depth := f.depth
	if m == markEmpty {
		depth++
	}
	switch {
	case depth > f.lim.Depth:
		f.refuse("depth")
	case f.elements > f.lim.Elements:
		f.refuse("elements")
	}
}

func (f *framer) refuse(what string) {
	if f.refused == "" {
		f.refused = what
		f.buf = f.buf[:f.base]
	}
}

func (f *framer) verdict() error {
	if f.refused != "" {
		return &LimitError{What: f.refused, Skipped: true}
	}
	return nil
}

// space passes over the white space between stanzas, which keeps connections alive.
func (f *framer) space() error {
	for {
		c, err := f.r.ReadByte()
		switch {
		case err != nil:
			return err
		case c == '<':
			return f.r.UnreadByte()
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return ErrMalformed
		}
	}
}

// text reads up to the next '<'.
func (f *framer) text() error {
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return err
		}
		if c == '<' {
			return f.r.UnreadByte()
		}
		if err := f.keep(c); err != nil {
			return err
		}
	}
}

// markup reads one tag or CDATA section, which starts at the next byte.
func (f *framer) markup(declaration bool) (mark, error) {
	if _, err := f.next(); err != nil { // the '<'
		return 0, err
	}
	c, err := f.next()
	if err != nil {
		return 0, err
	}
	switch {
	case c == '!':
		return markText, f.cdata()
	case c == '?' && declaration:
		return markDecl, f.until("?>")
	case c == '?':
		return 0, ErrRestricted
	case c == '/':
		return markEnd, f.until(">")
	}
	return f.startTag(c)
}

func (f *framer) startTag(c byte) (mark, error) {
	var quote byte
	attrs := 0
	for {
		last := c
		var err error
		if c, err = f.next(); err != nil {
			return 0, err
		}
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '=':
			if attrs++; attrs > f.lim.Attrs {
				f.refuse("attributes")
			}
		case c == '<':
			return 0, ErrMalformed
		case c == '>' && last == '/':
			return markEmpty, nil
		case c == '>':
			return markStart, nil
		}
	}
}

// cdata reads a section whose "<!" was read. All else that starts so is not XMPP.
func (f *framer) cdata() error {
	for _, want := range []byte("[CDATA[") {
		c, err := f.next()
		if err != nil {
			return err
		}
		if c != want {
			return ErrRestricted
		}
	}
	if f.depth == 0 {
		return ErrMalformed
	}
	return f.until("]]>")
}

// until reads to the end of the next occurrence of end, whose bytes but the last are equal or one.
func (f *framer) until(end string) error {
	matched := 0
	for matched < len(end) {
		c, err := f.next()
		if err != nil {
			return err
		}
		switch {
		case c == end[matched]:
			matched++
		case matched > 0 && c == end[matched-1] && end[0] == c: // ]]]>
		case c == end[0]:
			matched = 1
		default:
			matched = 0
		}
	}
	return nil
}

func (f *framer) next() (byte, error) {
	c, err := f.r.ReadByte()
	if err != nil {
		return 0, err
	}
	return c, f.keep(c)
}

func (f *framer) keep(c byte) error {
	f.size++
	switch {
	case f.refused == "" && f.size <= f.lim.Bytes:
		f.buf = append(f.buf, c)
	case f.size > skipFactor*f.lim.Bytes:
		return &LimitError{What: "bytes"}
	default:
		f.refuse("bytes")
	}
	return nil
}

// cut makes the end of input inside an element what it is.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
