package call

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"jigasi/internal/leg"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var phases = []leg.Phase{leg.Trying, leg.Waiting, leg.Ringing, leg.Ready, leg.Up, leg.Moving, leg.Over}

// TestStateTable pins the whole life of a call: each row is a state, the phases
// of both legs and what follows. A change of behavior is a diff of the file.
func TestStateTable(t *testing.T) {
	var b strings.Builder
	for s := Joining; s <= Ended; s++ {
		for _, phone := range phases {
			for _, seat := range phases {
				for _, flags := range []string{"", "ended", "farewell", "tell", "early"} {
					v := view{
						phone: phone, seat: seat, ended: flags == "ended", farewell: flags == "farewell" || flags == "tell",
						tell: flags == "tell", early: flags == "early",
					}
					to, acts := next(s, v)
					fmt.Fprintf(&b, "%s phone=%s seat=%s %s -> %s %v\n", s, phone, seat, flags, to, acts)
				}
			}
		}
	}
	const golden = "testdata/states.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("the life of a call changed; look at it, then run go test ./internal/call -update\n%s", firstDiff(string(want), got))
	}
}

func firstDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "- " + w[i] + "\n+ " + g[i]
		}
	}
	return "the number of rows differs"
}

// TestStateModel walks random lives: from every reachable state an end leads to
// Ended, sound is connected only while both legs are up, a ringing phone is heard only while the
// seat is up, and connect and disconnect take turns.
func TestStateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		var v view
		connected, overheard := false, false
		apply := func() {
			var acts []action
			s, acts = next(s, v)
			for _, a := range acts {
				switch a {
				case connect:
					if !v.bothUp() || connected {
						t.Fatalf("connect in %s with %+v, connected=%v", s, v, connected)
					}
					connected, overheard = true, false
				case overhear:
					if s != Answering || v.phone != leg.Ringing || v.seat != leg.Up {
						t.Fatalf("the phone is heard early in %s with %+v", s, v)
					}
					overheard = true
				case disconnect:
					connected, overheard = false, false
				}
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				v.ended = true
			case 1:
				v.farewell = true
			case 2, 3, 4:
				if v.phone != leg.Over {
					v.phone = rapid.SampledFrom(phases).Draw(t, "phone")
				}
			default:
				if v.seat != leg.Over {
					v.seat = rapid.SampledFrom(phases).Draw(t, "seat")
				}
			}
			apply()
			if connected && s != Active {
				t.Fatalf("sound is connected in %s", s)
			}
		}
		v.ended = true
		apply()
		v.phone = leg.Over
		apply()
		v.seat = leg.Over
		apply()
		apply()
		if s != Ended || connected || overheard {
			t.Fatalf("the end leads to %s, connected=%v, overheard=%v", s, connected, overheard)
		}
	})
}
