package xmpp

import (
	"crypto/sha1" //nolint:gosec // XEP-0115 says sha-1, and everybody hashes so
	"encoding/base64"
	"slices"
	"strings"

	"jigasi/internal/stanza"
)

// An Identity is what kind of thing answers (XEP-0030).
type Identity struct{ Category, Type, Lang, Name string }

// Caps are what disco#info tells about an entity, and the short form of it that
// travels in presence (XEP-0115).
type Caps struct {
	Node       string // a URL of the software's own
	Identities []Identity
	Features   []string
}

// Ver is the verification string of XEP-0115, 5.1, by SHA-1.
func (c Caps) Ver() string {
	ids := make([]string, len(c.Identities))
	for i, id := range c.Identities {
		ids[i] = id.Category + "/" + id.Type + "/" + id.Lang + "/" + id.Name + "<"
	}
	feats := slices.Clone(c.Features)
	slices.Sort(ids)
	slices.Sort(feats)
	var s strings.Builder
	for _, id := range ids {
		s.WriteString(id)
	}
	for _, f := range slices.Compact(feats) {
		s.WriteString(f + "<")
	}
	sum := sha1.Sum([]byte(s.String())) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Elem is the <c/> of presence.
func (c Caps) Elem() *stanza.Elem {
	return stanza.New(nsCaps, "c", "hash", "sha-1", "node", c.Node, "ver", c.Ver())
}

// Info is the <query/> that answers disco#info.
func (c Caps) Info() *stanza.Elem {
	q := stanza.New(nsInfo, "query")
	for _, id := range c.Identities {
		e := stanza.New("", "identity", "category", id.Category, "type", id.Type)
		if id.Lang != "" {
			e.Set("xml:lang", id.Lang)
		}
		if id.Name != "" {
			e.Set("name", id.Name)
		}
		q.Add(e)
	}
	for _, f := range c.Features {
		q.Add(stanza.New("", "feature", "var", f))
	}
	return q
}
