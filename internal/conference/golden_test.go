package conference

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/rayo"
	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

const golden = "testdata/understood.golden"

// understood is what our packages make of a stanza, by the name of what it is.
func understood(e *stanza.Elem) (name string, what any) {
	if e.Name.Local == "presence" {
		if o, ok := meetxml.ParseOccupant(e); ok {
			return "occupant", o
		}
	}
	if m, err := jingle.Parse(e); err == nil {
		return "jingle", m
	}
	if c, ok := meetxml.ParseConferenceReply(e); ok && e.Get("type") == "result" {
		return "conference", c
	}
	if d, err := rayo.ParseDial(e.Kid(rayo.NS, "dial")); err == nil {
		return "dial", d
	}
	if r, err := rayo.ParseRef(e.Kid(rayo.NS, "ref")); err == nil {
		return "ref", r
	}
	return "", nil
}

// TestCapturesAreUnderstood compares what is read of every stanza of the captures with what was
// read when somebody looked at it (-update writes that).
func TestCapturesAreUnderstood(t *testing.T) {
	var out strings.Builder
	all := everything(t)
	for _, file := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&out, "# %s\n", file)
		for _, l := range all[file] {
			if l.e == nil {
				continue
			}
			again, err := stanza.Parse([]byte(l.e.String()), stanza.Limits{})
			if err != nil || !reflect.DeepEqual(again, l.e) {
				t.Errorf("%s %v: prints as what reads otherwise (%v):\n%v", file, l.at, err, l.e)
			}
			name, what := understood(l.e)
			if name == "" {
				fmt.Fprintf(&out, "%v %s %s\n", l.at, l.dir, kind(l.e))
				continue
			}
			text, err := json.Marshal(what)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%v %s %s %s\n", l.at, l.dir, name, text)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); d != "" {
		t.Error(d)
	}
}

// TestCapturesLoseNothing counts, in the bare XML and JSON, what we claim to understand.
func TestCapturesLoseNothing(t *testing.T) {
	seen := map[string]int{}
	for file, all := range everything(t) {
		for _, l := range all {
			if l.e == nil {
				continue
			}
			name, what := understood(l.e)
			seen[name]++
			var want, got []string
			switch v := what.(type) {
			case *jingle.Message:
				want, got = bareJingle(l.e), factsOf(v)
			case meetxml.Occupant:
				want, got = bareOccupant(l.e), occupantFacts(v)
			}
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s %v (-said +read): %s", file, l.at, d)
			}
		}
	}
	for name, least := range map[string]int{"occupant": 90, "jingle": 50, "conference": 9, "dial": 8, "ref": 2} {
		if seen[name] < least {
			t.Errorf("only %d of %s", seen[name], name)
		}
	}
}

// walk calls f for e and all under it.
func walk(e *stanza.Elem, f func(e, parent *stanza.Elem)) {
	for _, k := range e.Kids {
		f(k, e)
		walk(k, f)
	}
}

func bareJingle(iq *stanza.Elem) (facts []string) {
	var transport *stanza.Elem
	audio := func(content *stanza.Elem) bool {
		return content.Get("name") == "audio" || content.Kid("", "description").Get("media") == "audio"
	}
	for _, c := range iq.Kid("", "jingle").All("", "content") {
		if transport == nil {
			transport = c.Kid("", "transport")
		}
		if !audio(c) {
			continue
		}
		walk(c, func(e, parent *stanza.Elem) {
			switch e.Name.Local {
			case "payload-type":
				facts = append(facts, "payload "+e.Get("id")+" "+e.Get("name"))
			case "rtp-hdrext":
				facts = append(facts, "ext "+e.Get("id")+" "+e.Get("uri"))
			case "source":
				if parent.Name.Local == "description" {
					facts = append(facts, "source "+e.Get("ssrc")+" "+e.Get("name"))
				}
			case "parameter":
				if e.Get("name") == "msid" {
					facts = append(facts, "msid "+e.Get("value"))
				}
			case "ssrc-info":
				facts = append(facts, "owner "+e.Get("owner")[strings.LastIndex(e.Get("owner"), "/")+1:])
			}
		})
	}
	facts = append(facts, bareTransport(transport)...)
	walk(iq.Kid("", "jingle"), func(e, parent *stanza.Elem) {
		switch {
		case e.Name.Local == "bridge-session":
			facts = append(facts, "bridge "+e.Get("id"))
		case e.Name.Local == "ice-state":
			facts = append(facts, "ice-state "+e.Text)
		case parent.Name.Local == "reason" && e.Name.Local != "text":
			facts = append(facts, "reason "+e.Name.Local)
		case parent.Name.Local == "reason":
			facts = append(facts, "text "+e.Text)
		case e.Name.Local == "json-message":
			facts = append(facts, bareJSON(e.Text)...)
		}
	})
	return facts
}

func bareTransport(transport *stanza.Elem) (facts []string) {
	if transport == nil {
		return nil
	}
	facts = append(facts, "ice "+transport.Get("ufrag")+" "+transport.Get("pwd"))
	walk(transport, func(e, _ *stanza.Elem) {
		switch e.Name.Local {
		case "candidate":
			facts = append(facts, strings.Join([]string{"candidate", e.Get("id"), e.Get("type"), e.Get("ip"), e.Get("port"), e.Get("priority")}, " "))
		case "fingerprint":
			facts = append(facts, "fingerprint "+e.Get("hash")+" "+e.Get("setup")+" "+e.Text)
		case "web-socket":
			facts = append(facts, "socket "+e.Get("url"))
		case "rtcp-mux":
			facts = append(facts, "mux")
		}
	})
	return facts
}

