package exchange_test

import (
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/leg"
	"jigasi/internal/rayo"
)

// TestOneTranscriberInARoom: who asks for a transcriber while there is one, or one is on its way, is told of that one; the next
// comes when it has left, and limits on phones do not count it.
func TestOneTranscriberInARoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(exchange.Options{Dialling: exchange.DialLimits{PerRoom: 1, PerMinute: 1, Longest: time.Minute}})
		type answer struct {
			exchange.Dialled
			err error
		}
		answers := make(chan answer, 10)
		dial := func(room string) {
			go func() {
				d, err := b.x.Dial(t.Context(), exchange.Request{To: rayo.Transcribe, Room: room + "@conference.meet.example.com", Headers: []exchange.Header{{Name: "X-Who", Value: "u1"}}})
				answers <- answer{d, err}
			}()
			synctest.Wait()
		}
		dial("alpha")
		s, p := <-b.seats, <-b.phones
		dial("alpha")
		if len(b.seats) != 0 || !s.place.Transcriber || s.place.Name != "Transcriber" || len(s.place.Headers) != 1 {
			t.Fatalf("%d more seats; %+v", len(b.seats), s.place)
		}
		b.up(s, p)
		first, second := <-answers, <-answers
		dial("alpha")
		if third := <-answers; first.err != nil || second.err != nil || third.Occupant != s.Occupant() || first.ID != second.ID || first.ID != third.ID {
			t.Errorf("%+v, %+v, %+v", first, second, third)
		}
		dial("beta")
		other, otherPhone := <-b.seats, <-b.phones
		b.up(other, otherPhone)
		<-answers
		time.Sleep(2 * time.Minute) // longer than a phone may talk
		if c := b.x.Calls(); len(c) != 2 || c[0].State != call.Active {
			t.Fatalf("%+v", c)
		}
		s.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Normal, Text: "nobody wants it"}})
		<-b.records
		synctest.Wait()
		dial("alpha")
		next, nextPhone := <-b.seats, <-b.phones
		next.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Busy, Text: "another one is there"}})
		<-b.records
		if a := <-answers; cause.Of(a.err).Code != cause.Busy || nextPhone.Answered() != 0 {
			t.Errorf("%+v", a)
		}
		dial("alpha")
		last, lastPhone := <-b.seats, <-b.phones
		b.up(last, lastPhone)
		if a := <-answers; a.err != nil || a.Occupant != last.Occupant() {
			t.Errorf("%+v", a)
		}
		if err := b.x.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
