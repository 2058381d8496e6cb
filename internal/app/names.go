package app

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"jigasi/internal/exchange"
	"jigasi/internal/xlog"
)

// caller asks the operator's service who a phone is. Where nobody knows, the room sees what it saw.
func (a *App) caller(p exchange.Place) func(context.Context) (name, avatar, email string) {
	return func(ctx context.Context) (name, avatar, email string) {
		number, _, _ := strings.Cut(strings.TrimPrefix(p.Number, "sip:"), "@")
		who, err := a.names.Find(ctx, number)
		if err != nil && ctx.Err() == nil {
			p.Log.Warn("the name of the phone was not found", xlog.Err, err)
		}
		return who.Name, who.Avatar, who.Email
	}
}

// callee is what the room sees of a number that is called, by the rule of the account by which it is called, and that account.
func (a *App) callee(number string) (shown, account string) {
	rule := a.cfg.Meeting.CallerName
	if ways, err := a.plan.Route(number); err == nil {
		acc := a.accountOr(ways[0].Account)
		rule, account = cmp.Or(acc.CallerName, rule), acc.ID
	}
	return shownName(rule, number), account
}

// maxShown bounds a name that a caller gives itself, in runes: browsers show half of it.
const maxShown = 100

// tidied is a name as a room can show it: of a bounded length, and without what would turn the names around it (the
// controls of bidirectional text) or is no character.
func tidied(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > maxShown {
		name = string(runes[:maxShown-1]) + "\u2026"
	}
	return strings.TrimSpace(name)
}

// shownName is what people in the meeting see of a phone. A name is shown as it is; a number by the operator's rule:
// the whole of it is personal data, and everybody in the room would have it.
func shownName(rule, name string) string {
	name = tidied(name)
	user := name // of an address, as a number may be part of one
	if scheme, rest, ok := strings.Cut(user, ":"); ok && slices.Contains([]string{"tel", "callto", "sip", "sips"}, strings.ToLower(scheme)) {
		user = rest
	}
	user, _, _ = strings.Cut(user, "@")
	user, _, _ = strings.Cut(user, ";")
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	if strings.Trim(user, "+0123456789 -.()/") != "" || !strings.ContainsAny(user, "0123456789") {
		return name
	}
	name = user
	if rule == "full" {
		return name
	}
	var digits []rune
	for _, r := range name {
		if r >= '0' && r <= '9' {
			digits = append(digits, r)
		}
	}
	if rule == "hidden" || len(digits) < 7 && len(digits) > 4 {
		return "Phone"
	}
	if len(digits) <= 4 { // an extension says nothing to strangers
		return name
	}
	return "Phone \u2026" + string(digits[len(digits)-3:])
}
