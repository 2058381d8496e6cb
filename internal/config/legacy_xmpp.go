package config

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"jigasi/internal/xlog"
)

// composeCalls reads the login of calls. The rows name keys below a brewery; the
// login of calls has the same ones.
func (old *legacy) composeCalls() {
	b := block{legacy: old, id: "calls", prefix: prefixCall, defaults: []string{prefixService + "jabber.", prefixService}}
	call := Brewery{XMPP: old.cfg.XMPP}
	b.rows(reflect.ValueOf(&call).Elem(), jabberRows)
	if p := b.prop("PASSWORD"); p.value != "" && strings.HasPrefix(p.key, prefixCall) {
		b.warn(Warning, p, "has no effect: the password of calls is %sPASS, in plain text", prefixCall)
	}
	b.login(&call.XMPP, xlog.Secret(b.get("PASS")), true)
	call.XMPP.URL = cmp.Or(b.get("BOSH_URL_PATTERN"), call.XMPP.URL)
	host := call.XMPP.Server
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if call.XMPP.User == "" && host != "" && isLoopback(host) { // nothing secret is said, and nobody is on the way
		call.XMPP.Plaintext = true
	}
	old.cfg.XMPP = call.XMPP
	b.relays()
}

// brewery reads one XMPP account. One without a room is a login that nobody uses.
func (old *legacy) brewery(b block) {
	if b.get("BREWERY") == "" {
		old.warn(Info, old.props[strings.TrimSuffix(b.prefix, ".")], "has no BREWERY, so nothing uses the account")
		return
	}
	r := defaultBrewery()
	r.ID = b.id
	b.section = fmt.Sprintf("breweries[%d].", len(old.cfg.Breweries))
	b.markAccount()
	b.rows(reflect.ValueOf(&r).Elem(), jabberRows)
	b.login(&r.XMPP, b.password(), false)
	r.Domain = b.get("DOMAIN_BASE")
	r.MUCPrefixes = commas(b.get("MUC_DOMAIN_PREFIX"))
	r.CallURL = b.get("BOSH_URL_PATTERN")
	old.cfg.Breweries = append(old.cfg.Breweries, r)
}

// ReadBrewery makes a brewery of the properties that Jigasi's REST interface takes:
// those of an XMPP account, without prefix, PASSWORD in plain text. TLS is trusted
// as trust says. It is checked as one in a file.
func ReadBrewery(id string, properties map[string]string, trust TLSTrust) (Brewery, []Finding, error) {
	l := &loader{env: func(string) string { return "" }, cfg: Default(), file: "request"}
	old := &legacy{loader: l, props: map[string]property{}}
	at := prefixJabber + "acc." // any id will do here
	old.put(property{key: strings.TrimSuffix(at, "."), place: place{file: l.file, name: "id"}})
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if name != "PASSWORD" && name != "ENCRYPTED_PASSWORD" {
			old.put(property{at + name, properties[name], place{file: l.file, name: name}})
		}
	}
	b := block{legacy: old, id: id, prefix: at}
	if password := properties["PASSWORD"]; password != "" {
		plain := base64.StdEncoding.EncodeToString([]byte(password))
		old.put(property{at + "PASSWORD", plain, place{file: l.file, name: "PASSWORD"}})
	}
	old.brewery(b)
	if len(l.cfg.Breweries) == 0 {
		return Brewery{}, nil, errors.New("BREWERY is missing: the room to enter")
	}
	l.cfg.Breweries[0].XMPP.TLS = trust
	l.cfg.DialOut.Allowed = []string{""} // whose list is the program's
	l.checkBreweries()
	err := l.result()
	for _, f := range l.found {
		if err != nil && f.Severity == Error {
			err = fmt.Errorf("%s %s", f.Key, f.Text)
		}
	}
	return l.cfg.Breweries[0], l.found, err
}

// login reads what calls and breweries have in common.
func (b block) login(x *XMPP, password xlog.Secret, anonymous bool) {
	user := b.prop("USER_ID")
	if v := b.get("ANONYMOUS_AUTH"); v != "" {
		anonymous = strings.EqualFold(v, "true")
	}
	b.mark(b.section+"xmpp.user", user.place)
	b.mark(b.section+"xmpp.server", b.prop("SERVER_ADDRESS").place)
	_, domain, _ := strings.Cut(user.value, "@")
	switch {
	case anonymous:
		x.Domain = domain
		if password != "" && user.value != "" {
			b.warn(Info, user, "is not used, because ANONYMOUS_AUTH is true")
		}
	case user.value == "" || password == "":
		b.warn(Warning, user, "the login needs USER_ID and a password: it is anonymous now")
		x.Domain = domain
	default:
		x.User, x.Password = user.value, password
	}
	x.Server = b.get("SERVER_ADDRESS")
	if x.Server != "" && b.get("SERVER_PORT") != "" {
		x.Server = hostPort(x.Server, b.get("SERVER_PORT"))
	}
	if x.Server != "" && !b.is("IS_SERVER_OVERRIDDEN") && x.Server != domain {
		b.warn(Info, b.prop("SERVER_ADDRESS"), "is used as it is; for SRV records leave it out")
	}
	if strings.EqualFold(b.get("AUTO_GENERATE_RESOURCE"), "false") {
		x.Resource = b.get("RESOURCE")
	}
	if m := b.get("KEEP_ALIVE_METHOD"); m != "" && !strings.EqualFold(m, "XEP-0199") {
		x.Ping = 0
	} else if n, err := strconv.Atoi(b.get("KEEP_ALIVE_INTERVAL")); err == nil && n > 0 {
		x.Ping = secs(n)
	}
}

// relays reads STUN0ADDRESS and so on, up to the first that is missing.
func (b block) relays() {
	m := &b.cfg.Media
	for i := 0; ; i++ {
		at := "STUN" + strconv.Itoa(i)
		address := b.get(at + "ADDRESS")
		if address == "" {
			return
		}
		server := hostPort(address, b.get(at+"PORT"))
		if !b.is(at + "IS_TURN_SUPPORTED") {
			m.STUN = append(m.STUN, server)
			continue
		}
		t := defaultTURN()
		t.Server, t.User, t.Password = server, b.get(at+"USERNAME"), xlog.Secret(b.get(at+"PASSWORD"))
		if p := b.prop(at + ".PASSWORD"); p.value != "" { // base64, as every name that ends in .PASSWORD
			data, err := decode64(p.value)
			if err != nil {
				b.warn(Warning, p, "is not base64: it is left out")
			}
			t.Password = xlog.Secret(data)
		}
		m.TURN = append(m.TURN, t)
	}
}
