package app

import "testing"

func TestShownName(t *testing.T) {
	for _, c := range []struct{ rule, name, want string }{
		{"full", "+4930123456", "+4930123456"},
		{"masked", "+4930123456", "Phone \u2026456"},
		{"masked", "+49 (30) 123-456", "Phone \u2026456"},
		{"masked", "+4930123456@trunk.test", "Phone \u2026456"},
		{"full", "+4930123456@trunk.test", "+4930123456"},
		{"hidden", "+4930123456", "Phone"},
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
