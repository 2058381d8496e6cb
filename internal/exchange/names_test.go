package exchange

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"jigasi/internal/cause"
)

// webNames are what somebody types, and the room that a browser then goes to; "" is refused. A browser decodes what has
// percent signs, normalizes it (NFKC), brings it to lower case and encodes it again.
var webNames = map[string]string{
	"room": "room", "Room": "room", "STRASSE": "strasse", "straße": "stra%c3%9fe", "К": "%d0%ba", "k": "k", "K": "k", // the last is the sign of kelvin
	"room name": "room%20name", "room%20name": "room%20name", "Room%20Name": "room%20name", `room\20name`: "room%5c20name", "a%b": "a%25b", "100%": "100%25", "%zz": "%25zz",
	"%2541": "%2541", "%41": "a", "%": "%25", "%ff": "%25ff", "k%C3%B6ln": "k%c3%b6ln", "köln": "k%c3%b6ln", "KÖLN": "k%c3%b6ln", "ko\u0308ln": "k%c3%b6ln",
	"日本語": "%e6%97%a5%e6%9c%ac%e8%aa%9e", "ｒｏｏｍ": "room", "ﬁn": "fin", "①": "1", "ĳ": "ij", "ΣΑΣ": "%cf%83%ce%b1%cf%82", "İ": "i%cc%87",
	"a.b": "a.b", "-": "-", "..": "..", "a_b~c!d*e(f)g": "a_b~c!d*e(f)g", "{room}": "%7broom%7d", "a+b=c": "a%2bb%3dc", "a,b;c$d": "a%2cb%3bc%24d", "$(touch)": "%24(touch)", "$(touch x)": "%24(touch%20x)",
	"%00": "%00", "%E2%80%8B": "%e2%80%8b", "?q#f": "%3fq%23f", "[1]": "%5b1%5d", "^|`": "%5e%7c%60", "👩‍": "", "☎": "%e2%98%8e", "0": "0", "+49 30 1": "%2b49%2030%201",
	"": "", "a\tb": "", "a\r\nb": "", "a\x00b": "", "a\x7fb": "", "a\u0085b": "", "a\u2028b": "", "a\u00a0b": "", "a\u3000b": "",
	"a\u200bb": "", "a\u200fb": "", "\u202eab": "", "a\u00adb": "", "\ufeffa": "", "a\xffb": "", "\xc3": "",
	`a"b`: "", "a&b": "", "a'b": "", "a:b": "", "a<b": "", "a>b": "", "<room/>": "", "&lt;": "", "a%27b": "", "a＇b": "",
	"a%40b": "a%40b", "a%2Fb": "a%2fb", "a%26b": "a%26b", "a＆b": "a%26b", "a%EF%BC%A0b": "a%40b", "％４０": "%2540",
}

// T22: a room is the one that a browser goes to when the same name is typed there, by name and by address; what no
// server takes as a name, or takes as another, is refused and enters no other room. What is sent is ASCII, and the same
// when it is read and sent again.
func TestT22_RoomNames(t *testing.T) {
	r := Rules{Headers: DefaultHeaders(), DomainBase: "meet.example.com"}
	long := strings.Repeat("x", 255)
	names := map[string]string{long: long, long + "x": "", strings.Repeat("ö", 42): strings.Repeat("%c3%b6", 42), strings.Repeat("ö", 43): ""}
	maps.Copy(names, webNames)
	for name, want := range names {
		full := ""
		if want != "" {
			full = want + "@conference.meet.example.com"
		}
		for _, given := range []string{name, name + "@conference.meet.example.com", want + "@Conference.Meet.example.com"} {
			if given != name && want == "" && given[0] == '@' {
				continue
			}
			got, err := r.Route(headers("X-Room-Name", given))
			if full == "" {
				if cause.Of(err).Code != cause.NoRoom {
					t.Errorf("%q leads to %q, %v; it should be refused", given, got.Room, err)
				}
			} else if err != nil || got.Room.String() != full {
				t.Errorf("%q leads to %q, %v, want %q", given, got.Room, err, full)
			}
		}
	}
	for _, given := range []string{"a/b@c", "a@b@c", "@c", "a@", "a@b:c", "a@b c", "/", "a/@b", "c@x。evil.com", "c@x．evil.com", "c@ｍuc.example.com", "c@x｡evil.com"} {
		if got, err := r.Route(headers("X-Room-Name", given)); cause.Of(err).Code != cause.NoRoom {
			t.Errorf("%q leads to %q, %v; it should be refused", given, got.Room, err)
		}
	}
}

// TestLowerCaseComesLast: as in a browser, where the dots of T̈, which is no character of its own, stay apart in lower case.
func TestLowerCaseComesLast(t *testing.T) {
	if got := asTyped("T\u0308"); got != "t%cc%88" {
		t.Errorf("it becomes %q", got)
	}
}

// FuzzRoomName: what is routed to is ASCII that no server reads in another way, of the same length for all, and
// stays the same when it is routed again, but for what has one character only in lower case: browsers do the same.
func FuzzRoomName(f *testing.F) {
	for name := range webNames {
		f.Add(name)
	}
	r := Rules{Headers: DefaultHeaders(), DomainBase: "meet.example.com"}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := r.Route(headers("X-Room-Name", name))
		if err != nil {
			return
		}
		local := got.Room.Local
		if local == "" || len(local) > 255 || strings.ContainsFunc(local, func(c rune) bool {
			return c <= ' ' || c > '~' || strings.ContainsRune(`"&'/:<>@`, c) || c >= 'A' && c <= 'Z'
		}) {
			t.Fatalf("%q leads to %q", name, local)
		}
		if plain, err := url.PathUnescape(local); err != nil || !norm.NFKC.IsNormalString(plain) {
			return
		}
		again, err := r.Route(headers("X-Room-Name", got.Room.String()))
		if err != nil || again.Room != got.Room {
			t.Errorf("%q leads to %q, and that to %q, %v", name, got.Room, again.Room, err)
		}
	})
}
