package config

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"jigasi/internal/xlog"
)

// A block is the properties of one account.
type block struct {
	*legacy
	id       string
	prefix   string // with the account's id and a dot
	defaults []string
	section  string // of jigasi.yaml, for findings
}

// inBlock reports whether a property belongs to an account.
func inBlock(key string) bool {
	for _, prefix := range []string{prefixSIP, prefixJabber} {
		if rest, ok := strings.CutPrefix(key, prefix); ok && strings.HasPrefix(rest, "acc") {
			return true
		}
	}
	return false
}

// blocks finds the accounts below a prefix, in the order of the file. An id
// begins with acc; the property that bears the id alone makes the account.
func (old *legacy) blocks(prefix string) []block {
	var out []block
	for _, key := range old.order {
		id, ok := strings.CutPrefix(key, prefix)
		if !ok || !strings.HasPrefix(id, "acc") {
			continue
		}
		if strings.Contains(id, ".") {
			head, _, _ := strings.Cut(id, ".")
			if _, ok := old.props[prefix+head]; !ok {
				p := old.props[key]
				old.warn(Warning, p, "belongs to no account: the line %s%s=%s is missing", prefix, head, head)
			}
			continue
		}
		b := block{legacy: old, id: id, prefix: prefix + id + ".", defaults: []string{prefixService}}
		if prefix == prefixJabber {
			b.defaults = []string{prefixService + "jabber.", prefixService}
		} else {
			b.defaults = []string{prefixService + "sip.", prefixService}
		}
		if b.is("IS_ACCOUNT_DISABLED") {
			old.warn(Info, b.prop("IS_ACCOUNT_DISABLED"), "the account %s is left out", id)
			continue
		}
		out = append(out, b)
	}
	return out
}

// prop is a property of the account, or the global one that stands in for it.
func (b block) prop(name string) property {
	if p, ok := b.props[b.prefix+name]; ok && p.value != "" {
		return p
	}
	for _, d := range b.defaults {
		if p, ok := b.props[d+name]; ok && p.value != "" {
			return p
		}
	}
	return property{key: b.prefix + name, place: b.props[b.prefix+name].place}
}

func (b block) get(name string) string { return b.prop(name).value }

func (b block) is(name string) bool { return strings.EqualFold(b.get(name), "true") }

// rows applies the simple rows to v and tells of what has no effect.
func (b block) rows(v reflect.Value, tables ...[]row) {
	for _, r := range slices.Concat(tables...) {
		if p := b.prop(r.name); p.value != "" && r.how != composed && r.to != "" {
			b.assign(p, r, v, b.section)
		}
	}
	told := map[string]bool{} // a line for all that begin so: a codec each
	for _, key := range b.order {
		name, ok := strings.CutPrefix(key, b.prefix)
		if !ok {
			continue
		}
		p := b.props[key]
		r, ok := findRow(name, append(tables, ignoredRows)...)
		switch {
		case !ok:
			b.warn(Warning, p, "is not a property of an account and has no effect%s", nearest(name, tables...))
		case r.how != composed && r.to == "" && !told[r.name]:
			if stem, many := strings.CutSuffix(r.name, ".*"); many {
				told[r.name] = true
				p.name = strings.Replace(p.name, name, stem+".*", 1)
			}
			b.unused(p, r)
		}
	}
}

// forAccounts reports whether a global property stands in for one of accounts.
func forAccounts(key string) bool {
	name, ok := strings.CutPrefix(key, prefixService)
	if !ok {
		return false
	}
	r, ok := findRow(strings.TrimPrefix(strings.TrimPrefix(name, "sip."), "jabber."), sipRows, jabberRows)
	return ok && !strings.HasSuffix(r.name, "*") && (r.to != "" || r.how == composed)
}

// password finds the password of an account.
func (b block) password() xlog.Secret {
	if p := b.prop("PASSWORD"); p.value != "" {
		data, err := decode64(p.value)
		if err != nil || !utf8.Valid(data) {
			b.warn(Warning, p, "is not base64: it is taken as it stands")
			return xlog.Secret(p.value)
		}
		if base64.StdEncoding.EncodeToString(data) == p.value && p.line > 0 {
			b.warn(Warning, p, "base64 hides nothing: let only the gateway read this file, or use jigasi.yaml with file: or env:")
		}
		return xlog.Secret(data)
	}
	p := b.prop("ENCRYPTED_PASSWORD")
	if p.value == "" {
		return ""
	}
	text, err := decrypt(p.value)
	if err != nil {
		b.warn(Warning, p, "%v", err)
		return ""
	}
	b.warn(Warning, p, "everybody has the key of this encryption: let only the gateway read this file, or use jigasi.yaml with file: or env:")
	return xlog.Secret(text)
}

