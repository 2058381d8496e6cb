package exchange

import (
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"jigasi/internal/cause"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// HeaderNames are the SIP headers of an INVITE that say which meeting a call is
// for. An account may rename each; the alternatives are what the widespread container
// image uses. Names are compared without case.
type HeaderNames struct {
	Room, Password, DomainBase, Tenant, Token, UserID, Visitor []string
}

// DefaultHeaders are Jigasi's own names and those of its container image and of its largest operator.
func DefaultHeaders() HeaderNames {
	return HeaderNames{
		Room:       []string{"Jitsi-Conference-Room", "X-Room-Name"},
		Password:   []string{"Jitsi-Conference-Room-Pass", "X-Room-Pass"},
		DomainBase: []string{"Jitsi-Conference-Domain-Base", "X-Domain-Base"},
		Tenant:     []string{"Jitsi-Conference-Domain-Tenant", "X-Domain-Tenant"},
		Token:      []string{"Jitsi-Auth-Token", "X-Auth-Token"},
		UserID:     []string{"Jitsi-User-ID-Token", "X-User-ID-Token"},
		Visitor:    []string{"Jitsi-Visitor", "X-Visitor"},
	}
}

// Rules say how a room name becomes an address.
type Rules struct {
	Headers     HeaderNames
	DefaultRoom string // joined when the caller names none; "" refuses the call
	MUCService  string // added to a room name without a domain: conference.meet.example.com
	DomainBase  string // base domain of the meetings
	MUCPrefixes []string
	BOSHPattern string            // https://{host}{subdomain}/http-bind?room={roomName}; "" means no HTTP
	BOSHHosts   map[string]string // domain -> host that replaces {host}
	Anonymous   bool              // calls log in anonymously, whatever the login of calls is
}

// A Target is the meeting a call is for.
type Target struct {
	Room     stanza.JID
	Domain   string // XMPP domain of the meeting: the room's domain without prefix and tenant
	Tenant   string
	Password xlog.Secret
	Token    xlog.Secret
	UserID   string // XMPP user that goes with Token
	BOSH     string // URL to connect to; holds the token. Never log it.
	Visitor  bool

	Anonymous bool // log in anonymously
}

// Route finds the meeting of an incoming call from its headers: get gives the
// first value of a header, without case, or "".
func (r Rules) Route(get func(name string) string) (Target, error) {
	first := func(names []string) string {
		for _, n := range names {
			if v := strings.TrimSpace(get(n)); v != "" {
				return v
			}
		}
		return ""
	}
	h := r.Headers
	room := first(h.Room)
	if room == "" {
		room = r.DefaultRoom
	}
	if room == "" {
		return Target{}, cause.Cause{Code: cause.NoRoom, Text: "the caller named no room: send the header " +
			strings.Join(h.Room, " or ") + ", or set a default room"}
	}
	t := Target{
		Password: xlog.Secret(first(h.Password)), Token: xlog.Secret(first(h.Token)),
		UserID: first(h.UserID), Tenant: first(h.Tenant), Visitor: strings.EqualFold(first(h.Visitor), "true"), Anonymous: r.Anonymous,
	}
	domain := first(h.DomainBase)
	if domain == "" {
		domain = r.DomainBase
	}
	return r.Resolve(t, asTyped(room), domain)
}

// asTyped is the name that the web page sends to the servers when somebody types a room's: percent signs are read
// once, the characters are brought into one form (NFKC) and to lower case, and what is left that is not of ASCII, and
// white space, is written with percent signs. Who types a name on a telephone's way in is so in the same room as who
// types it into a browser. What no room may have is left as it is, to be refused.
func asTyped(room string) string {
	name, at, address := strings.Cut(room, "@")
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) || strings.ContainsAny(name, forbidden) {
		return room
	}
	if decoded, err := url.PathUnescape(name); err == nil && utf8.ValidString(decoded) {
		name = decoded
	}
	if address {
		at = "@" + at
	}
	if name = cases.Lower(language.Und).String(norm.NFKC.String(name)); strings.Contains(name, "'") {
		return name + at // browsers leave it, and no server takes it
	}
	return strings.ToLower(strings.ReplaceAll(unreserved.Replace(url.QueryEscape(name)), "+", "%20")) + at
}

// unreserved are the marks that a browser does not write with percent signs, and Go does.
var unreserved = strings.NewReplacer("%21", "!", "%28", "(", "%29", ")", "%2A", "*")

