package app

import (
	"strings"
	"testing"

	"jigasi/internal/config"
)

// TestShownCallee: what the room sees of a number that is called is what the account by which it is called says.
func TestShownCallee(t *testing.T) {
	cfg := config.Default()
	cfg.Meeting.CallerName = "masked"
	cfg.SIP.Accounts = []config.SIPAccount{{ID: "first"}, {ID: "open", CallerName: "full"}, {ID: "shut", CallerName: "hidden"}}
	cfg.DialOut.Rules = []config.DialRule{{Match: "+49*", Accounts: []string{"open", "shut"}}, {Match: "+43*", Accounts: []string{"shut"}}, {Match: "+1900*", Deny: true}, {}}
	p, err := plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &App{cfg: cfg, plan: p}
	for number, want := range map[string][2]string{
		"+4930123456": {"+4930123456", "open"}, "tel:+43 1 23456789": {"Phone", "shut"}, "+41443334455": {"Phone \u2026455", "first"}, "+19001234567": {"Phone \u2026567", ""},
	} {
		if shown, account := a.callee(number); shown != want[0] || account != want[1] {
			t.Errorf("%s: %q by %q, want %q", number, shown, account, want)
		}
	}
}

func TestShownName(t *testing.T) {
	for _, c := range []struct{ rule, name, want string }{
		{"full", "+4930123456", "+4930123456"},
		{"full", strings.Repeat("é", 101), strings.Repeat("é", 99) + "\u2026"},
		{"full", strings.Repeat("é", 100), strings.Repeat("é", 100)},
		{"full", " Anna\u202e\u0007 \u2067Ben\u2069 ", "Anna Ben"},
		{"full", "\u0634\u0631\u06cc\u0641 \U0001F469\u200D\U0001F4BB", "\u0634\u0631\u06cc\u0641 \U0001F469\u200D\U0001F4BB"},
		{"masked", "+4930123456", "Phone \u2026456"},
		{"masked", "+49 (30) 123-456", "Phone \u2026456"},
		{"masked", "+4930123456@trunk.test", "Phone \u2026456"},
		{"full", "+4930123456@trunk.test", "+4930123456"},
		{"hidden", "+4930123456", "Phone"},
		{"masked", "tel:+4930123456", "Phone \u2026456"},
		{"full", "tel:+4930123456", "+4930123456"},
		{"masked", "sip:+4930123456@trunk.test", "Phone \u2026456"},
		{"masked", "+4930123456;phone-context=+49", "Phone \u2026456"},
		{"masked", "%2B4930123456", "Phone \u2026456"},
		{"hidden", "Alice: 7", "Alice: 7"},
		{"masked", "Alice", "Alice"},
		{"hidden", "Alice 2", "Alice 2"},
		{"masked", "201", "201"},
		{"masked", "30123", "Phone"},
		{"masked", "", ""},
		{"masked", "bob@pbx.test", "bob@pbx.test"},
	} {
		if got := shownName(c.rule, c.name); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.rule, c.name, got, c.want)
		}
	}
}
