package sip

import (
	"bytes"
	"io"
	"jigasi/internal/siptx"
	"mime"
	"mime/multipart"
	"strings"
)

const sdpType = "application/sdp"

// description gives the session description of a message, nil if it has none. In a
// body of many parts, as SIP-I sends it, it is the first part of that type.
func description(m siptx.Message) []byte {
	return descriptionIn(siptx.Value(m, "Content-Type"), m.Body(), maxNested)
}

// maxNested is how deep parts are looked for within parts (RFC 5621, 3.1).
const maxNested = 3

func descriptionIn(ctype string, body []byte, depth int) []byte {
	if len(body) == 0 {
		return nil
	}
	kind, params, err := mime.ParseMediaType(ctype)
	switch {
	case err != nil:
		return nil
	case kind == sdpType:
		return body
	case !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" || depth == 0:
		return nil
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range 16 {
		p, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil
		}
		if found := descriptionIn(p.Header.Get("Content-Type"), b, depth-1); found != nil {
			return found
		}
	}
	return nil
}

// unreadable says that a request has a body that cannot be used (RFC 3261, 8.2.3).
func unreadable(m siptx.Message) bool {
	coded := siptx.Value(m, "Content-Encoding")
	return len(m.Body()) > 0 && (description(m) == nil || coded != "" && !strings.EqualFold(coded, "identity"))
}

// takesSDP reports whether the caller accepts a session description in an answer (RFC 3261, 20.1).
func takesSDP(m siptx.Message) bool {
	accepts := siptx.Values(m, "Accept")
	if len(accepts) == 0 {
		return true
	}
	for _, v := range accepts {
		for item := range strings.SplitSeq(v, ",") {
			kind, _, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case sdpType, "application/*", "*/*":
				return true
			}
		}
	}
	return false
}

// A Header is a name and a value.
type Header struct{ Name, Value string }

// reserved are headers that the dialog writes itself.
var reserved = []string{
	"Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Content-Type", "Route",
	"Record-Route", "Authorization", "Proxy-Authorization", "Allow", "Supported", "Require", "Proxy-Require", "Session-Expires",
	"Min-SE", "RSeq", "RAck", "Content-Encoding", "Replaces", "v", "f", "t", "i", "m", "l", "c", "k", "x", "e",
}

const (
	maxExtras     = 64
	maxExtraBytes = 8 << 10 // a token of a meeting takes 2
)

// extras filters headers that somebody else wants sent: none that the dialog writes itself, and nothing
// that would begin another one (T23).
func extras(in []Header) []Header {
	var out []Header
	for _, h := range in {
		if !siptx.IsToken(h.Name) || len(h.Value) > maxExtraBytes || len(out) == maxExtras {
			continue
		}
		skip := false
		for _, r := range reserved {
			skip = skip || strings.EqualFold(r, h.Name)
		}
		if !skip {
			out = append(out, Header{h.Name, siptx.Clean(h.Value)})
		}
	}
	return out
}
