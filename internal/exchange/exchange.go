// Package exchange owns all calls: it routes, admits, counts, finds and drains them.
//
// It knows where a call is for (route.go) and how many there may be, and hands
// the two legs of each to package call. The legs are made by two functions in
// Options, so that tests and other makers need nothing of SIP or XMPP.
package exchange

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/dialplan"
	"jigasi/internal/leg"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// A Seat is a leg in a meeting that tells where it sits.
type Seat interface {
	leg.Seat
	// Joined is closed when the room has been entered.
	Joined() <-chan struct{}
	// Occupant is the seat's address in the room; it is known before Joined.
	Occupant() stanza.JID
	// Members is how many others are in the room, without the focus.
	Members() int
}

// A Caller is an incoming call that wants a meeting.
type Caller struct {
	Header  func(name string) string // first value, without case
	Account string                   // the account or trunk it came by
	ID      string                   // SIP Call-ID
	Name    string                   // what the room shows: display name or user part
	User    string                   // user part of the caller's address
	// Accept makes the phone's leg of it, Refuse answers with a cause. One of the two is called, once.
	Accept func(log *slog.Logger) (leg.Phone, error)
	Refuse func(cause.Cause)
}

// A Request asks for a call to a phone (Rayo dial).
type Request struct {
	To, From string
	Room     string
	Password xlog.Secret
	Headers  []Header // copied into the INVITE, in order
	Rules    *Rules   // the brewery account's own rules; nil means the exchange's
	BOSH     string   // the brewery account's pattern
}

// A Header is a name and a value.
type Header struct{ Name, Value string }

// A Place is all that a maker of a seat needs to know.
type Place struct {
	Target
	Nick     string
	Name     string
	Account  string      // by which the call came, or goes first; "" is a trunk
	Number   string      // of the phone: the user part of its address, or what was asked to be called
	Keys     xlog.Secret // what to type when the phone answers; a comma is a pause
	Outgoing bool
	Headers  []Header // shown in the presence's initiator element
	Log      *slog.Logger

	Transcriber bool // the seat is that of a transcriber, and nobody is its phone

	story        *xlog.Journal
	transcribing *transcribing
}

// Options makes an exchange. Sit and Dial are required.
type Options struct {
	Rules      Rules
	ByAccount  map[string]Rules // rules of incoming calls by SIP account, where an account has its own
	MaxCalls   int              // 0 means 1000
	JoinLimit  time.Duration    // how long a dial waits for the room; 0 means 10 s
	UserAsNick bool             // USE_SIP_USER_AS_XMPP_RESOURCE
	Dialling   DialLimits
	// Overloaded says why no more calls are taken for now; "" takes them. nil always does.
	Overloaded  func() string
	CallOptions call.Options // ID, Outgoing, OnState and Log are set per call

	Sit  func(ctx context.Context, p Place) Seat
	Dial func(ctx context.Context, r Request, p Place) (leg.Phone, error)

	// Callee is what the room sees of a number that is called, and the account by which it is called first; nil means all
	// of it, and none.
	Callee  func(number string) (shown, account string)
	Changed func()         // called when Stats may differ; must not block
	Ended   func(d Detail) // called once per call, before it is forgotten
	Log     *slog.Logger
}

// An Exchange owns all calls. Its methods are safe for concurrent use.
type Exchange struct {
	opt    Options
	ctx    context.Context
	cancel context.CancelCauseFunc

	draining atomic.Bool
	total    counters

	mu    sync.Mutex
	calls map[string]*entry
	ended []Detail // the latest, the newest last
	next  uint64
	dials dialling
	// transcribers are those that there are, by room.
	transcribers map[string]*transcribing
	idle         sync.WaitGroup
}

type entry struct {
	*call.Call
	phone    leg.Phone
	seat     Seat
	place    Place
	peer     string
	sipID    string
	ref      stanza.JID // what a dial was answered with: the seat may have moved since
	outgoing bool
}

// counters only grow.
type counters struct {
	incoming, outgoing, refused, failed, ended atomic.Int64
}

// New makes an exchange that runs until Close.
func New(opt Options) *Exchange {
	if opt.MaxCalls == 0 {
		opt.MaxCalls = 1000
	}
	if opt.JoinLimit == 0 {
		opt.JoinLimit = 10 * time.Second
	}
	if opt.Callee == nil {
		opt.Callee = func(number string) (shown, account string) { return number, "" }
	}
	opt.Log = xlog.Or(opt.Log)
	x := &Exchange{opt: opt, calls: map[string]*entry{}}
	x.ctx, x.cancel = context.WithCancelCause(context.Background())
	return x
}

