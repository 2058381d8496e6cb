package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A legacy is the old form while it is read: all sources in one map, in which the
// later has won.
type legacy struct {
	*loader
	props map[string]property
	order []string // keys, in the order of their lines
}

// readLegacy reads a property file. What the command line and the process were
// given stands below it, as Java's system properties did.
func (l *loader) readLegacy(path string, data []byte) {
	old := l.newLegacy()
	old.addFile(path, data)
	old.apply()
}

// newLegacy holds the system properties.
func (l *loader) newLegacy() *legacy {
	old := &legacy{loader: l, props: map[string]property{}}
	for _, word := range words(l.env("JAVA_SYS_PROPS")) {
		if pair, ok := strings.CutPrefix(word, "-D"); ok {
			key, value, _ := strings.Cut(pair, "=")
			old.add("JAVA_SYS_PROPS", key, value)
		}
	}
	return old
}

// add puts one property in, from a source without lines.
func (old *legacy) add(source, key, value string) {
	old.put(property{key, value, place{file: source, name: key}})
}

func (old *legacy) put(p property) {
	if _, ok := old.props[p.key]; !ok {
		old.order = append(old.order, p.key)
	}
	p.value = strings.TrimSpace(p.value)
	old.props[p.key] = p
}

func (old *legacy) addFile(path string, data []byte) {
	old.addPorts()
	old.file = path
	if bytes.IndexByte(data, 0) >= 0 {
		old.loader.add(Error, 0, "", "is no text of properties: save it as UTF-8, if it is UTF-16")
		return
	}
	props, bad := parseProperties(path, data)
	for _, b := range bad {
		old.loader.add(Error, b.line, "", "%v", b.err)
	}
	for _, p := range props {
		old.put(p)
	}
}

// addPorts puts the port arguments where Jigasi has them.
func (old *legacy) addPorts() {
	for name, key := range map[string]string{"min-port": "MIN_MEDIA_PORT_NUMBER", "max-port": "MAX_MEDIA_PORT_NUMBER"} {
		if v := old.args.get(name); v != "" {
			old.put(property{prefixService + key, v, place{file: "command line", name: "--" + name}})
		}
	}
}

// get is a value, "" where it is empty or not set.
func (old *legacy) get(key string) string { return old.props[key].value }

func (old *legacy) warn(s Severity, p property, format string, args ...any) {
	old.found = append(old.found, Finding{s, p.file, p.line, p.name, fmt.Sprintf(format, args...)})
}

// apply makes a Config of the properties.
func (old *legacy) apply() {
	old.cfg.Meeting.CallerName = "full" // as Jigasi shows it
	sip, jabber := old.blocks(prefixSIP), old.blocks(prefixJabber)
	for _, key := range old.order {
		if p := old.props[key]; !strings.HasPrefix(key, prefixCall) && !inBlock(key) {
			old.global(p)
		}
	}
	old.composeGlobals()
	old.composeTranscription()
	old.composeCalls()
	for _, b := range sip {
		old.sipAccount(b)
	}
	for _, b := range jabber {
		old.brewery(b)
	}
	old.trustAll()
	old.findDomain()
	old.closeREST()
}

// global applies one property with a full name.
func (old *legacy) global(p property) {
	if forAccounts(p.key) {
		return // the accounts read it
	}
	r, ok := findRow(p.key, globals)
	if !ok {
		if strings.HasPrefix(p.key, prefixJigasi) {
			old.warn(Warning, p, "is not a property of Jigasi and has no effect%s", nearest(p.key, globals))
			return
		}
		old.warn(Info, p, "has no effect here")
		return
	}
	old.assign(p, r, reflect.ValueOf(old.cfg).Elem(), "")
}

// assign sets the field that row r names below section v.
func (old *legacy) assign(p property, r row, v reflect.Value, section string) {
	switch {
	case r.how == composed:
		if slices.Contains(switches, p.key) {
			old.warnSwitch(p)
		}
		return
	case r.to == "":
		old.unused(p, r)
		return
	case p.value == "":
		return // not set, so the default
	}
	for part := range strings.SplitSeq(r.to, ".") {
		v, _ = fieldByKey(v, part)
	}
	old.mark(section+r.to, p.place)
	if err := setLegacy(v, p.value, r.how); err != nil {
		old.warn(Warning, p, "%v: the default is used", err)
	}
	if v.Kind() == reflect.Bool {
		old.warnSwitch(p)
	}
}

// switches are the composed properties that are true or false.
var switches = []string{
	prefixJigasi + "ENABLE_TRANSCRIPTION", prefixWords + "ENABLE_TRANSLATION", prefixWords + "SAVE_TXT", prefixWords + "SAVE_JSON",
	prefixWords + "RECORD_AUDIO", prefixWords + "EXECUTE_SCRIPTS", prefixWords + "USE_VIDEO_MODEL",
}

// warnSwitch says that only true is true, as it was for Jigasi.
func (old *legacy) warnSwitch(p property) {
	if p.value != "" && !strings.EqualFold(p.value, "true") && !strings.EqualFold(p.value, "false") {
		old.warn(Warning, p, "%.40q is not true: it counts as false", p.value)
	}
}

func (old *legacy) unused(p property, r row) {
	if later, ok := strings.CutPrefix(r.note, "later: "); ok {
		old.warn(Info, p, "known, not used yet (%s)", later)
		return
	}
	old.warn(Info, p, "has no effect: %s", r.note)
}

