package config

import (
	"fmt"
	"math"
	"net"
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
	l.domain("meeting.domain", m.Domain)
	l.domain("meeting.muc", m.MUC)
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
	if _, given := l.where[key+".password"]; x.User != "" && x.Password == "" && !given {
		l.at(Error, key+".password", "is missing for %s; without user the login is anonymous", x.User)
	}
	l.noPlaceholder(key+".server", x.Server)
	l.noPlaceholder(key+".password", string(x.Password))
	l.hostPort(key+".server", x.Server)
	l.checkURL(key+".url", x.URL)
	l.checkTrust(key+".tls", &x.TLS)
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

func (l *loader) checkMedia(m *Media) {
	if m.MinPort < 1024 || m.MaxPort > 65535 || m.MaxPort-m.MinPort < 3 {
		l.at(Error, "media.min_port", "%d to %d: ports lie between 1024 and 65535, and a call needs 3", m.MinPort, m.MaxPort)
	} else if n := (m.MaxPort - m.MinPort + 1) / 3; n < min(l.cfg.Limits.Calls, 10) {
		l.at(Warning, "media.max_port", "the ports are enough for %d calls", n)
	}
	l.checkCodecs("media.codecs", m.Codecs)
	l.checkLanguage("sounds.language", l.cfg.Sounds.Language)
	l.path("sounds.dir", &l.cfg.Sounds.Dir)
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
	l.checkTrust("media.turn_tls", &m.TURNTLS)
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
		l.domain(key+".domain", b.Domain)
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
	l.pair("admin", &a.CertFile, &a.KeyFile)
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

// checkSecretMode warns of a secret that everybody on the machine can read. What an orchestrator mounts is its own affair.
func (l *loader) checkSecretMode(path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 && !strings.HasPrefix(path, "/run/") && !strings.HasPrefix(path, "/var/run/") {
		l.found = append(l.found, Finding{Warning, path, 0, "", "is a secret, and can be read by everybody on this machine: chmod 640"})
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
