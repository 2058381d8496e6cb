package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// checkDialOut looks at the rules of dial-out, and at whether calls may cost without end.
func (l *loader) checkDialOut() {
	d := &l.cfg.DialOut
	var known []string
	for _, a := range l.cfg.SIP.Accounts {
		known = append(known, a.ID)
	}
	for i, r := range d.Rules {
		key := fmt.Sprintf("dial_out.rules[%d]", i)
		if _, err := path.Match(r.Match, ""); err != nil {
			l.at(Error, key+".match", "%.40q is no pattern: * is anything, ? one character, [0-9] one of them", r.Match)
		}
		if r.Strip < 0 {
			l.at(Error, key+".strip", "is negative")
		}
		if r.Deny && (r.Strip > 0 || r.Prefix != "" || len(r.Accounts) > 0) {
			l.at(Error, key+".deny", "is set beside how to call")
		}
		for _, a := range r.Accounts {
			if !slices.Contains(known, a) {
				l.at(Error, key+".accounts", "there is no account %.40q in sip.accounts (%s)", a, strings.Join(known, ", "))
			}
		}
		if (r.Match == "" || r.Match == "*") && i+1 < len(d.Rules) {
			l.at(Warning, key+".match", "matches every number: the rules after it are never reached")
		}
	}
	if len(l.cfg.Breweries) > 0 && l.cfg.SIP.Enabled && len(known) == 0 && len(d.Rules) == 0 {
		l.at(Warning, "dial_out.rules", "are not set, and there is no account: people in meetings can have any SIP address called, also in your own network; say which, such as match: \"*@pbx.example.com\"")
	}
	for key, n := range map[string]int{"dial_out.per_room": d.PerRoom, "dial_out.per_minute": d.PerMinute, "dial_out.at_once": d.AtOnce} {
		if n < 0 {
			l.at(Error, key, "is negative; 0 is no limit")
		}
	}
}
