// Package sipleg makes a phone's leg of a SIP dialog and an RTP port.
//
// A leg has one goroutine (run), through which pass the dialog's events, what the
// call asks, and what the port notices. The dialog knows no codec and the port no
// SIP: their session descriptions meet here.
package sipleg

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/news"
	"jigasi/internal/prompt"
	"jigasi/internal/rtpport"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/xlog"
)

// A KeyWay is how keys go to a phone.
type KeyWay uint8

// The ways: events in the sound where the phone takes them and INFO else, one of the two alone, or tones in the sound.
const (
	KeysAuto KeyWay = iota
	KeysRTP
	KeysInfo
	KeysTones // INFO where phones are told nothing by a voice: then nothing can be laid over the meeting
)

// Options makes legs.
type Options struct {
	RTP    rtpport.Options // Pool and Clock are required
	Codecs []sdp.Codec     // by preference; nil means all
	SRTP   sdp.Policy
	Suites []string // of SRTP, by preference; nil means all
	PTime  int      // length of the packets to ask for, in ms; 0 or 20 asks for nothing
	Keys   KeyWay   // how keys go to the phone
	MinKey int      // shortest key sent to the phone, in ms
	Typed  string   // keys sent to it once it is up; a comma is a pause
	// KeysToMeeting has what is typed on the phone go to the meeting, but for the keys that are for us.
	KeysToMeeting bool
	PublicIP      netip.Addr // for media; invalid means the address that signalling uses
	EarlyMedia    bool       // 183 with a session description instead of 180
	// HangupOnSilence ends a call whose phone sends nothing for RTP.Silence, and not only one for RTP.Gone.
	HangupOnSilence bool

	Sounds          *prompt.Library // nil: the phone is told nothing by a voice
	Language        string          // of the voice; for a caller, an Accept-Language header goes before it
	NoAnnouncements bool            // recording and transcription are not announced
	Chimes          bool            // people who come and go are heard
	Heartbeat       time.Duration   // ask by SIP INFO whether the phone is there; 0 never
	Star            time.Duration   // how long a star key of the phone waits for the key that makes it one for us; 0 means 3 s
	Goodbye         time.Duration   // how long a leg that ends waits for the end of its dialog; 0 means 3 s
	Counts          *leg.Counts     // nil: nobody looks at them
	Log             *slog.Logger
}

// A Leg is a phone. It implements leg.Phone.
type Leg struct {
	opt    Options
	log    *slog.Logger
	port   *rtpport.Port
	events chan leg.Event
	asked  chan func()
	quit   chan struct{} // closed when run has ended

	// Owned by run.
	dialog  *sip.Dialog
	shown   atomic.Pointer[sip.Dialog]    // the same, for Report
	info200 atomic.Pointer[string]        // what the phone's answer says of the session
	ways    []func() (*sip.Dialog, error) // outgoing: how the call can still be placed
	tried   func() (*sip.Dialog, error)   // the last of them
	phase   leg.Phase
	local   sdp.Local
	result  sdp.Result
	answer  []byte // what we answered last
	agreed  bool
	offered bool // our offer waits for its answer
	early   bool // sound was agreed on, and the phone was not picked up yet: it is sent none
	held    bool
	heard   bool // it sent sound
	why     cause.Cause
	ended   bool
	wait    sync.WaitGroup
	muted   bool
	star    <-chan time.Time // a star key waits for what follows it, until then
	starMS  int              // its length
	typing  <-chan time.Time // a key is down at the phone, or there is a pause, until then
	toldAt  map[news.Item]time.Time
	unsent  [][]byte  // messages that wait for the dialog
	unread  bool      // the phone takes no messages
	counted int       // messages of the lobby
	beats   int       // heartbeats without answer
	quiet   int       // times that the phone fell silent
	unmixed sync.Once // it was said that this phone cannot have the speakers apart

	typeMu sync.Mutex
	queue  []leg.Digit // keys for the phone that wait for those before them

	joinMu  sync.Mutex
	player  *prompt.Player
	meeting media.Port
	listens bool // what is told can be heard
	// patience ends the wait for the dialog's end, once that was asked for.
	patience <-chan time.Time
}

