package xmpp

import "sync/atomic"

// Counts are what was dropped or refused, summed over all connections that are given the same. They only grow.
type Counts struct {
	Strays     atomic.Int64 // answers nobody asked for, or from somebody else
	Oversize   atomic.Int64 // stanzas larger than the limits, passed over
	Malformed  atomic.Int64 // IQs without id, of no type, or with other than one child
	Unanswered atomic.Int64 // requests left without an answer, because too much waited already
	Unknown    atomic.Int64 // requests that nobody here knows
	Broken     atomic.Int64 // connections that ended because their XML could not be read, or was too much at once
	Full       atomic.Int64 // members and streams of a room beyond those that there may be
	Forbidden  atomic.Int64 // requests of somebody who may not, out of order, or that could not be read, refused by our seat
}