// forbidden are the characters that no room's name has.
const forbidden = `"&'/:<>@`

func unprintable(c rune) bool {
	return unicode.IsControl(c) || unicode.IsSpace(c) && c != ' ' || unicode.Is(unicode.Cf, c)
}

// Resolve completes t for a room given by name or by address. domain is the base
// domain, "" if unknown (gateway spec 4.1).
func (r Rules) Resolve(t Target, room, domain string) (Target, error) {
	if !strings.Contains(room, "@") {
		switch {
		case r.MUCService != "":
			room += "@" + r.MUCService
		case domain != "":
			room += "@" + r.prefixes()[0] + "." + tenantDot(t.Tenant) + domain
		}
	}
	t.Room = stanza.ParseJID(room).Bare()
	if !nameable(t.Room.Local) || !nameable(t.Room.Domain) || norm.NFKC.String(t.Room.Domain) != t.Room.Domain || strings.ContainsRune(t.Room.Domain, '\u3002') || strings.ContainsAny(room, " \t\r\n\"&'<>\x00") {
		return Target{}, cause.Cause{Code: cause.NoRoom, Text: "the room name has no usable address: " +
			"give room@conference.DOMAIN, or set the conference domain (MUC_SERVICE_ADDRESS)"}
	}
	t.Room.Local, t.Room.Domain = strings.ToLower(t.Room.Local), strings.ToLower(t.Room.Domain)
	t.Domain, t.Tenant = r.split(t.Room.Domain, t.Tenant, domain)
	if t.Domain == "" {
		return Target{}, cause.Cause{Code: cause.NoRoom, Text: "the XMPP domain of the room is not known: set DOMAIN_BASE"}
	}
	t.BOSH = r.bosh(t, domain)
	return t, nil
}

// nameable reports whether part of a room's address is one that a server takes (RFC 7622, 3.3): what it would
// refuse, or read in another way than we do, is refused by us.
func nameable(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool {
		return unprintable(c) || c == ' ' || strings.ContainsRune(forbidden, c)
	})
}

func (r Rules) prefixes() []string {
	if len(r.MUCPrefixes) > 0 {
		return r.MUCPrefixes
	}
	return []string{"conference", "muc"}
}

// split takes a conference domain apart into XMPP domain and tenant: the last
// prefix that matches wins, as in Jigasi.
func (r Rules) split(muc, tenant, domain string) (string, string) {
	found := ""
	for _, p := range r.prefixes() {
		if !strings.HasPrefix(muc, p) || len(muc) <= len(p)+1 {
			continue
		}
		rest := muc[len(p)+1:]
		switch {
		case tenant != "" && strings.HasPrefix(rest, tenant) && len(rest) > len(tenant)+1:
			found = rest[len(tenant)+1:]
		case domain != "" && strings.HasSuffix(rest, "."+domain):
			found, tenant = domain, strings.TrimSuffix(rest, "."+domain)
		default:
			found = rest
		}
	}
	if found == "" {
		found = domain
	}
	return found, tenant
}

// bosh fills the URL pattern in (gateway spec 4.1, 4.2).
func (r Rules) bosh(t Target, domain string) string {
	if r.BOSHPattern == "" {
		return ""
	}
	if domain == "" {
		domain = t.Domain
	}
	host := domain
	if h := r.BOSHHosts[domain]; h != "" {
		host = h
	}
	sub := ""
	if t.Tenant != "" {
		sub = "/" + t.Tenant
	}
	s := strings.NewReplacer("{host}", host, "{subdomain}", sub, "{roomName}", url.QueryEscape(t.Room.Local)).Replace(r.BOSHPattern)
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	q := u.Query()
	q.Set("room", t.Room.Local)
	if t.Token != "" && !q.Has("token") {
		q.Set("token", t.Token.Reveal())
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func tenantDot(tenant string) string {
	if tenant == "" {
		return ""
	}
	return tenant + "."
}

// NewNick is a fresh endpoint id: eight hex digits, as every Jitsi client has.
func NewNick() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// NickFrom makes an endpoint id of a phone's number, for USE_SIP_USER_AS_XMPP_RESOURCE.
// What is not a letter or digit becomes a dash; nothing usable gives a fresh one.
func NickFrom(user string) string {
	user, _, _ = strings.Cut(user, "@")
	nick := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '-'
	}, user)
	if strings.Trim(nick, "-") == "" {
		return NewNick()
	}
	return nick
}
