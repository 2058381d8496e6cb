package stanza

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// A Reader reads the stanzas of one XML stream (RFC 6120, 4). It is for one
// goroutine. It never keeps more than Limits allow, whatever the peer sends.
type Reader struct {
	f     framer
	frame bytes.Reader
	ended bool // the root element was an empty one
}

// keepFrame is how large a buffer may stay between stanzas.
const keepFrame = 64 << 10

// NewReader reads from r.
func NewReader(r io.Reader, lim Limits) *Reader {
	return &Reader{f: framer{r: bufio.NewReader(r), lim: lim.orDefaults()}}
}

// Header reads the start tag that opens the stream, after an XML declaration or
// without. What it declares holds for all stanzas. The Elem has no children.
// It may be called again where the stream is restarted (RFC 6120, 4.3.3).
func (r *Reader) Header() (*Elem, error) {
	f := &r.f
	f.base = 0
	for declared := false; ; declared = true {
		f.buf, f.size, f.depth, f.elements, f.refused = f.buf[:0], 0, 0, 0, ""
		if err := f.space(); err != nil {
			return nil, err
		}
		m, err := f.markup(!declared)
		switch {
		case err != nil:
			return nil, cut(err)
		case f.refused != "":
			return nil, &LimitError{What: f.refused}
		case m == markDecl:
			continue
		case m != markStart && m != markEmpty:
			return nil, ErrMalformed
		}
		r.ended = m == markEmpty
		return r.opened()
	}
}

// opened parses the start tag and puts its declarations before all frames to come.
func (r *Reader) opened() (*Elem, error) {
	d := xml.NewDecoder(bytes.NewReader(r.f.buf))
	tok, err := d.Token()
	if err != nil {
		return nil, malformed(err)
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, ErrMalformed
	}
	e, err := newElem(start, "")
	if err != nil {
		return nil, err
	}
	wrap := []byte("<s")
	for _, a := range start.Attr {
		switch {
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			wrap = appendAttr(wrap, "xmlns", a.Value)
		case a.Name.Space == "xmlns":
			wrap = appendAttr(wrap, "xmlns:"+a.Name.Local, a.Value)
		}
	}
	r.f.buf = append(append(r.f.buf[:0], wrap...), '>')
	r.f.base = len(r.f.buf)
	return e, nil
}

// Next reads the next stanza. It gives io.EOF at the end of the stream's root
// element or of the input between stanzas, and a *LimitError with Skipped set
// where one stanza was too large and was passed over: Next may be called again.
// Every other error is final.
func (r *Reader) Next() (*Elem, error) {
	if r.ended {
		return nil, io.EOF
	}
	if cap(r.f.buf) > keepFrame {
		r.f.buf = append([]byte(nil), r.f.buf[:r.f.base]...)
	}
	if err := r.f.element(); err != nil {
		return nil, err
	}
	return r.parse()
}

// Size is how long the last stanza was on the wire, in bytes.
func (r *Reader) Size() int { return r.f.size }

// Buffered is the number of bytes that have been read ahead. Before TLS starts it
// must be none, or somebody has put words into the server's mouth.
func (r *Reader) Buffered() int { return r.f.r.Buffered() }

func (r *Reader) parse() (*Elem, error) {
	r.frame.Reset(r.f.buf)
	d := xml.NewDecoder(&r.frame)
	space := ""
	if r.f.base > 0 {
		tok, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		space = tok.(xml.StartElement).Name.Space
	}
	tok, err := d.Token()
	if err != nil {
		return nil, malformed(err)
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, ErrMalformed
	}
	e, err := build(d, start, space)
	if err != nil {
		return nil, err
	}
	if d.InputOffset() != int64(len(r.f.buf)) {
		return nil, ErrMalformed
	}
	return e, nil
}

// build makes the tree under start; the frame has bounded its depth.
func build(d *xml.Decoder, start xml.StartElement, parent string) (*Elem, error) {
	e, err := newElem(start, parent)
	if err != nil {
		return nil, err
	}
	var text []byte
	for {
		tok, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			k, err := build(d, tok, e.Name.Space)
			if err != nil {
				return nil, err
			}
			e.Kids = append(e.Kids, k)
		case xml.CharData:
			text = append(text, tok...)
		case xml.EndElement:
			e.Text = string(text)
			return e, nil
		default:
			return nil, ErrRestricted
		}
	}
}

// newElem keeps the plain and the xml: attributes. Others mean nothing to any
// protocol here, and a server may pass an x:from of a stranger through.
func newElem(start xml.StartElement, parent string) (*Elem, error) {
	e := &Elem{Name: start.Name}
	if e.Name.Space == "" {
		e.Name.Space = parent
	}
	if bad(e.Name.Local) {
		return nil, ErrMalformed
	}
	if len(start.Attr) > 0 {
		e.Attr = make([]xml.Attr, 0, len(start.Attr))
	}
	for _, a := range start.Attr {
		switch {
		case a.Name.Space == "xmlns":
			if a.Value == "" { // would make x:from a plain from
				return nil, ErrMalformed
			}
			continue
		case a.Name.Space == "" && a.Name.Local == "xmlns", a.Name.Space != "" && a.Name.Space != xmlSpace:
			continue
		case bad(a.Name.Local):
			return nil, ErrMalformed
		}
		for _, had := range e.Attr {
			if had.Name == a.Name {
				return nil, fmt.Errorf("%w: attribute given twice", ErrMalformed)
			}
		}
		e.Attr = append(e.Attr, a)
	}
	if len(e.Attr) == 0 {
		e.Attr = nil
	}
	return e, nil
}

// bad reports local names that encoding/xml lets pass behind a prefix though they are none.
func bad(local string) bool {
	if local == "" || strings.Contains(local, ":") {
		return true
	}
	switch c := local[0]; {
	case c|0x20 >= 'a' && c|0x20 <= 'z', c == '_':
		return false
	case c < 0x80:
		return true
	}
	_, err := xml.NewDecoder(strings.NewReader("<" + local + "/>")).Token()
	return err != nil
}

// malformed hides the decoder's text, which quotes the peer's.
func malformed(error) error { return ErrMalformed }

// Parse reads one element that is the whole of b, white space and an XML
// declaration aside: a frame of a WebSocket, the body of an HTTP answer.
func Parse(b []byte, lim Limits) (*Elem, error) {
	r := NewReader(bytes.NewReader(b), lim)
	if rest := bytes.TrimLeft(b, " \t\r\n"); bytes.HasPrefix(rest, []byte("<?xml ")) {
		if err := r.f.space(); err != nil {
			return nil, err
		}
		if _, err := r.f.markup(true); err != nil {
			return nil, cut(err)
		}
	}
	e, err := r.Next()
	if err == io.EOF { //nolint:errorlint // the framer gives it bare
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if err := r.f.space(); err != io.EOF { //nolint:errorlint // the framer gives it bare
		return nil, fmt.Errorf("%w: more than one element", ErrMalformed)
	}
	return e, nil
}
