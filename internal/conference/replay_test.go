package conference

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"

	"github.com/google/go-cmp/cmp"
)

// TestReplay has a session live through what a real Jicofo and Prosody sent to participants of all
// kinds, at its times, and wants it to say what those said and were understood with.
func TestReplay(t *testing.T) {
	for name, all := range everything(t) {
		if strings.HasPrefix(name, "g-") {
			continue // dial-out: package control
		}
		for i, life := range lives(all) {
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) { relive(t, life) })
		}
	}
}

// lives cuts a capture into what happened between coming and leaving, as one nick in one room.
func lives(all []line) [][]line {
	var out [][]line
	from := 0
	for i, l := range all {
		if i < len(all)-1 && (l.e == nil || l.dir != "SEND" || kind(l.e) != "leave") {
			continue
		}
		if life := all[from : i+1]; slices.ContainsFunc(life, joins) {
			out = append(out, life)
		}
		from = i + 1
	}
	return out
}

func joins(l line) bool { return l.e != nil && l.dir == "SEND" && kind(l.e) == "join" }

// A replayed stage knows the script and what of it has been used.
type replayed struct {
	*stage
	script []line
	used   map[int]bool
	began  time.Time
	asked  map[string]string // id of a request of theirs -> kind
	offers int
	events []Kind
	ours   []*stanza.Elem
}

func relive(t *testing.T, script []line) {
	join := script[slices.IndexFunc(script, joins)].e
	seat := stanza.ParseJID(join.Get("to"))
	r := &replayed{script: script, used: map[int]bool{}, asked: map[string]string{}}
	set := func(o *Options) {
		o.Room, o.Nick, o.Focus, o.Mute = seat.Bare(), seat.Resource, stanza.ParseJID(focusI), true
	}
	play(t, set, func(s *stage) {
		r.stage, r.began = s, time.Now().Add(-script[0].at)
		s.answers(r.answer)
		s.next()
		for _, l := range script {
			if l.dir == "RECV" && l.e.Get("to") != "" {
				s.jid = stanza.ParseJID(l.e.Get("to"))
				break
			}
		}
		for _, l := range script {
			time.Sleep(time.Until(r.began.Add(l.at)))
			synctest.Wait()
			r.drain()
			if len(s.links) > 0 {
				break // it left the dead end in which the participant stayed
			}
			r.line(l)
		}
		r.judge()
	})
}

// line plays one line of the script.
func (r *replayed) line(l line) {
	switch {
	case l.e == nil || l.e.Name.Space != "jabber:client":
	case l.dir == "RECV":
		switch typ := l.e.Get("type"); {
		case l.e.Name.Local == "iq" && (typ == "result" || typ == "error"): // by answer
			return
		case l.e.Name.Local == "iq":
			r.asked[l.e.Get("id")] = kind(l.e)
		}
		taken := r.opt.Handler(l.e)
		if ours := l.e.Kid(jingle.NS, "jingle") != nil || l.e.Name.Local != "iq" || kind(l.e) == "mute"; taken != ours {
			r.t.Errorf("%v: taken: %v", l.e, taken)
		}
	case kind(l.e) == jingle.SessionTerminate:
		r.s.Restart("connectivity-error")
	case kind(l.e) == "leave":
		r.s.Leave(cause.Cause{Code: cause.Normal})
	}
	synctest.Wait()
	r.drain()
}

// drain does what an owner does, and keeps what the session says.
func (r *replayed) drain() {
	events := r.s.Events()
	for {
		select {
		case e, open := <-events:
			if !open {
				events = nil
				continue
			}
			r.events = append(r.events, e.Kind)
			switch e.Kind {
			case Offered:
				r.offers++
				r.s.Accept(e.Offer, ourTransport, jingle.Source{SSRC: ourSource.SSRC, Name: r.s.opt.Nick + "-a0", MSID: ourSource.MSID})
				synctest.Wait()
			case Over:
				r.ended = true
			}
		case e := <-r.sent:
			r.ours = append(r.ours, e)
		default:
			return
		}
	}
}

// answer gives what the request of that kind was answered with then, when it was.
func (r *replayed) answer(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	r.mu.Lock()
	id := ""
	for i, l := range r.script {
		if l.dir == "SEND" && l.e != nil && kind(l.e) == kind(iq) && !r.used[i] {
			r.used[i], id = true, l.e.Get("id")
			break
		}
	}
	r.mu.Unlock()
	for _, l := range r.script {
		if id != "" && l.dir == "RECV" && l.e != nil && l.e.Get("id") == id {
			time.Sleep(time.Until(r.began.Add(l.at)))
			if l.e.Get("type") == "error" {
				return l.e, xmpp.ErrorOf(l.e)
			}
			return l.e, nil
		}
	}
	return ready(ctx, iq) // it was not asked then
}

