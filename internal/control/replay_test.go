package control

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/rayo"
	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

// TestReplay plays what a real focus has said to three gateways, and wants the
// answers that it understood (real.md 27-30).
func TestReplay(t *testing.T) {
	file, err := os.ReadFile("testdata/brewery.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"g1", "g2", "g3"} {
		var script []string
		for line := range strings.Lines(string(file)) {
			if gw, rest, _ := strings.Cut(strings.TrimSpace(line), " "); gw == who {
				script = append(script, rest)
			}
		}
		t.Run(who, func(t *testing.T) { replay(t, who, script) })
	}
}

func replay(t *testing.T, who string, script []string) {
	set := func(o *Options) {
		o.Nick = who
		o.Focus.Allowed = []stanza.JID{stanza.ParseJID("focus@auth.meet.localhost")}
		stats := o.Stats
		o.Stats = func() Stats { s := stats(); s.Transcription = who != "g1"; return s }
		dial := o.Dial
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			switch who {
			case "g2": // as it did then
				return exchange.Dialled{}, errors.New("defect")
			case "g3":
				<-ctx.Done()
				return exchange.Dialled{}, cause.Cause{Code: cause.Cancelled, Err: ctx.Err()}
			}
			return dial(ctx, r)
		}
	}
	play(t, set, func(s *stage) {
		answers := 0
	script:
		for _, line := range script {
			dir, xml, _ := strings.Cut(line, " ")
			want, err := stanza.Parse([]byte(xml), stanza.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case dir == "RECV":
				s.say(xml)
			case want.Get("type") == "unavailable": // it left
				break script
			case want.Is("", "presence") && want.Kid(nsMUC, "x") == nil:
				s.change(func(x *Stats) { x.Draining = true })
				if e := s.hear(); e.Kid(nsStats, "stats").Kids[2].Get("value") != "true" {
					t.Errorf("drains by %v", e)
				}
			default:
				answers++
				got := s.hear()
				if !stanza.ParseJID(got.Get("to")).Equal(stanza.ParseJID(want.Get("to"))) || got.Get("id") != want.Get("id") && want.Is("", "iq") ||
					condition(got) != condition(want) || ref(got) != ref(want) {
					t.Errorf("says %v,\n   not %v", got, want)
				}
			}
		}
		if who == "g3" { // which was silent then, and is not now
			if got := s.hear(); condition(got) != "remote-server-timeout" && condition(got) != "service-unavailable" {
				t.Errorf("says %v", got)
			}
		} else if st := s.b.Status(); st.State != Joined || answers < 3 || st.Room.Resource != who {
			t.Errorf("%+v, %d answers", st, answers)
		}
		for _, r := range s.dials {
			if r.To != "+15551234" || r.Room != "beta@conference.meet.localhost" || r.From != "fromnumber" || len(r.Headers) != 0 {
				t.Errorf("asked to dial %+v", r)
			}
		}
	})
}

func ref(e *stanza.Elem) string {
	r, err := rayo.ParseRef(e.Kid(rayo.NS, "ref"))
	if err != nil {
		return ""
	}
	return r.URI
}

func TestStatsAsJigasi(t *testing.T) {
	file, err := os.ReadFile("testdata/jigasi-presence.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(file)) {
		p, err := stanza.Parse([]byte(line), stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want := p.Kid(nsStats, "stats")
		if want == nil { // its first presence has none
			continue
		}
		n++
		s := Stats{SIP: true, Region: "r1", Version: "1.1.SNAPSHOT"}
		if want.Kids[0].Get("value") == "1" {
			s.Conferences, s.Participants, s.Stress = 1, 1, 0.01
		}
		if diff := cmp.Diff(want.String(), s.Elem().String()); diff != "" {
			t.Error(diff)
		}
	}
	if n != 3 {
		t.Errorf("%d presences", n)
	}
	for f, want := range map[float64]string{0: "0.0", 1: "1.0", 0.12: "0.12", 1.5: "1.5", 1.0 / 3: "0.3333", 12: "12.0", 100: "100.0"} {
		if got := decimal(f); got != want {
			t.Errorf("%v prints as %s", f, got)
		}
	}
}