// setLegacy sets a field as Java reads a value: what is no number is not set,
// what is not true is false.
func setLegacy(v reflect.Value, s string, h how) error {
	if h == millis || h == seconds {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%.40q is no number", s)
		}
		scale := map[how]time.Duration{millis: time.Millisecond, seconds: time.Second}[h]
		v.SetInt(max(0, min(n, int64(math.MaxInt64/scale))) * int64(scale))
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(strings.EqualFold(s, "true") != (h == inverted))
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%.40q is no number", s)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%.40q is no number", s)
		}
		v.SetFloat(f)
	case reflect.Slice:
		v.Set(reflect.ValueOf(commas(s)))
	default:
		v.SetString(s)
	}
	return nil
}

// composeGlobals reads the global properties that need more than a row.
func (old *legacy) composeGlobals() {
	if v := old.get(prefixJigasi + "BOSH_HOST_OVERRIDE"); v != "" {
		old.cfg.Meeting.URLHosts = map[string]string{}
		for _, pair := range commas(v) {
			if from, to, ok := strings.Cut(pair, "="); ok {
				old.cfg.Meeting.URLHosts[strings.TrimSpace(from)] = strings.TrimSpace(to)
			}
		}
	}
	if p := old.props[prefixJigasi+"TRUSTED_DOMAINS"]; p.value != "" {
		old.mark("meeting.trusted_domains", p.place)
		switch err := json.Unmarshal([]byte(p.value), &old.cfg.Meeting.TrustedDomains); {
		case err != nil && strings.ContainsAny(p.value, `[]{}"`):
			old.warn(Warning, p, "is no JSON array of strings and is left out")
		case err != nil: // the container's variable
			old.cfg.Meeting.TrustedDomains = commas(p.value)
		}
	}
	old.suites(old.props["net.java.sip.communicator.service.neomedia.SDES_CIPHER_SUITES"])
	if p := old.props[prefixJigasi+"ALLOWED_JID"]; p.value != "" {
		old.cfg.DialOut.Allowed = []string{p.value}
		old.mark("dial_out.allowed", p.place)
	}
	if p := old.props["net.java.sip.communicator.SIP_PREFERRED_CLEAR_PORT"]; p.value != "" {
		old.cfg.SIP.Listen = []string{"udp:0.0.0.0:" + p.value, "tcp:0.0.0.0:" + p.value}
		old.mark("sip.listen", p.place)
	}
}

// trustAll is last, because it changes what was read before.
func (old *legacy) trustAll() {
	p := old.props["net.java.sip.communicator.service.gui.ALWAYS_TRUST_MODE_ENABLED"]
	if !strings.EqualFold(p.value, "true") {
		return
	}
	c := old.cfg
	c.XMPP.TLS.TrustAll, c.SIP.TLS.Trust.TrustAll = true, true
	old.mark("xmpp.tls.trust_all", p.place)
	old.mark("sip.tls.trust.trust_all", p.place)
	for i := range c.Breweries {
		c.Breweries[i].XMPP.TLS.TrustAll = true
		old.mark(fmt.Sprintf("breweries[%d].xmpp.tls.trust_all", i), p.place)
	}
}

// findDomain looks for the base domain where it may stand.
func (old *legacy) findDomain() {
	m := &old.cfg.Meeting
	for i, a := range old.cfg.SIP.Accounts {
		m.Domain = cmp.Or(m.Domain, a.Domain)
		if a.Domain == m.Domain {
			old.cfg.SIP.Accounts[i].Domain = ""
		}
	}
	for i, b := range old.cfg.Breweries {
		m.Domain = cmp.Or(m.Domain, b.Domain)
		if b.Domain == m.Domain {
			old.cfg.Breweries[i].Domain = ""
		}
	}
	if m.Domain = cmp.Or(m.Domain, old.args.get("domain")); m.Domain != "" {
		return
	}
	for _, p := range m.MUCPrefixes {
		if rest, ok := strings.CutPrefix(m.MUC, p+"."); ok {
			m.Domain = rest
		}
	}
}

// closeREST keeps an interface without authentication on loopback.
func (old *legacy) closeREST() {
	a := &old.cfg.Admin
	if a.Token == "" && a.Port != 0 && !isLoopback(a.Host) {
		old.at(Warning, "admin.host", "would open shutdown and configuration to the network without authentication: 127.0.0.1 is used; set %srest.token (or JIGASI_REST_TOKEN) to open it", prefixJigasi)
		a.Host = "127.0.0.1"
	}
	a.Port = max(a.Port, 0)
}

// nearest is what to say after an unknown name.
func nearest(name string, tables ...[]row) string {
	best, distance := "", 1+max(1, len(name)/6)
	short := plain(name[strings.LastIndexByte(name, '.')+1:])
	for _, r := range slices.Concat(tables...) {
		if d := edits(short, plain(r.name[strings.LastIndexByte(r.name, '.')+1:])); d < distance {
			best, distance = r.name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

func commas(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// words cuts at blanks; quotes hold a word together, as in a shell.
func words(s string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	open := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, open = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if open {
				out = append(out, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		out = append(out, word.String())
	}
	return out
}

// hostPort joins what was given of a server.
func hostPort(host, port string) string {
	if host == "" || port == "" {
		return host
	}
	if _, _, err := net.SplitHostPort(host); err == nil { // it has one already
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// customFile is the file that the container image appends to its own.
func (l *loader) customFile(home string) string {
	return filepath.Join(home, "custom-sip-communicator.properties")
}
