package meetxml

import (
	"jigasi/internal/stanza"
)

// NSVisitors is the namespace of what concerns visitors.
const NSVisitors = "jitsi:visitors"

// FeatureVisitors says that we can be a visitor.
const FeatureVisitors = "http://jitsi.org/visitors-1"

// IsVisitors reports whether an IQ concerns visitors.
func IsVisitors(iq *stanza.Elem) bool { return iq.Kid(NSVisitors, "visitors") != nil }

// A Promotion is the answer to a visitor who has raised a hand (conference spec 1.3).
type Promotion struct {
	Allowed  bool
	Username string     // to log in to the main domain with
	Focus    stanza.JID // the focus of the meeting there, bare; zero if not said
}

// ParsePromotion reads the promotion-response of an IQ; ok is false where there is none.
func ParsePromotion(iq *stanza.Elem) (p Promotion, ok bool) {
	v := iq.Kid(NSVisitors, "visitors")
	r := v.Kid(NSVisitors, "promotion-response")
	if r == nil {
		return Promotion{}, false
	}
	return Promotion{
		Allowed: r.Get("allow") == "true", Username: r.Get("username"), Focus: stanza.ParseJID(v.Get("focusjid")).Bare(),
	}, true
}
