// Package stanza is XML as XMPP uses it: a small element tree, and addresses.
//
// Whole stanzas are read into an Elem with bounds on size, depth and width; above this
// package and the ones that parse Elems into structs (jingle, meetxml, rayo)
// there is no XML. Names are compared with their namespace, never as text:
// servers reorder attributes and move namespaces from run to run.
package stanza

import (
	"encoding/xml"
	"strings"
)

// An Elem is one XML element. Text is its character data, joined; the
// order between text and children is not kept, as no XMPP protocol needs it.
type Elem struct {
	Name xml.Name
	Attr []xml.Attr
	Kids []*Elem
	Text string
}

// New makes an element; attrs are name and value in turn.
func New(space, local string, attrs ...string) *Elem {
	e := &Elem{Name: xml.Name{Space: space, Local: local}}
	for i := 0; i+1 < len(attrs); i += 2 {
		e.Set(attrs[i], attrs[i+1])
	}
	return e
}

// Add appends children, leaving out nil ones, and returns e.
func (e *Elem) Add(kids ...*Elem) *Elem {
	for _, k := range kids {
		if k != nil {
			e.Kids = append(e.Kids, k)
		}
	}
	return e
}

// WithText sets the character data and returns e.
func (e *Elem) WithText(s string) *Elem {
	e.Text = s
	return e
}

// Get gives the value of an attribute, or "". An attribute of a namespace is
// never taken for a plain one, as x:from='focus' would forge a sender; the one
// exception is asked for by its whole name, xml:lang. It is safe on nil.
func (e *Elem) Get(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.Attr {
		if a.Name.Space == "" && a.Name.Local == name || a.Name.Space == xmlSpace && "xml:"+a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Has reports whether an attribute is there.
func (e *Elem) Has(name string) bool {
	if e == nil {
		return false
	}
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return true
		}
	}
	return false
}

// Set sets an attribute, in place of one of that name, and returns e.
func (e *Elem) Set(name, value string) *Elem {
	for i, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			e.Attr[i].Value = value
			return e
		}
	}
	e.Attr = append(e.Attr, xml.Attr{Name: xml.Name{Local: name}, Value: value})
	return e
}

// Kid gives the first child of that name, or nil. An empty space matches any
// namespace. It is safe on nil, so that Kids can be chained.
func (e *Elem) Kid(space, local string) *Elem {
	if e == nil {
		return nil
	}
	for _, k := range e.Kids {
		if k.Is(space, local) {
			return k
		}
	}
	return nil
}

// All gives the children of that name in order. An empty space matches any namespace.
func (e *Elem) All(space, local string) []*Elem {
	if e == nil {
		return nil
	}
	var all []*Elem
	for _, k := range e.Kids {
		if k.Is(space, local) {
			all = append(all, k)
		}
	}
	return all
}

// Is reports whether e has that name. An empty space matches any namespace.
func (e *Elem) Is(space, local string) bool {
	return e != nil && e.Name.Local == local && (space == "" || e.Name.Space == space)
}

// Clone copies e deeply.
func (e *Elem) Clone() *Elem {
	if e == nil {
		return nil
	}
	c := &Elem{Name: e.Name, Attr: append([]xml.Attr(nil), e.Attr...), Text: e.Text}
	for _, k := range e.Kids {
		c.Kids = append(c.Kids, k.Clone())
	}
	return c
}

const xmlSpace = "http://www.w3.org/XML/1998/namespace"

// String is e as XML with every namespace that differs from its parent's
// written out. The outermost namespace is written too unless it is empty.
func (e *Elem) String() string { return string(e.Append(nil, "")) }

// Append writes e to b as XML, inside a parent of namespace parent: an element
// without a namespace inherits the parent's.
func (e *Elem) Append(b []byte, parent string) []byte {
	space := e.Name.Space
	if space == "" {
		space = parent
	}
	b = append(append(b, '<'), e.Name.Local...)
	if space != parent {
		b = appendAttr(b, "xmlns", space)
	}
	for _, a := range e.Attr {
		switch {
		case a.Name.Local == "xmlns" || a.Name.Space == "xmlns":
		case a.Name.Space == xmlSpace || a.Name.Space == "xml":
			b = appendAttr(b, "xml:"+a.Name.Local, a.Value)
		case a.Name.Space == "":
			b = appendAttr(b, a.Name.Local, a.Value)
		}
	}
	if len(e.Kids) == 0 && e.Text == "" {
		return append(b, "/>"...)
	}
	b = appendEscaped(append(b, '>'), e.Text)
	for _, k := range e.Kids {
		b = k.Append(b, space)
	}
	b = append(append(b, "</"...), e.Name.Local...)
	return append(b, '>')
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), "='"...)
	return append(appendEscaped(b, value), '\'')
}

// appendEscaped escapes what XML needs; xml.EscapeText also drops what XML 1.0 forbids.
func appendEscaped(b []byte, s string) []byte {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r > '~' || strings.ContainsRune(`<>&'"`, r)
	}) {
		return append(b, s...)
	}
	var w strings.Builder
	_ = xml.EscapeText(&w, []byte(s)) // a Builder does not fail
	return append(b, w.String()...)
}