// Incoming takes a call in: it is routed and joined, or refused. It returns at once.
func (x *Exchange) Incoming(in Caller) {
	x.total.incoming.Add(1)
	rules, own := x.opt.ByAccount[in.Account]
	if !own {
		rules = x.opt.Rules
	}
	target, err := rules.Route(in.Header)
	if err != nil {
		x.refuse(in, cause.Of(err))
		return
	}
	id, why := x.admit()
	if why.Code != cause.Normal {
		x.refuse(in, why)
		return
	}
	var phone leg.Phone
	var e *entry
	defer func() { x.unwind(id, phone, e) }()
	place := Place{Target: target, Name: in.Name, Account: in.Account, Number: in.User, Nick: NewNick()}
	place.Log, place.story = x.callLog(id, target.Room, in.ID)
	if x.opt.UserAsNick {
		place.Nick = NickFrom(in.User)
	}
	place.Headers = []Header{{"JigasiCallDirection", "in"}}
	if phone, err = in.Accept(place.Log); err != nil {
		phone = nil
		x.refuse(in, cause.Of(err))
		return
	}
	place.Log.Info("call in", xlog.From, xlog.Number(in.User), xlog.Account, in.Account)
	e = x.start(id, phone, place, in.User, in.ID, false)
}

// unwind gives back what a call has that was not started: its place, and its phone if a defect of ours
// came between.
func (x *Exchange) unwind(id string, phone leg.Phone, started *entry) {
	if started != nil {
		return
	}
	x.release(id)
	if phone != nil {
		ctx, cancel := context.WithTimeout(x.ctx, 2*time.Second)
		defer cancel()
		_ = phone.Hangup(ctx, cause.Cause{Code: cause.Panic, Text: "a defect of ours ended this call"}) // it ends by itself if not in time
	}
}

func (x *Exchange) refuse(in Caller, why cause.Cause) {
	x.total.refused.Add(1)
	x.opt.Log.Info("call refused", xlog.SIPCallID, in.ID, xlog.From, xlog.Number(in.User),
		xlog.Cause, why.Code.String(), "why", why.String())
	in.Refuse(why)
}

// Dialled is a call that Dial has placed.
type Dialled struct {
	ID       string
	Occupant stanza.JID // where the phone sits in the room
	Done     <-chan struct{}
}

// Dial joins the room and calls a phone from it. It returns when the room has been
// entered, which is when the asker may be told, or with a cause.Cause, which the asker logs.
func (x *Exchange) Dial(ctx context.Context, r Request) (Dialled, error) {
	x.total.outgoing.Add(1)
	number, keys, ok := dialplan.Cut(r.To)
	r.To = number
	if !ok {
		why := cause.Cause{Code: cause.BadRequest, Text: "what follows the comma of the number is not to be typed: keys are 0-9, *, # and A-D"}
		x.total.refused.Add(1)
		return Dialled{}, why
	}
	rules := x.opt.Rules
	if r.Rules != nil {
		rules = *r.Rules
	}
	target, err := rules.Resolve(Target{Password: r.Password}, r.Room, rules.DomainBase)
	if err == nil && wantsTranscriber(r) {
		return x.transcribe(ctx, r, target)
	}
	if err == nil {
		err = x.mayDial(target.Room)
	}
	if err != nil {
		x.total.refused.Add(1)
		return Dialled{}, err
	}
	id, why := x.admit()
	if why.Code != cause.Normal {
		x.dialOver(target.Room)
		x.total.refused.Add(1)
		return Dialled{}, why
	}
	shown, account := x.opt.Callee(r.To)
	place := Place{
		Target: target, Name: shown, Account: account, Number: r.To, Keys: xlog.Secret(keys), Nick: NewNick(), Outgoing: true,
		Headers: append([]Header{{"JigasiCallDirection", "out"}}, r.Headers...),
	}
	place.Log, place.story = x.callLog(id, target.Room, "")
	var phone leg.Phone
	var e *entry
	defer func() {
		if e == nil {
			x.dialOver(target.Room)
		}
		x.unwind(id, phone, e)
	}()
	if phone, err = x.opt.Dial(x.ctx, r, place); err != nil {
		phone = nil
		x.total.refused.Add(1)
		return Dialled{}, err
	}
	place.Log.Info("call out", xlog.From, xlog.Number(r.From), xlog.To, xlog.Number(r.To), xlog.Account, account)
	e = x.start(id, phone, place, r.To, "", true)
	return x.awaitRoom(ctx, e)
}