const (
	defaultStar = 3 * time.Second
	// A phone that is gone does not answer BYE, and one that did not acknowledge the answer may not be sent one before
	// 32 s: the dialog sees to that alone.
	defaultGoodbye = 3 * time.Second
)

func newLeg(o Options) (*Leg, error) {
	if o.Counts == nil {
		o.Counts = &leg.Counts{}
	}
	o.Star, o.Goodbye = cmp.Or(o.Star, defaultStar), cmp.Or(o.Goodbye, defaultGoodbye)
	l := &Leg{
		opt: o, log: xlog.Or(o.Log), events: make(chan leg.Event, 64), asked: make(chan func(), 64), quit: make(chan struct{}),
		toldAt: map[news.Item]time.Time{},
	}
	rtp := o.RTP
	rtp.Log = l.log
	rtp.OnKey = func(key rune, ms int) {
		l.post(func() { l.key(key, ms) })
	}
	rtp.OnFirst = func() {
		l.post(func() {
			l.heard = true
			l.log.Info("first sound from the phone")
		})
	}
	rtp.OnPanic = func(why cause.Cause) { l.post(func() { l.leave(why) }) }
	rtp.OnGone = func() { l.post(l.vanished) }
	rtp.OnQuiet = func(on bool) { l.post(func() { l.silent(on) }) }
	var err error
	if l.port, err = rtpport.Open(rtp); err != nil {
		return nil, err
	}
	l.local = sdp.Local{Codecs: o.Codecs, SRTP: o.SRTP, Suites: o.Suites, SessionID: rand.Uint64() >> 2}
	if o.PTime != 20 {
		l.local.Ptime = o.PTime
	}
	return l, nil
}

// Accept makes the leg of an incoming call. It sends 180 at once; an offer that cannot be met
// is an error with a cause, and the caller still has to refuse the dialog.
func Accept(d *sip.Dialog, o Options) (*Leg, error) {
	l, err := newLeg(o)
	if err != nil {
		return nil, err
	}
	l.dialog, l.early = d, !o.EarlyMedia
	l.shown.Store(d)
	if o.Sounds != nil {
		l.player = prompt.NewPlayer(o.Sounds, prompt.Match(d.Header("Accept-Language"), o.Language))
	}
	l.address(d.MediaIP())
	if raw := d.SDP(); raw != nil {
		if err := l.answerOffer(raw); err != nil {
			l.port.Close()
			return nil, err
		}
	}
	if o.EarlyMedia && l.agreed {
		d.Progress(l.answer)
	} else {
		d.Ring()
	}
	go l.run()
	return l, nil
}

// A Way places a call with our offer. It is hasty where another way is left: then it does not wait long for a
// server that says nothing.
type Way func(offer []byte, hasty bool) (*sip.Dialog, error)

// Dial makes the leg of an outgoing call. The call is placed when the leg is answered, by the first of ways;
// by the next where that one's server is dead or refuses to serve (T42).
func Dial(o Options, mediaIP netip.Addr, ways ...Way) (*Leg, error) {
	l, err := newLeg(o)
	if err != nil {
		return nil, err
	}
	if o.Sounds != nil {
		l.player = prompt.NewPlayer(o.Sounds, o.Language)
	}
	l.address(mediaIP)
	for i, way := range ways {
		l.ways = append(l.ways, func() (*sip.Dialog, error) {
			offer, keys := l.local.Offer()
			l.local.Keys, l.offered = keys, true
			return way(offer, i+1 < len(ways))
		})
	}
	l.tell(leg.Event{Phase: leg.Trying})
	go l.run()
	return l, nil
}

// address sets where the phone is told to send its sound.
func (l *Leg) address(signalling netip.Addr) {
	ip := signalling
	if l.opt.PublicIP.IsValid() && !signalling.IsLoopback() {
		ip = l.opt.PublicIP
	}
	l.local.Addr = netip.AddrPortFrom(ip, l.port.LocalPort())
}

// Events implements leg.Leg.
func (l *Leg) Events() <-chan leg.Event { return l.events }

// Answer implements leg.Leg.
func (l *Leg) Answer() { l.post(l.answerNow) }