// sipAccount reads one SIP account.
func (old *legacy) sipAccount(b block) {
	a := defaultAccount()
	a.ID = b.id
	b.section = fmt.Sprintf("sip.accounts[%d].", len(old.cfg.SIP.Accounts))
	b.markAccount()
	b.rows(reflect.ValueOf(&a).Elem(), sipRows)
	a.Password = b.password()
	a.URI = b.get("USER_ID")
	user, domain, _ := strings.Cut(a.URI, "@")
	old.mark(b.section+"uri", b.prop("USER_ID").place)
	b.route(&a, domain)
	if domain == "" {
		domain = b.get("SERVER_ADDRESS")
		if domain == "" { // without a registrar: whoever can reach us calls
			a.Register = false
			old.openTrunks(b.prop("USER_ID"))
		} else {
			a.URI = user + "@" + domain
		}
	}
	if b.is("FORCE_PROXY_BYPASS") {
		old.openTrunks(b.prop("FORCE_PROXY_BYPASS"))
	}
	b.keepAlive(&a)
	a.SRTP = b.srtp()
	a.Codecs = b.codecs()
	a.Domain = b.get("DOMAIN_BASE")
	a.DTMF = b.dtmf()
	b.mark(b.section+"dtmf", b.prop("DTMF_METHOD").place)
	a.Extra = b.extraHeaders()
	old.suites(b.prop("SDES_CIPHER_SUITES"))
	if n, err := strconv.Atoi(b.get("DTMF_MINIMAL_TONE_DURATION")); err == nil && n > 0 {
		old.cfg.Media.DigitMS = n
	}
	if n, err := strconv.Atoi(old.get(prefixSIP + "REGISTRATION_EXPIRATION")); err == nil && n > 0 {
		a.Expires = secs(n)
	}
	old.cfg.SIP.Accounts = append(old.cfg.SIP.Accounts, a)
}

// markAccount remembers the line that makes the account, for what is missing in it.
func (b block) markAccount() {
	b.mark(strings.TrimSuffix(b.section, "."), b.props[strings.TrimSuffix(b.prefix, ".")].place)
}

// suites takes those of SRTP that are spoken here.
func (old *legacy) suites(p property) {
	var known []string
	for _, s := range commas(p.value) {
		if !slices.Contains(suiteNames, s) {
			old.warn(Info, p, "%.40q is not spoken here and will not be offered", s)
			continue
		}
		known = append(known, s)
	}
	switch {
	case len(known) > 0:
		old.cfg.Media.Suites = known
		old.mark("media.srtp_suites", p.place)
	case p.value != "":
		old.warn(Warning, p, "leaves no suite that is spoken here: media.srtp_suites is used")
	}
}

func (old *legacy) openTrunks(p property) {
	old.cfg.SIP.Trunks = []string{"0.0.0.0/0", "::/0"}
	old.mark("sip.trunks", p.place)
}

// route reads where requests go.
func (b block) route(a *SIPAccount, domain string) {
	a.Registrar = b.get("SERVER_ADDRESS")
	if host, port := cmp.Or(a.Registrar, domain), b.get("SERVER_PORT"); host != "" && port != "" {
		a.Registrar = hostPort(host, port)
	}
	if a.Registrar == domain {
		a.Registrar = ""
	}
	transport := b.prop("PREFERRED_TRANSPORT")
	auto := !strings.EqualFold(cmp.Or(b.get("PROXY_AUTO_CONFIG"), "true"), "false")
	if auto {
		transport = b.prop("SERVER_TRANSPORT")
	} else if address := b.get("PROXY_ADDRESS"); address != "" {
		a.Proxy = hostPort(address, b.get("PROXY_PORT"))
		b.mark(b.section+"proxy", b.prop("PROXY_ADDRESS").place)
	}
	a.Transport = strings.ToLower(transport.value)
	if !auto && a.Transport == "" {
		a.Transport = "udp"
	}
	if !slices.Contains(append(transports, ""), a.Transport) {
		b.warn(Warning, transport, "%.20q is no transport: it is found by DNS", transport.value)
		a.Transport = ""
	}
}