func (x *Exchange) awaitRoom(ctx context.Context, e *entry) (Dialled, error) {
	limit := time.NewTimer(x.opt.JoinLimit)
	defer limit.Stop()
	why := cause.Cause{Code: cause.Timeout, Text: fmt.Sprintf("the room was not entered in %v: look at Jicofo and the XMPP server, or raise meeting.join_timeout", x.opt.JoinLimit)}
	select {
	case <-e.seat.Joined():
		at := e.seat.Occupant()
		x.mu.Lock()
		e.ref = at
		x.mu.Unlock()
		return Dialled{ID: e.ID(), Occupant: at, Done: e.Done()}, nil
	case <-e.Done():
		return Dialled{}, e.Cause()
	case <-limit.C:
	case <-ctx.Done():
		why = cause.Cause{Code: cause.Cancelled, Text: "the asker is gone", Err: ctx.Err()}
	}
	e.Hangup(why) // nobody would know of this call
	return Dialled{}, why
}

// admit reserves a place for one more call and names it.
func (x *Exchange) admit() (string, cause.Cause) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.draining.Load():
		return "", cause.Cause{Code: cause.Draining, Text: "this gateway takes no new calls: it is shutting down"}
	case len(x.calls) >= x.opt.MaxCalls:
		return "", cause.Cause{Code: cause.Full, Status: 503, Text: fmt.Sprintf("all %d calls are taken", x.opt.MaxCalls)}
	case x.opt.Overloaded != nil:
		if why := x.opt.Overloaded(); why != "" {
			return "", cause.Cause{Code: cause.Full, Status: 503, Text: why}
		}
	}
	x.next++
	id := fmt.Sprintf("%s-%d", NewNick(), x.next)
	x.calls[id] = nil
	x.idle.Add(1)
	return id, cause.Cause{Code: cause.Normal}
}

func (x *Exchange) release(id string) {
	x.mu.Lock()
	delete(x.calls, id)
	x.mu.Unlock()
	x.idle.Done()
	x.changed()
}

func (x *Exchange) start(id string, phone leg.Phone, place Place, peer, sipID string, outgoing bool) *entry {
	seat := x.opt.Sit(x.ctx, place)
	opt := x.opt.CallOptions
	opt.ID, opt.Outgoing, opt.Log = id, outgoing, place.Log
	switch {
	case place.Transcriber: // nobody has to be rung up, and the last words take their time
		opt.Outgoing, opt.EndLimit = false, transcriberEnd
	case outgoing:
		opt.Longest = x.opt.Dialling.Longest
	}
	opt.OnState = func(call.State) { x.changed() }
	e := &entry{Call: call.Start(x.ctx, phone, seat, opt), phone: phone, seat: seat, place: place, peer: peer, sipID: sipID, outgoing: outgoing}
	x.mu.Lock()
	x.calls[id] = e
	x.mu.Unlock()
	go x.watch(e)
	x.changed()
	return e
}

// watch waits for the end of a call and forgets it.
func (x *Exchange) watch(e *entry) {
	defer x.release(e.ID())
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		e.place.Log.Error("panic at the end of a call", xlog.Err, why.Err, "stack", string(stack))
	})
	<-e.Done()
	switch {
	case e.place.Transcriber:
		x.transcribed(e.place.Room.String(), e.place.transcribing)
	case e.outgoing:
		x.dialOver(e.place.Room)
	}
	x.total.ended.Add(1)
	if e.Spent(call.Active) == 0 {
		x.total.failed.Add(1)
	}
	d := detail(e)
	logEnd(e.place.Log, d)
	d.Story = e.place.story.Lines()
	x.keep(d)
	if x.opt.Ended != nil {
		x.opt.Ended(d)
	}
}

func (x *Exchange) changed() {
	if x.opt.Changed != nil {
		x.opt.Changed()
	}
}

func (x *Exchange) callLog(id string, room stanza.JID, sipID string) (*slog.Logger, *xlog.Journal) {
	log := x.opt.Log.With(xlog.Call, id, xlog.Room, room.Local)
	if sipID != "" {
		log = log.With(xlog.SIPCallID, sipID)
	}
	story := &xlog.Journal{}
	return story.Logger(log), story
}
