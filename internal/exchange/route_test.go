package exchange

import (
	"strings"
	"testing"

	"jigasi/internal/cause"
)

// headers answers without case, as a SIP stack does.
func headers(kv ...string) func(string) string {
	return func(name string) string {
		for i := 0; i+1 < len(kv); i += 2 {
			if strings.EqualFold(kv[i], name) {
				return kv[i+1]
			}
		}
		return ""
	}
}

func TestRoute(t *testing.T) {
	base := Rules{Headers: DefaultHeaders(), DomainBase: "meet.example.com"}
	withBOSH, withService, withDefault := base, base, base
	withBOSH.BOSHPattern = "https://{host}{subdomain}/http-bind?room={roomName}"
	withService.MUCService, withService.DomainBase = "muc.meet.jitsi", ""
	withDefault.DefaultRoom = "siptest"
	for _, tt := range []struct {
		name                       string
		rules                      Rules
		get                        func(string) string
		room, domain, tenant, bosh string
	}{
		{"bare name, base domain", base, headers("jitsi-conference-room", "Alpha"), "alpha@conference.meet.example.com", "meet.example.com", "", ""},
		{"bare name, service", withService, headers("Jitsi-Conference-Room", "a"), "a@muc.meet.jitsi", "meet.jitsi", "", ""},
		{"container's name", base, headers("X-ROOM-NAME", "a@conference.meet.example.com"), "a@conference.meet.example.com", "meet.example.com", "", ""},
		{"tenant from the room", withBOSH, headers("Jitsi-Conference-Room", "a@conference.acme.meet.example.com"), "a@conference.acme.meet.example.com", "meet.example.com", "acme", "https://meet.example.com/acme/http-bind?room=a"},
		{"tenant from the header", withBOSH, headers("Jitsi-Conference-Room", "a@conference.acme.meet.example.com", "Jitsi-Conference-Domain-Tenant", "acme"), "a@conference.acme.meet.example.com", "meet.example.com", "acme", "https://meet.example.com/acme/http-bind?room=a"},
		{"another domain", withBOSH, headers("Jitsi-Conference-Room", "a@muc.other.org"), "a@muc.other.org", "other.org", "", "https://meet.example.com/http-bind?room=a"},
		{"no known prefix", withBOSH, headers("Jitsi-Conference-Room", "a@rooms.meet.example.com"), "a@rooms.meet.example.com", "meet.example.com", "", "https://meet.example.com/http-bind?room=a"},
		{"domain header", base, headers("X-Room-Name", "a", "X-Domain-Base", "b.org"), "a@conference.b.org", "b.org", "", ""},
		{"token and odd name", withBOSH, headers("X-Room-Name", "a b?&=@conference.meet.example.com"[3:], "Jitsi-Auth-Token", "t.o.k"), "", "", "", ""},
		{"token", withBOSH, headers("X-Room-Name", "a", "Jitsi-Auth-Token", "t.o.k"), "a@conference.meet.example.com", "meet.example.com", "", "https://meet.example.com/http-bind?room=a&token=t.o.k"},
		{"default room", withDefault, headers(), "siptest@conference.meet.example.com", "meet.example.com", "", ""},
		{"no room", base, headers(), "", "", "", ""},
		{"no domain", Rules{Headers: DefaultHeaders()}, headers("X-Room-Name", "a"), "", "", "", ""},
		{"injection", base, headers("X-Room-Name", "a\r\nVia: x"), "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.rules.Route(tt.get)
			if tt.room == "" {
				if cause.Of(err).Code != cause.NoRoom {
					t.Fatalf("Route = %+v, %v, want a NoRoom cause", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Room.String() != tt.room || got.Domain != tt.domain || got.Tenant != tt.tenant || got.BOSH != tt.bosh {
				t.Errorf("Route = %s domain %s tenant %q bosh %q", got.Room, got.Domain, got.Tenant, got.BOSH)
			}
		})
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("room@conference.meet.example.com", "tenant")
	f.Add("a/b@c", "")
	f.Fuzz(func(t *testing.T, room, tenant string) {
		r := Rules{Headers: DefaultHeaders(), DomainBase: "meet.example.com"}
		got, err := r.Route(headers("X-Room-Name", room, "Jitsi-Conference-Domain-Tenant", tenant))
		if err != nil {
			return
		}
		if got.Room.Local == "" || got.Domain == "" || got.Room.Resource != "" || strings.ContainsAny(got.Room.String(), "<>&'\" \r\n") {
			t.Errorf("Route(%q, %q) = %+v", room, tenant, got)
		}
	})
}

func TestNick(t *testing.T) {
	for in, want := range map[string]string{"+49 30 1234": "-49-30-1234", "alice@sip.example.org": "alice"} {
		if got := NickFrom(in); got != want {
			t.Errorf("NickFrom(%q) = %q, want %q", in, got, want)
		}
	}
	if n := NickFrom("@@"); len(n) != 8 {
		t.Errorf("NickFrom of nothing = %q, want eight digits", n)
	}
}