func bareJSON(text string) (facts []string) {
	var msg struct {
		Sources map[string][]any `json:"sources"`
	}
	if json.Unmarshal([]byte(text), &msg) != nil {
		return []string{"no JSON: " + text}
	}
	for owner, lists := range msg.Sources {
		if len(lists) < 3 {
			continue
		}
		for _, one := range lists[2].([]any) {
			src := one.(map[string]any)
			facts = append(facts, "source "+strconv.FormatFloat(src["s"].(float64), 'f', 0, 64)+" "+fmt.Sprint(src["n"]), "owner "+owner)
			if src["m"] != nil {
				facts = append(facts, "msid "+src["m"].(string))
			}
		}
	}
	return facts
}

func factsOf(m *jingle.Message) (facts []string) {
	for _, p := range m.Payloads {
		facts = append(facts, fmt.Sprintf("payload %d %s", p.ID, p.Name))
	}
	for _, uri := range slices.Collect(maps.Keys(m.Exts)) {
		facts = append(facts, fmt.Sprintf("ext %d %s", m.Exts[uri], uri))
	}
	for _, s := range m.Sources {
		facts = append(facts, fmt.Sprintf("source %d %s", s.SSRC, s.Name))
		if s.Owner != "" {
			facts = append(facts, "owner "+s.Owner)
		}
		if s.MSID != "" {
			facts = append(facts, "msid "+s.MSID)
		}
	}
	if tr := m.Transport; tr != nil {
		facts = append(facts, "ice "+tr.Ufrag+" "+tr.Pwd)
		for _, c := range tr.Candidates {
			facts = append(facts, fmt.Sprintf("candidate %s %s %s %d %d", c.ID, c.Type, c.IP, c.Port, c.Priority))
		}
		for _, f := range tr.Fingerprints {
			facts = append(facts, "fingerprint "+f.Hash+" "+f.Setup+" "+f.Value)
		}
		for _, w := range tr.WebSockets {
			facts = append(facts, "socket "+w)
		}
		if tr.RTCPMux {
			facts = append(facts, "mux")
		}
	}
	for name, v := range map[string]string{"bridge": m.BridgeSession, "ice-state": m.ICEState, "reason": m.Reason, "text": m.Text} {
		if v != "" {
			facts = append(facts, name+" "+v)
		}
	}
	return facts
}

func bareOccupant(p *stanza.Elem) (facts []string) {
	walk(p, func(e, parent *stanza.Elem) {
		switch {
		case e.Name.Local == "item" && e.Name.Space == meetxml.NSMUCUser:
			facts = append(facts, "jid "+e.Get("jid")+" "+e.Get("role")+" "+e.Get("affiliation"))
		case e.Name.Local == "status" && parent.Name.Local == "x":
			facts = append(facts, "status "+e.Get("code"))
		case e.Name.Local == "nick":
			facts = append(facts, "name "+e.Text)
		case e.Name.Local == "actor":
			facts = append(facts, "actor "+e.Get("nick"))
		case e.Name.Local == "reason":
			facts = append(facts, "reason "+e.Text)
		case e.Name.Local == "bridgeNotAvailable":
			facts = append(facts, "no bridge")
		}
	})
	if p.Get("type") == "unavailable" {
		facts = append(facts, "gone")
	}
	return facts
}

func occupantFacts(o meetxml.Occupant) (facts []string) {
	if o.Role != "" {
		facts = append(facts, "jid "+o.JID.String()+" "+o.Role+" "+o.Affiliation)
	}
	for _, c := range o.Codes {
		facts = append(facts, fmt.Sprint("status ", c))
	}
	for name, v := range map[string]string{"name": o.Name, "actor": o.Actor, "reason": o.Reason} {
		if v != "" {
			facts = append(facts, name+" "+v)
		}
	}
	if o.NoBridge {
		facts = append(facts, "no bridge")
	}
	if o.Gone {
		facts = append(facts, "gone")
	}
	return facts
}

// TestCapturesWithStrangers: elements and attributes that nobody knows, and another order of attributes, change nothing.
func TestCapturesWithStrangers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for file, all := range everything(t) {
		for _, l := range all {
			if l.e == nil {
				continue
			}
			name, want := understood(l.e)
			if name == "" {
				continue
			}
			odd := l.e.Clone()
			change := func(e *stanza.Elem) {
				e.Set("no-such-attribute", "<&'\u202e")
				r.Shuffle(len(e.Attr), func(i, k int) { e.Attr[i], e.Attr[k] = e.Attr[k], e.Attr[i] })
				e.Add(stanza.New("urn:nobody:knows", "stranger", "name", "x").WithText("x"))
			}
			walk(odd, func(e, _ *stanza.Elem) {
				if e.Name.Space != "urn:nobody:knows" {
					change(e)
				}
			})
			change(odd)
			if again, got := understood(odd); again != name || !reflect.DeepEqual(want, got) {
				t.Errorf("%s %v: %s", file, l.at, cmp.Diff(want, got))
			}
		}
	}
}
