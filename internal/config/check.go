package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

var (
	transports = []string{"udp", "tcp", "tls", "ws", "wss"}
	codecNames = []string{"opus", "G722", "PCMU", "PCMA"}
	suiteNames = []string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM"}
)

// check completes what follows from other keys, and says what is wrong or risky.
func (l *loader) check() {
	c := l.cfg
	if l.file == "command line" {
		l.file = ""
	}
	l.complete()
	l.checkMeeting(&c.Meeting)
	l.checkVisitors(&c.Visitors)
	l.checkLogin("xmpp", &c.XMPP)
	l.checkSIP(&c.SIP)
	for i := range c.SIP.Accounts {
		l.checkAccount(fmt.Sprintf("sip.accounts[%d]", i), &c.SIP.Accounts[i])
	}
	l.checkMedia(&c.Media)
	l.checkBreweries()
	l.checkDialOut()
	l.checkTranscription(&c.Transcription)
	l.checkAdmin(&c.Admin)
	l.checkLimits()
	l.oneOf("meeting.caller_name", c.Meeting.CallerName, "masked", "full", "hidden")
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "text", "json")
	if !validPublicIP(c.PublicIP) {
		l.at(Error, "public_ip", "is auto, an IP address or stun:host[:port], not %.60q", c.PublicIP)
	}
	l.checkFileMode()
}

// complete fills in what follows from other keys.
func (l *loader) complete() {
	c := l.cfg
	if c.Meeting.MUC == "" && c.Meeting.Domain != "" && len(c.Meeting.MUCPrefixes) > 0 {
		c.Meeting.MUC = c.Meeting.MUCPrefixes[0] + "." + c.Meeting.Domain
	}
	if c.PublicIP == "" {
		c.PublicIP = "auto"
	}
	for i := range c.SIP.Accounts {
		if c.SIP.Accounts[i].ID == "" {
			c.SIP.Accounts[i].ID = "sip" + strconv.Itoa(i+1)
		}
	}
	for i := range c.Breweries {
		if c.Breweries[i].ID == "" {
			c.Breweries[i].ID = "brewery" + strconv.Itoa(i+1)
		}
	}
}

func (l *loader) checkMeeting(m *Meeting) {
	if m.Domain == "" && m.MUC == "" {
		l.at(Warning, "meeting.domain", "is not set: callers have to name their room with its domain")
	}
	l.noPlaceholder("meeting.domain", m.Domain)
	l.noPlaceholder("meeting.muc", m.MUC)
	if m.Focus == "" {
		l.at(Error, "meeting.focus", "is empty; the focus of every Jitsi is called focus")
	}
	if u, err := url.Parse(strings.ReplaceAll(m.CallerInfoURL, "{0}", "0")); m.CallerInfoURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		l.at(Error, "meeting.caller_info_url", "begins with https://, such as https://names.example.com/caller?number={0}")
	} else if m.CallerInfoURL != "" && !strings.Contains(m.CallerInfoURL, "{0}") {
		l.at(Warning, "meeting.caller_info_url", "has no {0}: it asks the same of every phone")
	}
}

// checkLogin checks one login; key is its section.
func (l *loader) checkLogin(key string, x *XMPP) {
	if x.User != "" && !strings.Contains(x.User, "@") && x.Domain == "" {
		l.at(Error, key+".user", "is name@domain")
	}
	if x.User != "" && x.Password == "" {
		l.at(Error, key+".password", "is missing for %s; without user the login is anonymous", x.User)
	}
	l.noPlaceholder(key+".server", x.Server)
	l.noPlaceholder(key+".password", string(x.Password))
	l.hostPort(key+".server", x.Server)
	l.checkURL(key+".url", x.URL)
	l.checkTrust(key+".tls", x.TLS)
	host, _, _ := net.SplitHostPort(x.Server)
	if host == "" {
		host = x.Server
	}
	if x.Plaintext && x.User != "" && !isLoopback(host) {
		l.at(Warning, key+".plaintext", "lets the password cross the network unencrypted where the server offers no TLS; set it to false")
	}
}

func (l *loader) checkURL(key, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(strings.NewReplacer("{host}", "host", "{subdomain}", "", "{roomName}", "room").Replace(s))
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) {
		l.at(Error, key, "begins with https:// (BOSH) or wss:// (WebSocket), such as https://{host}{subdomain}/http-bind?room={roomName}")
	}
}

func (l *loader) checkTrust(key string, t TLSTrust) {
	if t.TrustAll {
		l.at(Warning, key+".trust_all", "every certificate is accepted: whoever is on the way can read passwords and listen. Give the server's authority in ca_file, or its fingerprint in pin_sha256, and set this to false")
	}
	l.fileExists(key+".ca_file", t.CAFile)
	for _, p := range t.PinSHA256 {
		if len(strings.ReplaceAll(p, ":", "")) != 64 && len(p) != 44 {
			l.at(Error, key+".pin_sha256", "%.70q is no SHA-256: 64 hex digits, or base64", p)
		}
	}
}

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
	l.fileExists("sip.tls.cert_file", s.TLS.CertFile)
	l.fileExists("sip.tls.key_file", s.TLS.KeyFile)
	l.checkTrust("sip.tls.trust", s.TLS.Trust)
	l.within("sip.dscp", s.DSCP, 0, 63)
}

