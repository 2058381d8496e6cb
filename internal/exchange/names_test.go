package exchange

import (
	"strings"
	"testing"

	"jigasi/internal/cause"
)

// T22: a room is the one that was named, in lower case and otherwise byte by byte; what no server takes as a
// name, or takes as another, is refused and enters no other room.
func TestT22_RoomNames(t *testing.T) {
	r := Rules{Headers: DefaultHeaders(), DomainBase: "meet.example.com"}
	long := strings.Repeat("x", 255)
	for name, want := range map[string]string{
		"room": "room", "Room": "room", "STRASSE": "strasse", "straße": "straße", "К": "к", "k": "k",
		"room%20name": "room%20name", "%00": "%00", `room\20name`: `room\20name`, "$(touch x)": "", "$(touch)": "$(touch)",
		"k%C3%B6ln": "k%c3%b6ln", "köln": "köln", "日本語": "日本語", "a.b": "a.b", "-": "-", "..": "..", "{room}": "{room}", "a+b=c": "a+b=c",
		long: long, long + "x": "", "": "",
		"room name": "", "a\tb": "", "a\r\nb": "", "a\x00b": "", "a\x7fb": "", "a\u0085b": "", "a\u2028b": "", "a\u00a0b": "", "a\u3000b": "",
		"a\u200bb": "", "a\u200fb": "", "\u202eab": "", "a\u00adb": "", "\ufeffa": "", "a\xffb": "", "\xc3": "",
		`a"b`: "", "a&b": "", "a'b": "", "a:b": "", "a<b": "", "a>b": "", "<room/>": "", "&lt;": "",
	} {
		full := ""
		if want != "" {
			full = want + "@conference.meet.example.com"
		}
		for _, given := range []string{name, name + "@conference.meet.example.com"} {
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
	for _, given := range []string{"a/b@c", "a@b@c", "@c", "a@", "a@b:c", "a@b c", "/", "a/@b"} {
		if got, err := r.Route(headers("X-Room-Name", given)); cause.Of(err).Code != cause.NoRoom {
			t.Errorf("%q leads to %q, %v; it should be refused", given, got.Room, err)
		}
	}
}
