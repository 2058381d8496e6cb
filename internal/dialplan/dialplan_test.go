package dialplan

import (
	"fmt"
	"strings"
	"testing"

	"jigasi/internal/cause"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"+49 (30) 123-456": "+4930123456", "tel:+49.30.1": "+49301", "SIP:Bob@pbx.test": "Bob@pbx.test", " 00 49 ": "0049", "bob-1": "bob-1",
		"sip:100": "100", "*21#": "*21#", "": "", "tel:": "", "callto:a b": "ab", "+49\u06f0900\x00\n": "+49900", "030/123": "030123",
	} {
		if got := Normalize(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestRoute(t *testing.T) {
	p, err := New([]Rule{
		{Match: "+4930*", Strip: 5, Prefix: "0", Accounts: []string{"pbx"}},
		{Match: "+49900*", Deny: true},
		{Match: "+49*", Strip: 1, Prefix: "00", Accounts: []string{"cheap", "dear"}},
		{Match: "[0-9][0-9][0-9]"},
		{Match: "*@pbx.test"},
		{Match: "1234", Strip: 9},
	}, []string{"pbx", "cheap", "dear"})
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"+49 30 555":       "[{pbx 0555}]",
		"+49900123":        "rule 2 of dial_out.rules denies this number",
		"tel:+49 89 1":     "[{cheap 0049891} {dear 0049891}]",
		"112":              "[{ 112}]",
		"1122":             "no rule of dial_out.rules is for this number",
		"sip:x/y@pbx.test": "[{ x/y@pbx.test}]",
		"+49 30@else.test": "no rule of dial_out.rules is for this address: one with @ in its match is needed, such as *@pbx.example.com",
		"1234":             "[{ }]",
		"  ":               "the number to call is empty",
	} {
		ways, err := p.Route(to)
		got := fmt.Sprint(ways)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
	addresses, err := New([]Rule{{Match: "+49900*", Deny: true}, {Match: "bad@*", Deny: true}, {Match: "*@pbx.test"}, {Match: "*"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for to, ok := range map[string]bool{
		"+4930": true, "+49900": false, "+4930@evil.test": false, "bob@pbx.test": true, "bad@pbx.test": false,
		"+49900@pbx.test": false, "sip:%2B49900@pbx.test": false, "+49 900@pbx.test": false, "+49-900;x=y@pbx.test": false, "%zz@pbx.test": true,
	} {
		if _, err := addresses.Route(to); (err == nil) != ok || err != nil && cause.Of(err).Code != cause.Forbidden {
			t.Errorf("%s: %v", to, err)
		}
	}
	if ways, err := (Plan{}).Route("+1 900"); err != nil || fmt.Sprint(ways) != "[{ +1900}]" {
		t.Errorf("without rules: %v, %v", ways, err)
	}
	if _, err := p.Route("+49900"); cause.Of(err).Code != cause.Forbidden {
		t.Errorf("%v", err)
	}
}

func TestRulesAreChecked(t *testing.T) {
	for _, r := range []Rule{
		{Match: "[0-9"}, {Strip: -1}, {Deny: true, Prefix: "0"}, {Accounts: []string{"nobody"}},
	} {
		if _, err := New([]Rule{{}, r}, []string{"pbx"}); err == nil || !strings.HasPrefix(err.Error(), "rule 2") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func FuzzRoute(f *testing.F) {
	p, err := New([]Rule{{Match: "0*", Deny: true}, {Match: "*", Strip: 2, Prefix: "+"}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("tel:+49 30 1")
	f.Add("0\u2215")
	f.Fuzz(func(t *testing.T, to string) {
		ways, err := p.Route(to)
		if (err == nil) != (len(ways) == 1) {
			t.Errorf("%q: %v, %v", to, ways, err)
		}
		if n := Normalize(to); Normalize(n) != n && !strings.ContainsAny(n, ":@") {
			t.Errorf("%q is %q, and then %q", to, n, Normalize(n))
		}
		if strings.HasPrefix(Normalize(to), "0") && err == nil {
			t.Errorf("%q gets past a denial", to)
		}
	})
}

// TestCut: keys after a number, as people write them.
func TestCut(t *testing.T) {
	for to, want := range map[string][2]string{
		"030 1234567":           {"030 1234567", ""},
		"+49301234567,,12 34#":  {"+49301234567", ",,1234#"},
		"tel:+4930-123,45%23":   {"tel:+4930-123", ",45#"},
		"123,d*":                {"123", ",D*"},
		"123,":                  {"123", ","},
		",12":                   {"", ",12"},
		"sip:a,12@pbx.test":     {"sip:a,12@pbx.test", ""},
		"a@pbx.test;x=1,2":      {"a@pbx.test;x=1,2", ""},
		"jitsi_meet_transcribe": {"jitsi_meet_transcribe", ""},
	} {
		if number, keys, ok := Cut(to); !ok || number != want[0] || keys != want[1] {
			t.Errorf("%s: %q and %q, %v", to, number, keys, ok)
		}
	}
	for _, to := range []string{"123,x", "123,,12;ext=1", "123,\u0661", "123," + strings.Repeat("1", 64)} {
		if number, keys, ok := Cut(to); ok || keys != "" || number != "123" {
			t.Errorf("%s: %q and %q", to, number, keys)
		}
	}
}