// judge compares what the session said with what the participant said.
func (r *replayed) judge() {
	t := r.t
	last := r.ours[len(r.ours)-1]
	gone := len(r.links) > 0
	var want, got []string
	for _, l := range r.script {
		if gone && r.began.Add(l.at).After(time.Now()) || l.dir != "SEND" || l.e == nil {
			continue
		}
		if k := kind(l.e); k != jingle.SessionTerminate || !r.refused(l.e.Get("id")) {
			want = append(want, r.brief(l.e)...)
		}
	}
	for _, e := range r.ours {
		if !gone || e != last { // leaving a dead end has no model
			got = append(got, r.brief(e)...)
		}
	}
	if !slices.ContainsFunc(want, func(s string) bool { return s == "conference" }) {
		want = append([]string{"conference"}, want...) // a second life of a participant needed no request
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("says (+) not what was understood then (-):\n%s", d)
	}
	left := func(l line) bool { return l.e != nil && l.dir == "SEND" && kind(l.e) == "leave" }
	if kind(last) != "leave" && (gone || slices.ContainsFunc(r.script, left)) {
		t.Errorf("the last it says is %v", last)
	}
	r.judgeAccepts()
	muted := false
	for _, k := range r.asked {
		muted = muted || k == "mute"
	}
	shown := slices.ContainsFunc(r.ours, func(e *stanza.Elem) bool {
		return kind(e) == "presence" && e.Kid("", "audiomuted") != nil && e.Kid("", "audiomuted").Text == "true"
	})
	if muted != shown {
		t.Errorf("muted by the room: %v, shown to it: %v", muted, shown)
	}
}

// refused reports whether a request of the participant was answered by an error then.
func (r *replayed) refused(id string) bool {
	return slices.ContainsFunc(r.script, func(l line) bool {
		return l.e != nil && l.dir == "RECV" && l.e.Get("id") == id && l.e.Get("type") == "error"
	})
}

// judgeAccepts: each session-accept has what that of the participant has, in our own numbers.
func (r *replayed) judgeAccepts() {
	var theirs, mine []*jingle.Message
	collect := func(e *stanza.Elem, to *[]*jingle.Message) {
		if e != nil && kind(e) == jingle.SessionAccept {
			m, err := jingle.Parse(e)
			if err != nil {
				r.t.Fatal(err)
			}
			*to = append(*to, m)
		}
	}
	for _, l := range r.script {
		if l.dir == "SEND" {
			collect(l.e, &theirs)
		}
	}
	for _, e := range r.ours {
		collect(e, &mine)
	}
	if len(mine) != len(theirs) || len(mine) != r.offers {
		r.t.Fatalf("%d sessions accepted, %d offered, %d then", len(mine), r.offers, len(theirs))
	}
	for i, m := range mine {
		w := theirs[i]
		opus := func(m *jingle.Message) jingle.Payload {
			for _, p := range m.Payloads {
				if p.Name == "opus" {
					return jingle.Payload{ID: p.ID, Name: p.Name, Clockrate: p.Clockrate, Channels: p.Channels}
				}
			}
			return jingle.Payload{}
		}
		if m.SID != w.SID || m.Responder != w.Responder || m.Exts[jingle.LevelURI] != w.Exts[jingle.LevelURI] || !cmp.Equal(opus(m), opus(w)) ||
			m.Transport == nil || m.Transport.Fingerprints[0].Setup != "active" || !m.Transport.RTCPMux ||
			len(m.Sources) != 1 || m.Sources[0].Name != r.s.opt.Nick+"-a0" || m.Sources[0].MSID == "" {
			r.t.Errorf("accepts by\n%+v, then\n%+v", m, w)
		}
	}
}

// brief names what of a stanza has to be the same; nothing for what belongs to the connection or to a
// participant of another kind.
func (r *replayed) brief(e *stanza.Elem) []string {
	switch k := kind(e); k {
	case "conference", "join", "leave", jingle.SessionAccept:
		return []string{k}
	case jingle.SessionTerminate:
		m, err := jingle.Parse(e)
		if err != nil {
			r.t.Fatal(err)
		}
		return []string{fmt.Sprint(k, m.SID, m.Reason, m.BridgeSession, m.Restart)}
	case "result", "error":
		if asked := r.asked[e.Get("id")]; asked != "" && asked != "get" && asked != "set" {
			return []string{k + " to " + e.Get("to") + " " + e.Get("id")}
		}
	}
	return nil
}

// TestCaptureFeatures: what the participants of the captures announced and had an effect, we announce too.
func TestCaptureFeatures(t *testing.T) {
	have := meetxml.Features()
	for _, f := range []string{
		"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:jingle:apps:dtls:0",
		"urn:ietf:rfc:5761", "urn:ietf:rfc:5888", "http://jitsi.org/json-encoded-sources", "http://jitsi.org/source-name",
	} {
		if !slices.Contains(have, f) {
			t.Errorf("%s is missing", f)
		}
	}
	for _, f := range []string{ // each would bring an offer that a phone cannot meet
		"urn:xmpp:jingle:apps:rtp:video", "urn:xmpp:jingle:transports:dtls-sctp:1", "urn:ietf:rfc:4588", "http://jitsi.org/remb", "http://jitsi.org/tcc",
		"http://jitsi.org/opus-red", "http://jitsi.org/ssrc-rewriting-1", "https://jitsi.org/meet/e2ee",
	} {
		if slices.Contains(have, f) {
			t.Errorf("%s is announced", f)
		}
	}
}
