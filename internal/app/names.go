package app

import (
	"context"
	"strings"

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

// shownName is what people in the meeting see of a phone. A name is shown as it is; a number by the operator's rule:
// the whole of it is personal data, and everybody in the room would have it.
func shownName(rule, name string) string {
	number := strings.Trim(name, "+0123456789 -.()/") == "" && strings.ContainsAny(name, "0123456789")
	if user, _, ok := strings.Cut(name, "@"); ok && strings.Trim(user, "+0123456789 -.()/") == "" {
		name, number = user, true // an address whose user is a number
	}
	if !number || rule == "full" {
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
