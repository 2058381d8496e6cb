package sip

import (
	"strconv"
	"sync"
	"time"

	"jigasi/internal/siptx"

	"github.com/emiago/sipgo/sip"
)

// A Rung is one message of a dialog. Repetitions of the transport are none.
type Rung struct {
	At   time.Time
	Out  bool   // we sent it
	What string // "INVITE", "180 INVITE"
}

// maxRungs bounds a ladder: the first and the last messages of a long call are kept.
const maxRungs = 80

// ladder is what was said in a dialog. It is safe for concurrent use.
type ladder struct {
	mu    sync.Mutex
	rungs []Rung
}

func (l *ladder) add(out bool, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rungs) == maxRungs {
		l.rungs = append(l.rungs[:maxRungs/2], l.rungs[maxRungs/2+1:]...)
	}
	l.rungs = append(l.rungs, Rung{time.Now(), out, what})
}

// request notes a request, and all that our transaction answers to it.
func (l *ladder) request(req *sip.Request, tx *siptx.Server) {
	method := string(req.Method)
	l.add(false, method)
	if tx != nil {
		tx.OnRespond(func(status int) { l.add(true, strconv.Itoa(status)+" "+method) })
	}
}

// response notes a response to a request of ours; nil means that none came.
func (l *ladder) response(method sip.RequestMethod, res *sip.Response) {
	if res == nil {
		l.add(false, "no answer to "+string(method))
		return
	}
	l.add(false, strconv.Itoa(res.StatusCode)+" "+string(method))
}

// Ladder gives the messages of the dialog so far.
func (d *Dialog) Ladder() []Rung {
	d.ladder.mu.Lock()
	defer d.ladder.mu.Unlock()
	return append([]Rung(nil), d.ladder.rungs...)
}
