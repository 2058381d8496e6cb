package exchange_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/leg"
	"jigasi/internal/stanza"
	"jigasi/internal/testleg"
)

// seat is a scripted seat that knows where it sits.
type seat struct {
	moved atomic.Pointer[stanza.JID]
	*testleg.Seat
	joined chan struct{}
	place  exchange.Place
}

func (s *seat) Joined() <-chan struct{} { return s.joined }
func (s *seat) Occupant() stanza.JID {
	if at := s.moved.Load(); at != nil {
		return *at
	}
	return s.place.Room.With(s.place.Nick)
}

func (s *seat) Members() int { return 2 }

type bench struct {
	x       *exchange.Exchange
	seats   chan *seat
	phones  chan *testleg.Phone
	records chan exchange.Record
	changes atomic.Int32
}

func newBench(o exchange.Options) *bench {
	b := &bench{seats: make(chan *seat, 100), phones: make(chan *testleg.Phone, 100), records: make(chan exchange.Record, 100)}
	o.Rules = exchange.Rules{Headers: exchange.DefaultHeaders(), DomainBase: "meet.example.com"}
	o.Sit = func(_ context.Context, p exchange.Place) exchange.Seat {
		s := &seat{Seat: testleg.NewSeat(1000), joined: make(chan struct{}), place: p}
		b.seats <- s
		return s
	}
	o.Dial = func(context.Context, exchange.Request, exchange.Place) (leg.Phone, error) {
		p := testleg.NewPhone(400)
		b.phones <- p
		return p, nil
	}
	o.Ended = func(d exchange.Detail) { b.records <- d.Record }
	o.Changed = func() { b.changes.Add(1) }
	b.x = exchange.New(o)
	return b
}

// caller dials in to room; what it is refused with goes to refused.
func (b *bench) caller(room string, refused chan cause.Cause) exchange.Caller {
	return exchange.Caller{
		ID: "id", User: "+4930123456", Name: "Alice",
		Header: func(name string) string {
			if name == "X-Room-Name" {
				return room
			}
			return ""
		},
		Accept: func(*slog.Logger) (leg.Phone, error) {
			p := testleg.NewPhone(400)
			b.phones <- p
			return p, nil
		},
		Refuse: func(c cause.Cause) { refused <- c },
	}
}

func (b *bench) up(s *seat, p *testleg.Phone) {
	close(s.joined)
	s.Script(leg.Ready, leg.Up)
	p.Script(leg.Up)
	synctest.Wait()
}

func TestIncomingCallIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(exchange.Options{})
		b.x.Incoming(b.caller("alpha", nil))
		p, s := <-b.phones, <-b.seats
		b.up(s, p)
		if got := b.x.Stats(); got.Calls != 1 || got.Conferences != 1 || got.Participants != 3 || got.Sizes[3] != 1 || got.Incoming != 1 {
			t.Errorf("stats %+v", got)
		}
		if all := b.x.Calls(); len(all) != 1 || all[0].State != call.Active || all[0].Peer != "+xxxxxxx456" {
			t.Errorf("calls %+v", all)
		}
		time.Sleep(time.Minute)
		p.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Normal}})
		r := <-b.records
		if r.Cause.Code != cause.Normal || r.Talking < time.Minute || r.Room.Local != "alpha" {
			t.Errorf("record %+v", r)
		}
		synctest.Wait()
		if got := b.x.Stats(); got.Calls != 0 || got.Ended != 1 || got.Failed != 0 {
			t.Errorf("stats afterwards %+v", got)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(exchange.Options{MaxCalls: 1})
		refused := make(chan cause.Cause, 1)
		b.x.Incoming(b.caller("", refused))
		if got := <-refused; got.Code != cause.NoRoom {
			t.Errorf("without a room: %v", got)
		}
		b.x.Incoming(b.caller("alpha", refused))
		b.x.Incoming(b.caller("alpha", refused))
		if got := <-refused; got.Code != cause.Full {
			t.Errorf("one too many: %v", got)
		}
		go b.x.Drain(t.Context())
		synctest.Wait()
		b.x.Incoming(b.caller("alpha", refused))
		if got := <-refused; got.Code != cause.Draining {
			t.Errorf("while draining: %v", got)
		}
		if err := b.x.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if r := <-b.records; r.Cause.Code != cause.Shutdown {
			t.Errorf("the running call ended with %v", r.Cause)
		}
	})
}

