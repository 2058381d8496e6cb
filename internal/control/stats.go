package control

import (
	"strconv"
	"strings"

	"jigasi/internal/stanza"
)

const (
	nsMUC     = "http://jabber.org/protocol/muc"
	nsMUCUser = "http://jabber.org/protocol/muc#user"
	nsStats   = "http://jitsi.org/protocol/colibri"
)

// Stats is what a focus chooses gateways by: it takes the one with the fewest
// Participants that is not Draining, in the right Region, and able to.
type Stats struct {
	Conferences   int
	Participants  int
	Draining      bool
	Stress        float64 // 0 idle, 1 full
	Region        string  // "" is left out
	Version       string  // likewise
	SIP           bool    // can call phones
	Transcription bool
}

// Elem is s as it stands in presence, with the names and in the order of Jigasi.
func (s Stats) Elem() *stanza.Elem {
	e := stanza.New(nsStats, "stats")
	add := func(name, value string) {
		e.Add(stanza.New("", "stat", "name", name, "value", value))
	}
	add("conferences", strconv.Itoa(s.Conferences))
	add("participants", strconv.Itoa(s.Participants))
	add("graceful_shutdown", strconv.FormatBool(s.Draining))
	add("stress_level", decimal(s.Stress))
	if s.Region != "" {
		add("region", s.Region)
	}
	if s.Version != "" {
		add("version", s.Version)
	}
	add("supports_transcription", strconv.FormatBool(s.Transcription))
	add("supports_sip", strconv.FormatBool(s.SIP))
	return e
}

// decimal prints as Jigasi does: always with a point, never with an exponent. Four
// digits are enough, and spare the room a presence for every rounding.
func decimal(f float64) string {
	s := strings.TrimRight(strconv.FormatFloat(f, 'f', 4, 64), "0")
	if strings.HasSuffix(s, ".") {
		s += "0"
	}
	return s
}

// urgent reports whether the change from old to s must not wait.
func (s Stats) urgent(old Stats) bool {
	return s.Draining != old.Draining || s.SIP != old.SIP || s.Transcription != old.Transcription
}
