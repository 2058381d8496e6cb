package conference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// A world is a server, a focus and a bridge that come and go, each as the real ones were seen to.
type world struct {
	*stage
	up, focus, bridge, member bool
	forgotten                 bool // the focus does not invite us again before we join again (real.md 22)
	joined                    bool
	n                         int
	session, accepted         string
	log                       []string
	over                      *Event
}

func (w *world) note(format string, a ...any) {
	w.log = append(w.log, fmt.Sprintf("%v ", time.Since(epoch).Round(time.Millisecond))+fmt.Sprintf(format, a...))
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when virtual time begins

// request answers what the session asks for.
func (w *world) request(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	w.mu.Lock()
	there := w.focus
	w.mu.Unlock()
	if !there {
		return nil, &xmpp.Error{Type: "cancel", Condition: "service-unavailable"}
	}
	return ready(ctx, iq)
}

// turn does all that is due on the side of the server.
func (w *world) turn() {
	for synctest.Wait(); ; synctest.Wait() {
		select {
		case l := <-w.links:
			w.fakeLink, w.joined, w.session = l, false, ""
		case e := <-w.s.Events():
			if e.Kind == Offered {
				w.s.Accept(e.Offer, ourTransport, ourSource)
			} else if e.Kind == Over {
				w.over = &e
				return
			}
		default:
			if w.fakeLink == nil || len(w.sent) == 0 {
				w.invite()
				return
			}
			w.take(<-w.sent)
		}
	}
}

func (w *world) take(e *stanza.Elem) {
	switch kind(e) {
	case "join":
		w.joined, w.session, w.forgotten = true, "", false
		w.show()
		if w.member {
			w.here(anna)
		}
		w.self()
	case "leave":
		w.joined, w.session = false, ""
	case jingle.SessionTerminate:
		w.session = ""
	case jingle.SessionAccept:
		w.accepted = e.Kid(jingle.NS, "jingle").Get("sid")
	}
}

// show is the presence of the focus.
func (w *world) show() {
	switch {
	case !w.joined || !w.focus:
	case w.bridge:
		w.focusHere()
	default:
		w.focusHere(noBridge)
	}
}

func (w *world) invite() {
	if w.up && w.joined && w.focus && w.bridge && w.member && w.session == "" && !w.forgotten {
		w.n++
		w.session = fmt.Sprint("s", w.n)
		w.say(ask("session-initiate", w.session, offer(annas)))
	}
}

// terminate ends the session from the side of the focus.
func (w *world) terminate(reason string) {
	if w.session != "" && w.joined {
		w.say(ask("session-terminate", w.session, "<reason><"+reason+"/></reason>"))
		w.session = ""
	}
}

// strike has one thing go wrong, or right.
func (w *world) strike(r *rand.Rand) {
	op := r.IntN(9)
	w.note("op %d (up %v, focus %v, bridge %v, member %v, joined %v, session %q)", op, w.up, w.focus, w.bridge, w.member, w.joined, w.session)
	switch op {
	case 0:
		w.setFocus(!w.focus)
	case 1:
		w.setBridge(!w.bridge)
	case 2:
		w.setMember(!w.member)
	case 3: // the connection breaks, and may come again
		w.up = r.IntN(2) == 0
		w.reachable()
		if w.fakeLink != nil {
			w.cut(errDown)
		}
		w.joined, w.session = false, ""
	case 4:
		w.up = true
		w.reachable()
	case 5:
		w.terminate([]string{"success", "expired", "general-error"}[r.IntN(3)])
	case 6: // moved, and forgotten
		if w.session != "" {
			w.forgotten = true
			w.terminate("success")
		}
	case 7:
		w.s.Restart("connectivity-error")
	case 8: // put out by a fault of the server
		if w.joined {
			w.joined, w.session = false, ""
			w.gone("0cb96be6", "<item role='none'/>"+status("333", "110"))
		}
	}
}

func (w *world) reachable() {
	if w.up {
		w.connecting(nil)
	} else {
		w.connecting(errDown)
	}
}

func (w *world) setFocus(on bool) {
	w.mu.Lock()
	w.focus = on
	w.mu.Unlock()
	if on {
		w.show()
	} else if w.joined {
		w.session = ""
		w.gone("focus")
	}
}

func (w *world) setBridge(on bool) {
	w.bridge = on
	if !on {
		w.terminate("success")
	}
	w.show()
}

func (w *world) setMember(on bool) {
	w.member = on
	switch {
	case !w.joined:
	case on:
		w.here(anna)
	default:
		w.gone(anna)
	}
}

// TestWhateverHappensItTalksAgain: for 24 s everything goes wrong at random; soon after all is well, the seat
// has the session that the focus offers, and never has it given up.
func TestWhateverHappensItTalksAgain(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		play(t, nil, func(s *stage) {
			w := &world{stage: s, up: true, focus: true, bridge: true, member: true}
			s.answers(w.request)
			run := func(d time.Duration) {
				for end := time.Now().Add(d); time.Now().Before(end) && w.over == nil; time.Sleep(100 * time.Millisecond) {
					w.turn()
				}
			}
			run(3 * time.Second)
			for range 12 {
				w.strike(r)
				run(time.Duration(r.IntN(2000)) * time.Millisecond)
			}
			w.note("all is well")
			w.up = true
			w.reachable()
			w.setFocus(true)
			w.setBridge(true)
			w.setMember(true)
			run(2 * time.Minute)
			if w.over != nil {
				s.ended = true
				s.t.Fatalf("seed %d: ends: %v\n%s", seed, w.over.Cause, strings.Join(w.log, "\n"))
			}
			if w.session == "" || w.accepted != w.session {
				s.t.Fatalf("seed %d: offered %q, accepted %q\n%s", seed, w.session, w.accepted, strings.Join(w.log, "\n"))
			}
		})
	}
}
