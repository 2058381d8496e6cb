// Package control is how a focus reaches the gateway: the gateway shows itself
// in a brewery, a room of gateways, and is asked there by Rayo to call phones.
//
// A Brewery is one login and one room; Breweries holds those of the program.
// Each keeps itself in its room for ever: it connects, joins, tells its load,
// notices when it has been lost, and comes back. Who may dial is decided here
// (policy.go), what a dial becomes is for package exchange.
//
// Rayo's <end/> is not sent: it would be presence to an occupant of the room,
// which a room takes for a change of nick. How a call fares is shown by the
// presence of the phone in its meeting.
//
// A Brewery has one goroutine, and one more for each dial that is not answered
// yet; Close waits for them.
package control

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
	"jigasi/internal/xmpp"
)

// Options makes a Brewery. Account, Room, Stats and Dial are required.
type Options struct {
	Account xmpp.Options // Handler is set here; Caps, Resource and Software may be
	Room    stanza.JID   // the brewery, bare
	Nick    string       // "" means the bound resource, which some servers rely on
	Focus   Focus        // who may dial

	Rules *exchange.Rules // rooms of this account's calls; nil means the exchange's
	BOSH  string          // URL pattern of this account's calls

	Stats  func() Stats
	Dial   func(context.Context, exchange.Request) (exchange.Dialled, error)
	Hangup func(occupant stanza.JID, why cause.Cause) bool // nil: hangup is refused

	AnswerLimit time.Duration // within which a dial is answered or given up; 0 means 13 s: the focus waits 15
	Log         *slog.Logger

	connect func(context.Context, xmpp.Options) (link, error)
}

// A link is what a Brewery needs of *xmpp.Conn.
type link interface {
	JID() stanza.JID
	Send(*stanza.Elem) error
	Request(context.Context, *stanza.Elem) (*stanza.Elem, error)
	Reply(iq, payload *stanza.Elem) error
	ReplyError(iq *stanza.Elem, typ, condition, text string, more ...*stanza.Elem) error
	Done() <-chan struct{}
	Err() error
	Close(context.Context) error
}

// A State is how far a Brewery has come.
type State uint8

// The states.
const (
	Offline State = iota // not connected; trying
	Joining              // connected, not in the room yet
	Joined
	Closed
)

// String is the state in lower case.
func (s State) String() string { return [...]string{"offline", "joining", "joined", "closed"}[s&3] }

// Status is what a Brewery tells about itself, for health, metrics and REST.
type Status struct {
	State    State
	Since    time.Time // of State
	Err      error     // what keeps it from being Joined; nil if it is
	JID      stanza.JID
	Room     stanza.JID // the gateway's own occupant address, when joined
	Dials    int64      // accepted
	Refused  map[string]int64
	Restarts int64 // how often it had to join again
}

// A Brewery is one login in one room of gateways. Its methods are safe for
// concurrent use.
type Brewery struct {
	o      Options
	cancel context.CancelFunc
	done   chan struct{}
	dirty  chan struct{} // holds one: the stats may have changed

	counts   [reasons]atomic.Int64
	dials    atomic.Int64
	restarts atomic.Int64
	waiting  atomic.Int64 // dials not answered yet
	running  sync.WaitGroup

	strangers xlog.Sometimes

	mu     sync.Mutex
	status Status
	calls  map[string]exchange.Dialled // dialled by this brewery, by id
}

// maxWaiting is how many dials may wait for their answer.
const maxWaiting = 128

const answerLimit = 13 * time.Second

func (o Options) check() error {
	switch {
	case o.Room.Local == "" || o.Room.Domain == "":
		return errors.New("the brewery's room is no room address: give room@internal-muc.DOMAIN")
	case o.Stats == nil || o.Dial == nil:
		return errors.New("control needs Stats and Dial")
	case o.Account.Anonymous && len(o.Focus.Allowed) == 0:
		// anybody can enter such a room, and be called focus in it
		return errors.New("an anonymous brewery needs the address of the focus")
	}
	return nil
}

// New starts to connect and returns at once.
func New(o Options) (*Brewery, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Room = o.Room.Bare()
	if o.AnswerLimit <= 0 {
		o.AnswerLimit = answerLimit
	}
	if o.Account.Resource == "" {
		o.Account.Resource = "jigasi-" + suffix()
	}
	if o.Account.Caps == nil {
		o.Account.Caps = caps
	}
	o.Log = xlog.Or(o.Log).With(xlog.Room, o.Room.Local)
	if o.connect == nil {
		o.connect = func(ctx context.Context, a xmpp.Options) (link, error) {
			c, err := xmpp.Dial(ctx, a)
			if err != nil { // not (*xmpp.Conn)(nil) in an interface
				return nil, err
			}
			return c, nil
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Brewery{
		o: o, cancel: cancel, done: make(chan struct{}), dirty: make(chan struct{}, 1),
		calls: map[string]exchange.Dialled{}, status: Status{Since: time.Now()},
	}
	go func() {
		defer close(b.done)
		b.run(ctx)
		b.running.Wait()
		b.set(Closed, nil, stanza.JID{}, stanza.JID{})
	}()
	return b, nil
}

// Changed says that Stats may differ. It does not block.
func (b *Brewery) Changed() {
	select {
	case b.dirty <- struct{}{}:
	default:
	}
}

// Status is how things stand.
func (b *Brewery) Status() Status {
	b.mu.Lock()
	s := b.status
	b.mu.Unlock()
	s.Dials, s.Restarts, s.Refused = b.dials.Load(), b.restarts.Load(), map[string]int64{}
	for r := range reasons {
		s.Refused[r.String()] = b.counts[r].Load()
	}
	return s
}

// Close leaves the room and disconnects, and waits for it or for ctx. Calls that were
// dialled go on.
func (b *Brewery) Close(ctx context.Context) error {
	b.cancel()
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Brewery) set(s State, err error, jid, room stanza.JID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status.State != s {
		b.status.State, b.status.Since = s, time.Now()
	}
	b.status.Err, b.status.JID, b.status.Room = err, jid, room
}

// run connects again and again. Reconnecting is quick and does not slow down
// much (T21: back within 10 s of the server); a refused login is tried once a minute.
func (b *Brewery) run(ctx context.Context) {
	wait := xmpp.Backoff{Max: 6 * time.Second}
	for {
		began := time.Now()
		err := b.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait.Reset()
		}
		pause := wait.Next()
		if _, refused := errors.AsType[*xmpp.AuthError](err); refused {
			pause += time.Minute
		}
		b.restarts.Add(1)
		b.o.Log.Warn("brewery offline", xlog.Err, err, "again_in", pause.Round(time.Millisecond).String())
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
}

// suffix makes names unique.
func suffix() string { return strings.ToLower(rand.Text()[:8]) }

// caps is what the gateway says about itself where the account does not.
func caps() xmpp.Caps {
	return xmpp.Caps{
		Node:       "https://jitsi.org/jigasi",
		Identities: []xmpp.Identity{{Category: "client", Type: "bot", Name: "jigasi"}},
		Features: []string{
			"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/muc",
			"http://jitsi.org/protocol/jigasi", "urn:xmpp:ping", "urn:xmpp:rayo:1",
		},
	}
}
