package siptx

import "strings"

// addressed are the fields that hold addresses with parameters; they are tidied before the parser sees them.
var addressed = map[string]bool{"Via": true, "From": true, "To": true, "Contact": true, "Route": true, "Record-Route": true}

// tidy takes out the white space that the grammar allows around the separators
// of an addressed field (RFC 3261, 25.1: SEMI, EQUAL, SLASH, COLON), because the
// parser reads "; tag = x" otherwise. Quoted strings and what stands between < and > stay.
// It fails where a quote or a bracket is not closed.
func tidy(name, v string) (string, error) {
	var out strings.Builder
	out.Grow(len(v))
	quoted, inside := false, false
	gap := false // white space that was not written yet
	last := byte(0)
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case quoted:
			if c == '\\' && i+1 < len(v) {
				out.WriteByte(c)
				i++
				c = v[i]
			} else if c == '"' {
				quoted = false
			}
			out.WriteByte(c)
			last = c
			continue
		case inside:
			if c == ' ' || c == '\t' || c == '<' {
				return "", bad("white space or a bracket inside an address")
			}
			inside = c != '>'
			out.WriteByte(c)
			last = c
			continue
		case c == ' ' || c == '\t':
			gap = true
			continue
		}
		if gap && !separator(name, c) && !separator(name, last) && last != 0 {
			out.WriteByte(' ')
		}
		gap = false
		if c == ';' && last == ';' || c == ',' && (last == ';' || last == ',') {
			return "", bad("an empty parameter")
		}
		quoted, inside = c == '"', c == '<'
		out.WriteByte(c)
		last = c
	}
	if quoted || inside {
		return "", bad("a quote or a bracket that is not closed")
	}
	return out.String(), nil
}

// separator reports whether white space around c means nothing.
func separator(name string, c byte) bool {
	switch c {
	case ';', '=', ',':
		return true
	case '/', ':':
		return name == "Via"
	}
	return false
}

// Split cuts the value of a field at the commas between its items.
func Split(v string) []string {
	var all []string
	quoted, inside, at := false, false, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			inside = true
		case c == '>':
			inside = false
		case c == ',' && !inside:
			all = append(all, strings.Trim(v[at:i], " \t"))
			at = i + 1
		}
	}
	return append(all, strings.Trim(v[at:], " \t"))
}
