package config

import "strings"

// checkTranscriber checks what a transcriber that joins rooms needs.
func (l *loader) checkTranscriber(t *Transcription) {
	const key = "transcription."
	if t.User != "" && !strings.Contains(t.User, "@") {
		l.at(Error, key+"user", "is name@domain")
	}
	if t.User != "" && t.Password == "" {
		l.at(Error, key+"password", "is missing for %s", t.User)
	}
	l.noPlaceholder(key+"password", string(t.Password))
	if !t.Enabled {
		return
	}
	if len(l.cfg.Breweries) == 0 {
		l.at(Warning, key+"enabled", "has no effect without breweries: no focus finds us")
	}
	if t.User == "" && l.cfg.XMPP.Anonymous() {
		l.at(Warning, key+"user", "is not set, and xmpp.user neither: clients show what is said only if it comes from an account of the hidden domain")
	}
	if len(l.cfg.Meeting.TrustedDomains) == 0 {
		l.at(Info, "meeting.trusted_domains", "is empty: a transcriber does not notice another one in the room; name the hidden domain")
	}
}
