package siptx

import (
	"sync"

	"github.com/emiago/sipgo/sip"
)

// An Answer is a final response: to which method, by whom, and with which status; 408 is also none at all.
type Answer struct {
	Method string // of those that are known, or other
	Out    bool   // the request was ours
	Status int
}

// tally counts answers. Its size is bounded by the known methods and the statuses there are.
type tally struct {
	mu   sync.Mutex
	seen map[Answer]int64
}

var counted = map[sip.RequestMethod]bool{
	sip.INVITE: true, sip.BYE: true, sip.REGISTER: true, sip.OPTIONS: true, sip.INFO: true, sip.UPDATE: true, sip.PRACK: true, sip.REFER: true, sip.NOTIFY: true,
	sip.SUBSCRIBE: true, sip.MESSAGE: true, sip.PUBLISH: true,
}

func (t *tally) add(m sip.RequestMethod, out bool, status int) {
	a := Answer{"other", out, min(max(status, 200), 699)}
	if counted[m] {
		a.Method = string(m)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[Answer]int64{}
	}
	t.seen[a]++
}

// Answers are how many requests were answered how, both ways.
func (l *Layer) Answers() map[Answer]int64 {
	l.tally.mu.Lock()
	defer l.tally.mu.Unlock()
	out := make(map[Answer]int64, len(l.tally.seen))
	for a, n := range l.tally.seen {
		out[a] = n
	}
	return out
}
