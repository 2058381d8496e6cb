// Package dialplan says how a number that the meeting wants to call is called: by which accounts, in which form, or not
// at all. It is pure: rules in, ways out.
package dialplan

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"jigasi/internal/cause"
)

// A Rule is for the numbers that it matches.
type Rule struct {
	// Match is a pattern: * is anything, ? one character, [0-9] one of them; "" matches all numbers. What holds no @
	// lets no address (user@host) through, as that names a server of anybody's; but it denies one with such a user.
	Match    string
	Deny     bool     // such a number is not called
	Strip    int      // characters taken away in front
	Prefix   string   // what is put in front then
	Accounts []string // by which it is called, the next where one fails; empty means the first account
}

// A Plan is rules in order: the first that matches counts. With rules, a number that none matches is not called.
type Plan struct{ rules []Rule }

// A Way is how a number is called.
type Way struct{ Account, Number string }

// New checks rules. known are the accounts there are.
func New(rules []Rule, known []string) (Plan, error) {
	for i, r := range rules {
		if _, err := path.Match(r.Match, ""); err != nil {
			return Plan{}, fmt.Errorf("rule %d: the pattern %q cannot be read", i+1, r.Match)
		}
		if r.Strip < 0 {
			return Plan{}, fmt.Errorf("rule %d: strip is negative", i+1)
		}
		if r.Deny && (r.Strip > 0 || r.Prefix != "" || len(r.Accounts) > 0) {
			return Plan{}, fmt.Errorf("rule %d denies, and says how to call", i+1)
		}
		for _, a := range r.Accounts {
			if !contains(known, a) {
				return Plan{}, fmt.Errorf("rule %d: there is no account %q", i+1, a)
			}
		}
	}
	return Plan{rules}, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// Route gives the ways to call a number, the best first, or a cause.Cause that says why it is not called.
// Without rules, everything is called by the first account.
func (p Plan) Route(to string) ([]Way, error) {
	to = Normalize(to)
	if to == "" {
		return nil, cause.Cause{Code: cause.NotFound, Text: "the number to call is empty"}
	}
	if len(p.rules) == 0 {
		return []Way{{Number: to}}, nil
	}
	for i, r := range p.rules {
		if !r.matches(to) {
			continue
		}
		if r.Deny {
			return nil, cause.Cause{Code: cause.Forbidden, Text: fmt.Sprintf("rule %d of dial_out.rules denies this number", i+1)}
		}
		number := r.Prefix + to[min(r.Strip, len(to)):]
		if len(r.Accounts) == 0 {
			return []Way{{Number: number}}, nil
		}
		var ways []Way
		for _, a := range r.Accounts {
			ways = append(ways, Way{Account: a, Number: number})
		}
		return ways, nil
	}
	if strings.Contains(to, "@") {
		return nil, cause.Cause{Code: cause.Forbidden, Text: "no rule of dial_out.rules is for this address: one with @ in its match is needed, such as *@pbx.example.com"}
	}
	return nil, cause.Cause{Code: cause.Forbidden, Text: "no rule of dial_out.rules is for this number"}
}

// matches reports whether a rule is for what is to be called.
func (r Rule) matches(to string) bool {
	user, _, address := strings.Cut(to, "@")
	if address && !strings.Contains(r.Match, "@") {
		if !r.Deny {
			return false
		}
		if plain, err := url.PathUnescape(user); err == nil { // %2B is +, and the far end reads it so
			user = plain
		}
		user, _, _ = strings.Cut(user, ";") // parameters of the user, and a password
		user, _, _ = strings.Cut(user, ":")
		to = Normalize(user)
	}
	ok, _ := path.Match(r.Match, slashless(to)) // it was checked
	return ok || r.Match == ""
}

// slashless lets * stand for a slash, too.
func slashless(s string) string { return strings.ReplaceAll(s, "/", "\u2215") }

// callable drops what cannot stand in the user part of a SIP URI: a rule sees what will be called, and nothing else.
func callable(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("+-_.!~*'()&=$,;?/#", r) {
		return r
	}
	return -1
}

// Normalize brings a number to the form that rules are written for: without scheme, without what people put
// between digits and without what cannot be called. An address (with @) stays as it is.
func Normalize(to string) string {
	to = strings.TrimSpace(to)
	low := strings.ToLower(to)
	for _, scheme := range []string{"tel:", "callto:", "sips:", "sip:"} {
		if strings.HasPrefix(low, scheme) {
			to = strings.TrimSpace(to[len(scheme):])
			break
		}
	}
	if strings.Contains(to, "@") {
		return to
	}
	to = strings.Map(callable, to)
	number := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.()/", r) {
			return -1
		}
		return r
	}, to)
	if number == "" || strings.Trim(number, "+0123456789*#") != "" {
		return to
	}
	return number
}

// maxKeys is how many keys may follow a number.
const maxKeys = 64

// Cut parts a number from the keys that are to be typed once it answers, as people write them: 0301234,,56# is 0301234
// and ",,56#", where each comma is a pause. An address (with @) has none. ok is false where what follows is no key.
func Cut(to string) (number, keys string, ok bool) {
	i := strings.Index(to, ",")
	if i < 0 || strings.Contains(to, "@") {
		return to, "", true
	}
	number, keys = to[:i], to[i:]
	if plain, err := url.PathUnescape(keys); err == nil { // %23 is #
		keys = plain
	}
	keys = strings.ToUpper(strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "").Replace(keys))
	if len(keys) > maxKeys || strings.Trim(keys, ",0123456789*#ABCD") != "" {
		return number, "", false
	}
	return number, keys, true
}