// Send implements leg.Leg.
func (l *Leg) Send(s leg.Signal) {
	switch s := s.(type) {
	case leg.Digit:
		l.typed(s)
	case leg.Mute:
		l.post(func() { l.mute(s) })
	case leg.Muted:
		l.post(func() { l.mutedNow(s) })
	case leg.News:
		l.post(func() { l.told(s.Item) })
	case leg.Farewell:
		l.post(func() { l.farewell(s.Why) })
	}
}

// Hangup implements leg.Leg.
func (l *Leg) Hangup(ctx context.Context, why cause.Cause) error {
	l.post(func() { l.leave(why) })
	select {
	case <-l.quit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post has f run on the leg's goroutine. What does not fit is lost, which only
// a peer that floods keys can bring about.
func (l *Leg) post(f func()) {
	select {
	case l.asked <- f:
	default:
	}
}

func (l *Leg) tell(e leg.Event) {
	select {
	case l.events <- e:
	default:
	}
}

func (l *Leg) enter(p leg.Phase) {
	if l.phase != p && l.phase != leg.Over {
		l.phase = p
		l.tell(leg.Event{Phase: p})
	}
}

func (l *Leg) run() {
	defer close(l.quit)
	defer close(l.events)
	defer l.wait.Wait()
	defer l.port.Close()
	defer func() { l.events <- leg.Event{Phase: leg.Over, Why: l.why} }()
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		l.log.Error("panic in a phone's leg", xlog.Err, why.Err, "stack", string(stack))
		if l.why = why; l.dialog != nil {
			l.dialog.Hangup(why)
		}
	})
	if l.dialog != nil && l.dialog.Inbound() {
		l.enter(leg.Ready)
	}
	beat, stop := heartbeat(l.opt.Heartbeat)
	defer stop()
	for !l.ended {
		var events <-chan sip.Event
		if l.dialog != nil {
			events = l.dialog.Events()
		}
		select {
		case e, ok := <-events:
			if !ok {
				l.finish(cause.Cause{Code: cause.Unknown})
				return
			}
			l.happened(e)
		case f := <-l.asked:
			f()
		case <-beat:
			l.beat()
		case <-l.star:
			l.alone()
		case <-l.typing:
			l.typeNext()
		case <-l.patience:
			l.finish(l.why)
		}
	}
}

func (l *Leg) finish(why cause.Cause) {
	if l.why == (cause.Cause{}) {
		l.why = why
	}
	l.ended = true
}

func (l *Leg) leave(why cause.Cause) {
	switch {
	case l.ended:
	case l.dialog == nil:
		l.finish(why)
	case l.patience == nil:
		l.why = why
		l.dialog.Hangup(why) // Ended follows
		l.patience = time.After(l.opt.Goodbye)
	}
}

// silent is the port's word that nothing comes from the phone, or something again.
func (l *Leg) silent(on bool) {
	if !on {
		l.log.Info("something comes from the phone again")
		return
	}
	why := l.unheard(cause.Cause{Code: cause.NoMedia, Text: "the phone stopped sending sound: look at it and at the network on its way, or let it send RTCP while it is quiet"})
	l.log.Warn("no sound from the phone", "why", why.Text)
	l.opt.Counts.Quiet.Add(1)
	if l.quiet++; l.quiet == 1 {
		l.opt.Counts.QuietCalls.Add(1)
	}
	if l.opt.HangupOnSilence {
		l.leave(why)
	}
}

// vanished is the port's word that nothing came for so long that the phone is gone without a goodbye.
func (l *Leg) vanished() {
	l.leave(l.unheard(cause.Cause{Code: cause.NoMedia, Text: "the phone sends nothing any more: it, or the network on its way, is gone"}))
}

// unheard says something else of a phone that was never heard.
func (l *Leg) unheard(why cause.Cause) cause.Cause {
	if l.heard {
		return why
	}
	inside := func(ip netip.Addr) bool { return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() }
	its, ours := l.result.Remote.Addr(), l.local.Addr.Addr()
	where := "no address"
	if l.result.Remote.IsValid() {
		where = l.result.Remote.String()
	}
	why.Text = "the phone sent no sound: its SDP names " + where
	if inside(its) {
		why.Text += ", a private address"
	}
	if inside(ours) && !inside(its) {
		why.Text += "; ours names " + ours.String() + ", a private address that it cannot reach: set public_ip"
	} else {
		why.Text += "; check that our UDP ports are reachable from it"
	}
	return why
}