func (l *loader) checkAccount(key string, a *SIPAccount) {
	switch user, domain, _ := strings.Cut(a.URI, "@"); {
	case user == "" || strings.ContainsAny(a.URI, " \r\n<>"):
		l.noPlaceholder(key+".uri", a.URI)
		l.at(Error, key+".uri", "is user@domain")
	case domain == "" && a.Register:
		l.at(Error, key+".uri", "needs a domain: user@domain")
	}
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

func (l *loader) checkMedia(m *Media) {
	if m.MinPort < 1024 || m.MaxPort > 65535 || m.MaxPort-m.MinPort < 3 {
		l.at(Error, "media.min_port", "%d to %d: ports lie between 1024 and 65535, and a call needs 3", m.MinPort, m.MaxPort)
	} else if n := (m.MaxPort - m.MinPort + 1) / 3; n < min(l.cfg.Limits.Calls, 10) {
		l.at(Warning, "media.max_port", "the ports are enough for %d calls", n)
	}
	l.checkCodecs("media.codecs", m.Codecs)
	l.checkLanguage("sounds.language", l.cfg.Sounds.Language)
	if len(m.Codecs) == 0 {
		l.at(Error, "media.codecs", "is empty: name at least PCMU")
	}
	l.oneOf("media.srtp", m.SRTP, "off", "optional", "required")
	if len(m.Suites) == 0 && m.SRTP != "off" {
		l.at(Error, "media.srtp_suites", "is empty: without a suite nothing can be encrypted")
	}
	for _, s := range m.Suites {
		l.oneOf("media.srtp_suites", s, suiteNames...)
	}
	if !slices.Contains([]int{10, 20, 30, 40, 60}, m.PTime) {
		l.at(Error, "media.ptime", "is 10, 20, 30, 40 or 60, not %d", m.PTime)
	}
	l.within("media.dscp", m.DSCP, 0, 63)
	l.within("media.digit_ms", m.DigitMS, 40, 6000)
	l.within("media.opus.bitrate", m.Opus.Bitrate, 0, 510)
	l.within("media.opus.complexity", m.Opus.Complexity, -1, 10)
	for _, s := range m.STUN {
		if !validHostPort(s) {
			l.at(Error, "media.stun", "is host or host:port, not %.60q", s)
		}
	}
	l.checkTrust("media.turn_tls", m.TURNTLS)
	for i, t := range m.TURN {
		key := fmt.Sprintf("media.turn[%d]", i)
		if !validHostPort(t.Server) {
			l.at(Error, key+".server", "is host or host:port, not %.60q", t.Server)
		}
		l.oneOf(key+".transport", t.Transport, "udp", "tcp", "tls")
	}
}

// languages are those of the sounds inside.
var languages = []string{"en", "de", "fr", "es"}

func (l *loader) checkLanguage(key, tag string) {
	if tag != "" && !slices.Contains(languages, tag) {
		l.at(Error, key, "%.20q is not one of %s; for another language record the sounds, put them into sounds.dir and leave this", tag, strings.Join(languages, ", "))
	}
}

func (l *loader) checkCodecs(key string, names []string) {
	for _, n := range names {
		if !slices.ContainsFunc(codecNames, func(c string) bool { return strings.EqualFold(c, n) }) {
			l.at(Error, key, "%.30q is no codec here; there are %s", n, strings.Join(codecNames, ", "))
		}
	}
}

func (l *loader) checkBreweries() {
	c := l.cfg
	if len(c.Breweries) == 0 {
		l.at(Info, "breweries", "is empty: calls come in, but nobody in a meeting can dial out")
		return
	}
	if len(c.DialOut.Allowed) == 0 && strings.HasSuffix(c.Path, ".properties") {
		l.at(Warning, "dial_out.allowed", "ALLOWED_JID is not set: only the focus of each brewery may dial now, where Jigasi let everybody")
	}
	for i := range c.Breweries {
		b, key := &c.Breweries[i], fmt.Sprintf("breweries[%d]", i)
		if user, domain, ok := strings.Cut(b.Room, "@"); !ok || user == "" || domain == "" || strings.Contains(domain, "/") {
			l.at(Error, key+".room", "is the address of a room, such as JigasiBrewery@internal.auth.%s", c.Meeting.Domain)
		}
		for _, other := range c.Breweries[:i] {
			if other.ID == b.ID {
				l.at(Error, key+".id", "%q is there twice", b.ID)
			}
		}
		l.checkLogin(key+".xmpp", &b.XMPP)
		l.checkURL(key+".call_url", b.CallURL)
	}
}

func (l *loader) checkAdmin(a *Admin) {
	l.within("admin.port", a.Port, 0, 65535)
	l.within("admin.tls_port", a.TLSPort, 0, 65535)
	if a.Port != 0 && !isLoopback(a.Host) && a.Token == "" {
		l.at(Error, "admin.token", "is needed when admin.host is not loopback: everybody could stop the gateway, or take its calls")
	}
	if a.Token != "" && len(a.Token) < 16 {
		l.at(Warning, "admin.token", "is shorter than 16 characters and can be guessed")
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		l.at(Error, "admin.cert_file", "goes together with admin.key_file")
	}
	l.fileExists("admin.cert_file", a.CertFile)
	l.fileExists("admin.key_file", a.KeyFile)
}

func (l *loader) checkLimits() {
	n := l.cfg.Limits
	l.within("limits.calls", n.Calls, 1, 100_000)
	if n.Threshold <= 0 || math.IsNaN(n.Threshold) {
		l.at(Error, "limits.threshold", "is more than 0")
	}
	if n.Overload < 0 || n.Overload > 1 || math.IsNaN(n.Overload) {
		l.at(Error, "limits.overload", "is a share, from 0 to 1")
	}
}

// checkFileMode warns of a file with passwords that everybody on the machine can read.
func (l *loader) checkFileMode() {
	if l.cfg.Path == "" || !l.hasSecrets() {
		return
	}
	if info, err := os.Stat(l.cfg.Path); err == nil && info.Mode().Perm()&0o004 != 0 {
		l.found = append(l.found, Finding{Warning, l.cfg.Path, 0, "", "holds passwords and can be read by everybody on this machine: chmod 640"})
	}
}
