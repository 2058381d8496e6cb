package config

import (
	"net/netip"
	"slices"
	"strings"
)

func (l *loader) checkSIP(s *SIP) {
	if !s.Enabled {
		if t := l.cfg.Transcription; !t.Enabled && t.Export.Port == 0 {
			l.at(Warning, "sip.enabled", "is false, and nothing is to be transcribed: there is nothing to do then")
		}
		return
	}
	if len(s.Accounts) == 0 && len(s.Trunks) == 0 {
		l.at(Warning, "sip.accounts", "no account and no trunk: nobody can call; add sip.accounts or sip.trunks")
	}
	for _, a := range s.Listen {
		network, addr, _ := strings.Cut(a, ":")
		if _, err := netip.ParseAddrPort(addr); err != nil || !slices.Contains(transports, network) {
			l.at(Error, "sip.listen", "%.60q: write transport:address:port, such as udp:0.0.0.0:5060", a)
		}
		if (network == "tls" || network == "wss") && s.TLS.CertFile == "" {
			l.at(Error, "sip.tls.cert_file", "is needed to listen on %s", a)
		}
	}
	for _, t := range s.Trunks {
		p, err := ParsePrefix(t)
		if err != nil {
			l.at(Error, "sip.trunks", "%.60q is no network: write 192.0.2.0/24 or an address", t)
		} else if p.Bits() == 0 {
			l.at(Warning, "sip.trunks", "everybody may call in: name the networks of your trunks")
		}
	}
	l.pair("sip.tls", &s.TLS.CertFile, &s.TLS.KeyFile)
	l.checkTrust("sip.tls.trust", &s.TLS.Trust)
	l.within("sip.dscp", s.DSCP, 0, 63)
}

func (l *loader) checkAccount(key string, a *SIPAccount) {
	switch user, domain, _ := strings.Cut(a.URI, "@"); {
	case strings.Contains(user, ":") || strings.ContainsAny(domain, "/;"):
		l.at(Error, key+".uri", "is user@domain alone, without sip: before it and without parameters")
	case user == "" || strings.ContainsAny(a.URI, " \r\n<>"):
		l.noPlaceholder(key+".uri", a.URI)
		l.at(Error, key+".uri", "is user@domain")
	case domain == "" && a.Register:
		l.at(Error, key+".uri", "needs a domain: user@domain")
	}
	if _, given := l.where[key+".password"]; a.Register && a.Password == "" && !given {
		l.at(Warning, key+".password", "is missing: few registrars want none")
	}
	l.domain(key+".domain", a.Domain)
	l.checkHeaders(key+".headers", a.Headers)
	for i, other := range l.cfg.SIP.Accounts {
		if &l.cfg.SIP.Accounts[i] != a && other.ID == a.ID {
			l.at(Error, key+".id", "%q is there twice", a.ID)
		}
	}
	if a.Transport != "" {
		l.oneOf(key+".transport", a.Transport, transports...)
	}
	l.oneOf(key+".keep_alive", a.KeepAlive, "options", "crlf", "register", "none")
	l.oneOf(key+".dtmf", a.DTMF, "auto", "rtp", "info", "inband")
	l.checkCodecs(key+".codecs", a.Codecs)
	codecs := a.Codecs
	if len(codecs) == 0 {
		codecs = l.cfg.Media.Codecs
	}
	if a.Forward && !slices.ContainsFunc(codecs, func(c string) bool { return strings.EqualFold(c, "opus") }) {
		l.at(Warning, key+".forward", "has no effect without opus among the codecs: every call is mixed")
	}
	l.checkLanguage(key+".language", a.Language)
	if a.CallerName != "" {
		l.oneOf(key+".caller_name", a.CallerName, "masked", "full", "hidden")
	}
	if a.SRTP != "" {
		l.oneOf(key+".srtp", a.SRTP, "off", "optional", "required")
	}
	l.hostPort(key+".registrar", a.Registrar)
	l.hostPort(key+".proxy", a.Proxy)
	for _, h := range a.Extra {
		if h.Name == "" || strings.ContainsAny(h.Name+h.Value, "\r\n") || strings.ContainsAny(h.Name, ": \t") {
			l.at(Error, key+".extra_headers", "%.40q is no header name, or has a line break in its value", h.Name)
		}
	}
}

// checkHeaders wants names that a header can have.
func (l *loader) checkHeaders(key string, h HeaderNames) {
	for _, name := range []string{h.Room, h.Password, h.Domain, h.Tenant, h.Token, h.UserID, h.Visitor} {
		if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' || c == '"' }) {
			l.at(Error, key, "%.40q is no name of a header: letters, digits and dashes, without the colon", name)
		}
	}
}
