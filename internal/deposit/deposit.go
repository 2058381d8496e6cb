// Package deposit takes copies of files to where they are safe: a bucket of an S3-compatible store, or a WebDAV server.
//
// A copy is a directory and a file in it. Putting the same one twice is the same as once, and deleting what is not
// there is no error. No error contains a URL, or a name beyond the kind of what went wrong.
package deposit

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A Client sends requests: egress.Client, for one.
type Client interface {
	Do(r *http.Request) (status int, body []byte, err error)
}

// mime are the types of what is stored, so that a store that shows them to people does not guess.
func mime(file string) string {
	switch file[strings.LastIndexByte(file, '.')+1:] {
	case "wav":
		return "audio/wav"
	case "opus":
		return "audio/ogg"
	case "json":
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// escape encodes a path segment as RFC 3986 has it, and as S3 wants it signed: all but letters, digits and -._~.
func escape(segment string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(segment) {
		switch c := segment[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		}
	}
	return b.String()
}

// join gives a URL below base, each segment escaped.
func join(base *url.URL, segments ...string) *url.URL {
	u := *base
	raw := strings.TrimSuffix(u.EscapedPath(), "/")
	for _, s := range segments {
		for part := range strings.SplitSeq(s, "/") {
			if part != "" {
				raw += "/" + escape(part)
			}
		}
	}
	u.RawPath = raw
	u.Path, _ = url.PathUnescape(raw) // what was escaped can be unescaped
	return &u
}

// parse reads the address of a store, without login, query and fragment.
func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address is not http:// or https:// with a host and a path and nothing more")
	}
	return u, nil
}

// refusal is what a store answered that did not do it.
func refusal(what string, status int, body []byte) error {
	var answer struct {
		Code string `xml:"Code"`
	}
	if xml.Unmarshal(body, &answer) == nil && answer.Code != "" && len(answer.Code) < 64 && !strings.ContainsFunc(answer.Code, func(r rune) bool { return r < 'A' || r > 'z' }) {
		return fmt.Errorf("%s: status %d, %s", what, status, answer.Code)
	}
	return fmt.Errorf("%s: status %d", what, status)
}

// request makes one with a body of known size.
func request(ctx context.Context, method string, u *url.URL, body io.Reader, size int64) (*http.Request, error) {
	if size == 0 {
		body = http.NoBody
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, errors.New("the address is not a URL")
	}
	r.URL = u // with our escapes
	r.ContentLength = size
	return r, nil
}
