package call

import "jigasi/internal/leg"

// A State is where the life of a call stands.
//
//	                seat Waiting              seat Ready
//	      +---------+ ------------> +---------+ ------+
//	new ->| Joining |               | Waiting |       |
//	      +---------+ <------------ +---------+       v
//	           |        let in             +-----------+
//	           +-------------------------->| Answering |
//	                    seat Ready         +-----------+
//	                                             | both Up
//	      +-----------+   seat Moving  +--------+ <-+
//	      | Rejoining | <------------- | Active |
//	      +-----------+ -------------> +--------+
//	           |          both Up         |
//	           |  a leg Over, hang-up, ctx done, a deadline: from every state
//	           v                          v
//	      +----------+  read or heard  +--------+  both Over  +-------+
//	      | Farewell | --------------> | Ending | ----------> | Ended |
//	      +----------+                 +--------+             +-------+
type State uint8

// The states of a call.
const (
	Joining   State = iota // the seat is being taken
	Waiting                // held up by people
	Answering              // the meeting is ready, both legs are going up
	Active                 // sound flows
	Rejoining              // the phone is up, the meeting is lost for now
	Farewell               // one side is gone and the other is told why
	Ending                 // both legs are told to end
	Ended                  // nothing is left
	states
)

// String is the state's name in lower case.
func (s State) String() string {
	return [...]string{
		"joining", "waiting", "answering", "active", "rejoining", "farewell", "ending", "ended", "?",
	}[min(s, states)]
}

// An action is what a transition asks of the call. None blocks.
type action uint8

const (
	answerPhone action = iota
	answerSeat
	overhear // the room hears what is played before a dialled phone is picked up
	connect
	disconnect
	showCause
	tellPhone
	hangupBoth
	finish
)

func (a action) String() string {
	return [...]string{
		"answer-phone", "answer-seat", "overhear", "connect", "disconnect", "show-cause", "tell-phone", "hangup-both", "finish",
	}[a]
}

// A view is all that next may know.
type view struct {
	phone, seat leg.Phase
	ended       bool // somebody asked for the end, or a deadline passed
	farewell    bool // the end is worth showing to the room
	tell        bool // the end is worth telling the phone, and the phone can hear it
	early       bool // the phone is answered now, to be told what it waits for
}

func (v view) bothOver() bool { return v.phone == leg.Over && v.seat == leg.Over }
func (v view) bothUp() bool   { return v.phone == leg.Up && v.seat == leg.Up }

// inRoom reports whether people can still read the phone's status.
func (v view) inRoom() bool { return v.seat != leg.Over && v.seat != leg.Trying }

// listening reports whether there is still somebody to be told why.
func (v view) listening() bool {
	return v.phone == leg.Over && v.farewell && v.inRoom() || v.seat == leg.Over && v.tell && v.phone != leg.Over
}

// next is the whole life of a call. It is pure: it reads no clock, does no I/O
// and takes no lock. v holds the phases with the event already applied.
//
// The ends come first, so no state can forget one.
func next(s State, v view) (State, []action) {
	switch {
	case s == Ended:
		return Ended, nil
	case v.bothOver() && s >= Ending:
		return Ended, []action{finish}
	case v.bothOver():
		return Ended, []action{disconnect, hangupBoth, finish}
	case s == Ending:
		return Ending, nil
	case s == Farewell && !v.ended && v.listening():
		return Farewell, nil
	case s == Farewell:
		return Ending, []action{hangupBoth}
	case !v.ended && v.listening() && v.phone == leg.Over:
		return Farewell, []action{disconnect, showCause}
	case !v.ended && v.listening():
		return Farewell, []action{disconnect, answerPhone, tellPhone}
	case v.phone == leg.Over, v.seat == leg.Over, v.ended:
		return Ending, []action{disconnect, hangupBoth}
	}
	return alive(s, v)
}

// alive is next without the ends.
func alive(s State, v view) (State, []action) {
	switch s {
	case Joining, Waiting:
		switch {
		case v.seat == leg.Waiting && v.early:
			return Waiting, []action{answerPhone}
		case v.seat == leg.Waiting:
			return Waiting, nil
		case v.seat == leg.Ready:
			return Answering, []action{answerSeat, answerPhone}
		}
		return Joining, nil
	case Answering, Rejoining:
		switch {
		case v.bothUp():
			return Active, []action{connect}
		case v.seat == leg.Ready:
			return s, []action{answerSeat}
		case s == Answering && v.seat == leg.Up && v.phone == leg.Ringing:
			return s, []action{overhear}
		}
		return s, nil
	case Active:
		switch v.seat {
		case leg.Up:
			return Active, nil
		case leg.Ready: // moved, and the new session is already there
			return Rejoining, []action{disconnect, answerSeat}
		}
		return Rejoining, []action{disconnect}
	}
	return s, nil
}