// secs is a number of seconds, a year at most.
func secs(n int) time.Duration { return time.Duration(min(n, 365*24*3600)) * time.Second }

func (b block) keepAlive(a *SIPAccount) {
	method, interval := b.prop("KEEP_ALIVE_METHOD"), b.prop("KEEP_ALIVE_INTERVAL")
	n, err := strconv.Atoi(cmp.Or(interval.value, "-1"))
	if err != nil {
		b.warn(Warning, interval, "%.20q is no number", interval.value)
		n = -1
	}
	switch m := strings.ToLower(cmp.Or(method.value, "options")); m {
	case "options", "crlf", "register":
		a.KeepAlive = m
		if n <= 0 && m == "register" {
			n = 25
		}
	default:
		n = 0
	}
	if n <= 0 {
		a.KeepAlive = "none"
		return
	}
	a.Interval = secs(n)
}

// srtp is the policy towards the phone; "" is that of media.srtp.
func (b block) srtp() string {
	option := b.prop("SAVP_OPTION")
	sdes := strings.EqualFold(b.get("ENCRYPTION_PROTOCOL_STATUS.SDES"), "true")
	switch {
	case strings.EqualFold(b.get("DEFAULT_ENCRYPTION"), "false"):
		return ""
	case b.is("MODE_PARANOIA"), option.value == "1":
		if !sdes {
			b.warn(Warning, option, "ZRTP and DTLS-SRTP are not spoken with phones: SDES is required instead")
		}
		return "required"
	case sdes:
		return "optional"
	}
	return ""
}

func (b block) dtmf() string {
	p := b.prop("DTMF_METHOD")
	known := map[string]string{"": "auto", "AUTO_DTMF": "auto", "RTP_DTMF": "rtp", "SIP_INFO_DTMF": "info", "INBAND_DTMF": "inband"}
	m, ok := known[strings.ToUpper(p.value)]
	if !ok {
		b.warn(Warning, p, "%.20q is not spoken here: auto is used, which is events where the phone takes them, else INFO", p.value)
		return "auto"
	}
	return m
}

// codecs is the account's list where it has one: by priority, without those at 0.
func (b block) codecs() []string {
	if !b.is("OVERRIDE_ENCODINGS") {
		return nil
	}
	type entry struct {
		name     string
		priority int
	}
	var all []entry
	for _, key := range b.order {
		name, ok := strings.CutPrefix(key, b.prefix+"Encodings.")
		if !ok {
			continue
		}
		p := b.props[key]
		n, err := strconv.Atoi(p.value)
		base, _, _ := strings.Cut(name, "/")
		i := slices.IndexFunc(codecNames, func(c string) bool { return strings.EqualFold(c, base) })
		switch {
		case err != nil || n <= 0 || base == "telephone-event":
		case i < 0:
			b.warn(Info, p, "the codec is not there and will not be offered")
		default:
			all = append(all, entry{codecNames[i], n})
		}
	}
	slices.SortStableFunc(all, func(x, y entry) int {
		return cmp.Or(cmp.Compare(y.priority, x.priority), strings.Compare(x.name, y.name))
	})
	var out []string
	for _, e := range all {
		if !slices.Contains(out, e.name) {
			out = append(out, e.name)
		}
	}
	if len(out) == 0 {
		b.warn(Warning, b.prop("OVERRIDE_ENCODINGS"), "leaves no codec that is there: media.codecs is used")
	}
	return out
}

func (b block) extraHeaders() []SIPHeader {
	var out []SIPHeader
	for _, key := range b.order {
		rest, ok := strings.CutPrefix(key, b.prefix+"ConfigHeader.")
		n, isName := strings.CutSuffix(rest, ".Name")
		if !ok || !isName {
			continue
		}
		at := "ConfigHeader." + n
		out = append(out, SIPHeader{Name: b.get(at + ".Name"), Value: b.get(at + ".Value"), Method: b.get(at + ".Method")})
	}
	return out
}
