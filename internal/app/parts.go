package app

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"jigasi/internal/config"
	"jigasi/internal/dialplan"
	"jigasi/internal/exchange"
	"jigasi/internal/sip"
)

// rules say how a room name becomes an address, for calls by no account in particular: they may use the
// header names of any account.
func rules(cfg *config.Config) exchange.Rules {
	r := exchange.Rules{
		Headers: exchange.DefaultHeaders(), DefaultRoom: cfg.Meeting.DefaultRoom, MUCService: cfg.Meeting.MUC, DomainBase: cfg.Meeting.Domain,
		MUCPrefixes: cfg.Meeting.MUCPrefixes, BOSHPattern: cfg.XMPP.URL, BOSHHosts: cfg.Meeting.URLHosts,
	}
	for _, acc := range cfg.SIP.Accounts {
		rename(&r.Headers, acc.Headers)
		r.DomainBase = cmp.Or(r.DomainBase, acc.Domain)
	}
	return r
}

// accountRules are those of the accounts.
func accountRules(cfg *config.Config) map[string]exchange.Rules {
	out := map[string]exchange.Rules{}
	for _, acc := range cfg.SIP.Accounts {
		r := rules(cfg)
		r.Headers = exchange.DefaultHeaders()
		rename(&r.Headers, acc.Headers)
		if acc.Domain != "" && acc.Domain != cfg.Meeting.Domain {
			r.DomainBase, r.MUCService = acc.Domain, "" // a room by its name alone is in that domain
		}
		if len(acc.MUCPrefixes) > 0 {
			r.MUCPrefixes = acc.MUCPrefixes
		}
		r.Anonymous = acc.AnonymousOnly
		out[acc.ID] = r
	}
	return out
}

// rename puts an account's header names before the usual ones.
func rename(h *exchange.HeaderNames, names config.HeaderNames) {
	first := func(list *[]string, name string) {
		if name != "" {
			*list = append([]string{name}, *list...)
		}
	}
	first(&h.Room, names.Room)
	first(&h.Password, names.Password)
	first(&h.DomainBase, names.Domain)
	first(&h.Tenant, names.Tenant)
	first(&h.Token, names.Token)
	first(&h.UserID, names.UserID)
	first(&h.Visitor, names.Visitor)
}

// plan says how numbers are called.
func plan(cfg *config.Config) (dialplan.Plan, error) {
	var rules []dialplan.Rule
	for _, r := range cfg.DialOut.Rules {
		rules = append(rules, dialplan.Rule{Match: r.Match, Deny: r.Deny, Strip: r.Strip, Prefix: r.Prefix, Accounts: r.Accounts})
	}
	var known []string
	for _, acc := range cfg.SIP.Accounts {
		known = append(known, acc.ID)
	}
	p, err := dialplan.New(rules, known)
	if err != nil {
		return p, fmt.Errorf("dial_out.rules: %w", err)
	}
	return p, nil
}

func (a *App) sipOptions() (sip.Options, error) {
	cfg := a.cfg.SIP
	o := sip.Options{
		PublicIP: a.publicIP, UserAgent: cfg.UserAgent, Resolver: sip.Located(a.opt.Names), SessionExpires: cfg.SessionTimer, DSCP: cfg.DSCP, Incoming: a.incoming,
		Draining: a.draining.Load, Log: a.log, Open: a.opt.Loopback && len(cfg.Trunks) == 0 && len(cfg.Accounts) == 0,
	}
	if o.UserAgent == "" {
		o.UserAgent = "jigasi " + a.opt.Version
	}
	if cfg.SessionTimer == 0 {
		o.SessionExpires = -1
	}
	for _, l := range cfg.Listen {
		network, addr, err := listener(l)
		if err != nil {
			return o, err
		}
		o.Listen = append(o.Listen, sip.Listener{Network: network, Addr: addr, OrAny: cfg.ListenAny && reachedByRegistrars(cfg)})
	}
	for _, t := range cfg.Trunks {
		p, err := config.ParsePrefix(t)
		if err != nil {
			return o, fmt.Errorf("sip.trunks: %w", err)
		}
		o.Trunks = append(o.Trunks, p)
	}
	for _, acc := range cfg.Accounts {
		o.Accounts = append(o.Accounts, account(acc))
	}
	var err error
	o.TLS, err = tlsConfig(cfg.TLS)
	return o, err
}

// reachedByRegistrars reports whether all calls come by who is told our address, so that no port has to be a certain one.
func reachedByRegistrars(cfg config.SIP) bool {
	for _, acc := range cfg.Accounts {
		if !acc.Register {
			return false
		}
	}
	return len(cfg.Accounts) > 0 && len(cfg.Trunks) == 0
}

// taken says what to do about a port that another program has.
func taken(err error, setting string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program has it; is it a gateway that still runs, or a PBX? Else choose another port by %s", err, setting)
	}
	return err
}

// listener reads "udp 0.0.0.0:5060", "udp:0.0.0.0:5060" or "udp://0.0.0.0:5060".
func listener(s string) (network, addr string, err error) {
	s = strings.TrimSpace(strings.Replace(s, "://", " ", 1))
	network, addr, ok := strings.Cut(s, " ")
	if !ok {
		network, addr, ok = strings.Cut(s, ":")
	}
	if !ok || addr == "" {
		return "", "", fmt.Errorf("sip.listen: %q is not a transport and an address, such as udp 0.0.0.0:5060", s)
	}
	return strings.ToLower(network), strings.TrimSpace(addr), nil
}

func account(acc config.SIPAccount) sip.Account {
	user, domain, _ := strings.Cut(acc.URI, "@")
	o := sip.Account{
		ID: acc.ID, User: user, Domain: domain, AuthUser: acc.AuthUser, Password: acc.Password, Realms: acc.Realms, Name: acc.DisplayName,
		Registrar: acc.Registrar, Transport: acc.Transport, Proxy: acc.Proxy, NoRegister: !acc.Register, CallUnregistered: acc.CallUnreg, Expires: acc.Expires,
	}
	if _, p, err := net.SplitHostPort(domain); err == nil { // the port is the server's, and no part of the account's name
		o.Domain = strings.TrimSuffix(domain, ":"+p)
	}
	if h, p, err := net.SplitHostPort(cmp.Or(acc.Registrar, domain)); err == nil {
		o.Registrar = h
		o.Port, _ = strconv.Atoi(p)
	}
	switch acc.KeepAlive {
	case "options", "crlf":
		o.KeepAlive, o.CRLF = acc.Interval, acc.KeepAlive == "crlf"
	case "register":
		o.Refresh = acc.Interval
	}
	for _, h := range acc.Extra {
		o.Headers = append(o.Headers, sip.StaticHeader{Header: sip.Header{Name: h.Name, Value: h.Value}, Method: h.Method})
	}
	return o
}

func tlsConfig(t config.SIPTLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := trust(c, t.Trust, "sip.tls.trust"); err != nil {
		return nil, err
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("sip.tls: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

func cutSTUN(s string) (string, bool) { return strings.CutPrefix(s, "stun:") }

var errNotRegistered = errors.New("not registered")
