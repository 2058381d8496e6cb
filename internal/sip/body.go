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
	if len(m.Body()) == 0 {
		return nil
	}
	kind, params, err := mime.ParseMediaType(siptx.Value(m, "Content-Type"))
	switch {
	case err != nil:
		return nil
	case kind == sdpType:
		return m.Body()
	case !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "":
		return nil
	}
	parts := multipart.NewReader(bytes.NewReader(m.Body()), params["boundary"])
	for range 16 {
		p, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		if kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type")); err == nil && kind == sdpType {
			if b, err := io.ReadAll(p); err == nil && len(b) > 0 {
				return b
			}
		}
	}
	return nil
}

// unreadable says that a request has a body that cannot be used (RFC 3261, 8.2.3).
func unreadable(m siptx.Message) bool {
	return len(m.Body()) > 0 && (description(m) == nil || siptx.Value(m, "Content-Encoding") != "")
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
