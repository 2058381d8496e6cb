package leg

import "sync/atomic"

// Counts are what the legs of a process count for statistics. They only grow; legs that share one count into it
// together.
type Counts struct {
	Quiet       atomic.Int64 // times that a phone fell silent
	QuietCalls  atomic.Int64 // phones that did
	NoHeartbeat atomic.Int64 // phones given up because they answered no heartbeat

	LoginFailed atomic.Int64 // seats that could not log in, once or more
	Waited      atomic.Int64 // seats that lost the meeting, once or more
	Returned    atomic.Int64 // and were in it again
	Moved       atomic.Int64 // times that the focus moved a session to another bridge
	Unheard     atomic.Int64 // seats whose bridge never answered
	People      atomic.Int64 // people met in the rooms of seats that are over
}