// TestAccountsHaveRules: a call by an account goes where that account's calls go.
func TestAccountsHaveRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := exchange.Rules{Headers: exchange.DefaultHeaders(), DomainBase: "other.example.org", MUCPrefixes: []string{"rooms"}, Anonymous: true}
		b := newBench(exchange.Options{ByAccount: map[string]exchange.Rules{"other": other}})
		for _, c := range []struct {
			account, room, domain string
			anonymous             bool
		}{
			{"", "alpha@conference.meet.example.com", "meet.example.com", false},
			{"first", "alpha@conference.meet.example.com", "meet.example.com", false},
			{"other", "alpha@rooms.other.example.org", "other.example.org", true},
		} {
			in := b.caller("alpha", make(chan cause.Cause, 1))
			in.Account = c.account
			b.x.Incoming(in)
			if p := (<-b.seats).place; p.Room.String() != c.room || p.Domain != c.domain || p.Anonymous != c.anonymous {
				t.Errorf("%q: %+v", c.account, p.Target)
			}
		}
		if err := b.x.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDialAnswersWhenTheRoomIsEntered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(exchange.Options{})
		type answer struct {
			d   exchange.Dialled
			err error
		}
		got := make(chan answer, 1)
		dial := func() {
			d, err := b.x.Dial(t.Context(), exchange.Request{To: "+4930", Room: "alpha@conference.meet.example.com"})
			got <- answer{d, err}
		}
		go dial()
		s, p := <-b.seats, <-b.phones
		synctest.Wait()
		close(s.joined)
		a := <-got
		if a.err != nil || !a.d.Occupant.Equal(s.Occupant()) {
			t.Fatalf("Dial = %+v, %v", a.d, a.err)
		}
		s.Script(leg.Ready, leg.Up)
		synctest.Wait()
		if p.Answered() != 1 {
			t.Error("the phone is not dialled when the meeting is ready")
		}
		elsewhere := stanza.ParseJID("alpha@conference.meet.example.com/00000000") // another seat, which the asker does not know of
		s.moved.Store(&elsewhere)
		if !b.x.HangupOccupant(a.d.Occupant, cause.Cause{Code: cause.Normal}) {
			t.Error("no call found at the address by which the dial was answered")
		}
		<-a.d.Done

		go dial() // a room that is never entered
		<-b.seats
		<-b.phones
		if a := <-got; cause.Of(a.err).Code != cause.Timeout {
			t.Errorf("Dial into a dead room = %v", a.err)
		}
		synctest.Wait()
		if n := b.x.Stats().Calls; n != 0 {
			t.Errorf("%d calls left that nobody knows of", n)
		}
	})
}

// TestDialLimits: what one room, one minute and one call may cost.
func TestDialLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(exchange.Options{Dialling: exchange.DialLimits{PerRoom: 2, PerMinute: 4, Longest: 3 * time.Minute}})
		var ends []*testleg.Phone
		dial := func(room string) error {
			go func() {
				select {
				case s := <-b.seats:
					p := <-b.phones
					ends = append(ends, p)
					b.up(s, p)
				case <-time.After(time.Second):
				}
			}()
			_, err := b.x.Dial(t.Context(), exchange.Request{To: "+491", Room: room})
			time.Sleep(2 * time.Second)
			return err
		}
		for i, c := range []struct {
			room string
			want cause.Code
		}{{"alpha", cause.Normal}, {"alpha", cause.Normal}, {"alpha", cause.Full}, {"beta", cause.Normal}, {"beta", cause.Normal}, {"gamma", cause.Full}} {
			if err := dial(c.room); (err == nil) != (c.want == cause.Normal) || err != nil && cause.Of(err).Code != c.want {
				t.Errorf("call %d: %v, want %v", i, err, c.want)
			}
		}
		time.Sleep(time.Minute)
		ends[0].Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Normal}})
		synctest.Wait()
		if err := dial("alpha"); err != nil {
			t.Errorf("after the minute, and the end of a call: %v", err)
		}
		if err := dial("alpha"); cause.Of(err).Code != cause.Full {
			t.Errorf("a third phone of the room: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if n := len(b.x.Calls()); n != 0 {
			t.Errorf("%d calls last longer than the longest", n)
		}
		for range 5 {
			<-b.records
		}
		if err := dial("alpha"); err != nil {
			t.Errorf("when all is over: %v", err)
		}
		_ = b.x.Close(t.Context())
	})
}

// TestCallsPlacedAtOnce: of all rooms together no more calls go on than dial_out.at_once; calls of phones do not count.
func TestCallsPlacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(exchange.Options{Dialling: exchange.DialLimits{AtOnce: 2}})
		b.x.Incoming(b.caller("alpha", nil))
		b.up(<-b.seats, <-b.phones)
		var placed []*testleg.Phone
		dial := func(room string) error {
			go func() {
				select {
				case s := <-b.seats:
					p := <-b.phones
					placed = append(placed, p)
					b.up(s, p)
				case <-time.After(time.Second):
				}
			}()
			_, err := b.x.Dial(t.Context(), exchange.Request{To: "+491", Room: room})
			time.Sleep(2 * time.Second)
			return err
		}
		for i, room := range []string{"alpha", "beta", "gamma"} {
			err := dial(room)
			if full := i == 2; full != (cause.Of(err).Code == cause.Full) || full != (err != nil) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		placed[0].Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Busy}})
		<-b.records
		synctest.Wait()
		if err := dial("gamma"); err != nil {
			t.Errorf("when one has ended: %v", err)
		}
		_ = b.x.Close(t.Context())
	})
}

// T54: while the machine is too busy, new calls are refused with 503, in and out, and the running ones go on.
func TestT54_OverloadIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		b := newBench(exchange.Options{Overloaded: func() string {
			if busy.Load() {
				return "too busy"
			}
			return ""
		}})
		refused := make(chan cause.Cause, 1)
		b.x.Incoming(b.caller("alpha", refused))
		p, s := <-b.phones, <-b.seats
		b.up(s, p)
		busy.Store(true)
		b.x.Incoming(b.caller("beta", refused))
		if got := <-refused; got.Code != cause.Full || got.Status != 503 || got.Text != "too busy" {
			t.Errorf("refused with %+v", got)
		}
		if _, err := b.x.Dial(t.Context(), exchange.Request{To: "sip:1@x", Room: "gamma"}); cause.Of(err).Code != cause.Full {
			t.Errorf("a dial says %v", err)
		}
		if all := b.x.Calls(); len(all) != 1 || all[0].State != call.Active {
			t.Errorf("calls %+v", all)
		}
		busy.Store(false)
		b.x.Incoming(b.caller("beta", refused))
		second, seat := <-b.phones, <-b.seats
		b.up(seat, second)
		for _, phone := range []*testleg.Phone{p, second} {
			phone.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Normal}})
			<-b.records
		}
	})
}
