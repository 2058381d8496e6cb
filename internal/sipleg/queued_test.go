package sipleg_test

import (
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/news"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

// TestMessagesWaitForTheDialog: what happens in the meeting while a phone rings is told, in its order, once the call is up; and a phone
// that refuses the first message gets no other.
func TestMessagesWaitForTheDialog(t *testing.T) {
	t.Parallel()
	for _, refuses := range []bool{false, true} {
		r := newRig(t)
		d := r.dial(describe(40000))
		l, err := sipleg.Accept(r.call(), r.opt)
		if err != nil {
			t.Fatal(err)
		}
		legEvent(t, l, phase(leg.Ready))
		for _, item := range []news.Item{news.ModerationOn, news.MayUnmute, news.MayNotUnmute} {
			l.Send(leg.News{Item: item})
		}
		l.Send(leg.Mute{On: true, ID: "m"})
		l.Answer()
		legEvent(t, l, phase(leg.Up))
		want := []string{`{"t":8,"d":true}`, `{"t":9}`, `{"t":10}`, `{"type":"muteRequest","data":{"audio":true},"id":"m"}`}
		status := 200
		if refuses {
			status = 415
		}
		up, got := false, 0
		for e := range d.Events() {
			switch {
			case e.Kind == sip.Answered:
				up = true
			case e.Kind == sip.Info:
				if !up || got >= len(want) || string(e.Body) != want[got] {
					t.Errorf("message %d: %s, answered before: %v", got, e.Body, up)
				}
				e.Reply(status, nil)
				if got++; got == 4 { // all that waited were sent together
					time.Sleep(200 * time.Millisecond) // the answers come back
					l.Send(leg.News{Item: news.ModerationOff})
					l.Send(leg.Muted{ID: "last"})
					go func() { _ = l.Hangup(t.Context(), cause.Cause{Code: cause.Normal}) }()
					want = append(want, `{"t":8,"d":false}`, `{"type":"muteResponse","data":{"audio":false},"id":"last","status":"FAILED"}`)
				}
			}
		}
		if !refuses && got != len(want) || refuses && got >= len(want) {
			t.Errorf("refuses: %v, %d messages came", refuses, got)
		}
		over(t, l, cause.Normal)
	}
}
