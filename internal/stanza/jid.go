package stanza

import "strings"

// A JID is an address (RFC 7622): localpart@domainpart/resourcepart.
//
// Parsing never fails: the address comes from strangers, and a nickname that some
// profile forbids must not end a stream (reliability promise T02). Compare with
// Equal or Bare().Equal, which fold case where the standard does so.
type JID struct{ Local, Domain, Resource string }

// ParseJID splits s. Any string is some JID; an empty domain marks a useless one.
func ParseJID(s string) JID {
	var j JID
	if bare, res, ok := strings.Cut(s, "/"); ok {
		s, j.Resource = bare, res
	}
	if local, domain, ok := strings.Cut(s, "@"); ok && local != "" {
		j.Local, s = local, domain
	}
	j.Domain = strings.TrimRight(s, ".")
	return j
}

// String is the address as sent on the wire.
func (j JID) String() string {
	s := j.Domain
	if j.Local != "" {
		s = j.Local + "@" + s
	}
	if j.Resource != "" {
		s += "/" + j.Resource
	}
	return s
}

// Bare is j without its resourcepart.
func (j JID) Bare() JID { return JID{Local: j.Local, Domain: j.Domain} }

// With is j with another resourcepart.
func (j JID) With(resource string) JID {
	return JID{Local: j.Local, Domain: j.Domain, Resource: resource}
}

// IsZero reports whether there is no address at all.
func (j JID) IsZero() bool { return j == JID{} }

// Equal compares local- and domainpart without case, the resourcepart exactly.
func (j JID) Equal(k JID) bool {
	return j.Resource == k.Resource && fold(j.Local) == fold(k.Local) && fold(j.Domain) == fold(k.Domain)
}

func fold(s string) string { return strings.ToLower(s) }
