package recognize

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"jigasi/internal/xlog"
)

// What trying again does not cure. Services wrap these, with the sentence that tells the operator what to do.
var (
	ErrCredential = errors.New("the speech service does not know us")
	ErrLanguage   = errors.New("no speech service for this language")
	ErrBudget     = errors.New("the minutes are used up")
)

// A Later is an error of a service that says how long it wants to be left alone.
type Later struct {
	After time.Duration
	Err   error
}

func (l *Later) Error() string { return l.Err.Error() }

// Unwrap is the error without that.
func (l *Later) Unwrap() error { return l.Err }

// Permanent reports whether an error of Open is one of those.
func Permanent(err error) bool {
	return errors.Is(err, ErrCredential) || errors.Is(err, ErrLanguage) || errors.Is(err, ErrBudget)
}

const (
	maxFails  = 3                // in a row, of all sessions, after which a service has a rest
	firstRest = 30 * time.Second // doubled each time, up to
	lastRest  = 5 * time.Minute
	lastTry   = 8 * time.Second  // for opening a stream
	oneTry    = 4 * time.Second  // where there is another service to try
	leaseTime = 10 * time.Second // that a stream of another one lasts at least
)

// A Member is one of the speech services of the process, with what is known of it. Sessions share it. A service that
// fails three times in a row has a rest, after which one stream tries it again. Its fields are set once.
type Member struct {
	Name    string
	Service Service
	Log     *slog.Logger // nil is none
	Tally   Tally

	mu    sync.Mutex
	fails int
	rests int
	until time.Time // of the rest
	tried bool      // by one stream, behind the rest
}

// resting reports whether the next service is to be used. Behind a rest one caller is told that it is over.
func (m *Member) resting(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails < maxFails {
		return false
	}
	if now.Before(m.until) || m.tried {
		return true
	}
	m.tried = true
	return false
}

// due reports whether a stream of another service should make room for one of this.
func (m *Member) due(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fails < maxFails || !m.tried && !now.Before(m.until)
}

// failed notes that a stream could not be opened, or was lost.
func (m *Member) failed(now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, ErrLanguage) {
		m.tried = false
		return
	}
	again := m.fails >= maxFails && !m.tried
	if m.fails++; errors.Is(err, ErrCredential) {
		m.fails = max(m.fails, maxFails)
	}
	m.tried = false
	if m.fails < maxFails || again && now.Before(m.until) {
		return
	}
	rest := min(lastRest, firstRest<<min(m.rests, 10))
	m.until = now.Add(rest)
	m.Tally.Rests.Add(1)
	if m.rests++; m.rests == 1 {
		xlog.Or(m.Log).Error("a speech service does not work", "service", m.Name, "rest", rest, xlog.Err, err)
	}
}

// worked notes that it has said something.
func (m *Member) worked() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rests > 0 {
		xlog.Or(m.Log).Info("a speech service works again", "service", m.Name)
	}
	m.fails, m.rests, m.tried = 0, 0, false
}

// untried gives the turn behind a rest back: the stream has told nothing.
func (m *Member) untried() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried = false
}

// Err is why the service is not used at the moment, nil where it is.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails >= maxFails {
		return errors.New("speech service " + m.Name + " does not work")
	}
	return nil
}

// A Choice is which services a session uses: the first that works. Those are within Budget; when that is used up,
// Spare takes over, and where it is nil nobody is heard any more.
type Choice struct {
	Members []*Member
	Budget  Budget
	Spare   *Member
}

// A Chain is the Service of one session: it chooses, and goes on to the next service where one fails. It is chosen
// when there is the first sound.
type Chain struct {
	pick func(context.Context) (Choice, error)

	mu     sync.Mutex
	choice *Choice
}

// NewChain makes a Chain. pick may take its time, and is called again where it fails.
func NewChain(pick func(context.Context) (Choice, error)) *Chain { return &Chain{pick: pick} }

// Solo is a Chain of one service.
func Solo(s Service) *Chain {
	return &Chain{choice: &Choice{Members: []*Member{{Name: "speech", Service: s}}}}
}

// Needs are those of the first service, where it is known; those of a stream are told by the stream.
func (c *Chain) Needs() Needs {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.choice == nil || len(c.choice.Members) == 0 {
		return Needs{}
	}
	return c.choice.Members[0].Service.Needs()
}

// known reports whether the choice was made.
func (c *Chain) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.choice != nil
}

// chosen is the choice, made now where it was not.
func (c *Chain) chosen(ctx context.Context) (*Choice, error) {
	c.mu.Lock()
	choice := c.choice
	c.mu.Unlock()
	if choice != nil {
		return choice, nil
	}
	made, err := c.pick(ctx) // of two at a time, the first counts
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.choice == nil {
		c.choice = &made
	}
	return c.choice, nil
}

// Open opens a stream of the first service that works.
func (c *Chain) Open(ctx context.Context, w Who) (Stream, error) {
	l, err := c.open(ctx, w)
	if err != nil {
		return nil, err // not a nil lease in an interface
	}
	return l, nil
}

func (c *Chain) open(ctx context.Context, w Who) (*lease, error) {
	choice, err := c.chosen(ctx)
	if err != nil {
		return nil, err
	}
	if choice.Budget.Spent(time.Now()) {
		if choice.Spare == nil {
			return nil, ErrBudget
		}
		return c.try(ctx, choice, choice.Spare, -1, w)
	}
	var first, transient error
	var passed []*Member
	for i, m := range choice.Members {
		if m.resting(time.Now()) {
			passed = append(passed, m)
			continue
		}
		l, err := c.try(ctx, choice, m, i, w)
		if err == nil {
			l.passed = passed
			return l, nil
		}
		if !errors.Is(err, ErrLanguage) {
			passed = append(passed, m)
		}
		if first = cmp.Or(first, err); !Permanent(err) {
			transient = cmp.Or(transient, err)
		}
	}
	if first == nil && len(passed) > 0 { // all have a rest: better the first than none
		return c.try(ctx, choice, choice.Members[0], 0, w)
	}
	return nil, cmp.Or(transient, first, errors.New("there is no speech service"))
}

// try opens a stream of one service, in a bounded time.
func (c *Chain) try(ctx context.Context, choice *Choice, m *Member, place int, w Who) (*lease, error) {
	limit := lastTry
	if place >= 0 && place < len(choice.Members)-1 {
		limit = oneTry
	}
	ctx, cancel := context.WithCancelCause(ctx)
	slow := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	st, err := m.Service.Open(ctx, w)
	if !slow.Stop() && err == nil { // it was ready too late
		st.Close()
		for range st.Results() {
			continue
		}
		err = context.DeadlineExceeded
	}
	if err != nil {
		gaveUp := ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded)
		cancel(nil)
		if gaveUp { // the speaker has left
			m.untried()
			return nil, err
		}
		m.Tally.Refused.Add(1)
		if Permanent(err) {
			m.Tally.Unusable.Add(1)
		}
		m.failed(time.Now(), err)
		return nil, err
	}
	m.Tally.Opened.Add(1)
	m.Tally.Streams.Add(1)
	return &lease{Stream: st, member: m, choice: choice, place: place, born: time.Now(), cancel: cancel}, nil
}

// A lease is a stream of a member. It belongs to its speaker's goroutine.
type lease struct {
	Stream
	member *Member
	choice *Choice
	place  int       // among the members; -1 is the spare one
	passed []*Member // that failed or had a rest when it was opened, and are to be preferred
	born   time.Time
	cancel context.CancelCauseFunc
	proved bool      // it works, or has failed
	retire time.Time // since when it costs too much
}

// retiring is since when another service should be used in place of this one: at once where it costs too much, else
// when there is a pause.
func (l *lease) retiring(now time.Time) (since time.Time, ok bool) {
	if l.choice.Budget.Spent(now) != (l.place < 0) {
		if l.retire.IsZero() {
			l.retire = now
		}
		return l.retire, true
	}
	if now.Sub(l.born) < leaseTime {
		return now, false
	}
	for _, m := range l.passed {
		if m.due(now) {
			return now, true
		}
	}
	return now, false
}

// sent counts sound.
func (l *lease) sent(d time.Duration) {
	l.member.Tally.Writes.Add(1)
	l.member.Tally.SentMS.Add(d.Milliseconds())
	if l.place >= 0 {
		l.choice.Budget.Spend(d, time.Now())
	}
}

// heard counts a result. One that is proven says that the service works.
func (l *lease) heard(final, proven bool) {
	l.member.Tally.LastResult.Store(time.Now().UnixMilli())
	if proven {
		l.proved = true
		l.member.worked()
	}
	if final {
		l.member.Tally.Finals.Add(1)
	} else {
		l.member.Tally.Interims.Add(1)
	}
}

// lost counts the end before its time.
func (l *lease) lost(err error) {
	l.proved = true
	l.member.Tally.Lost.Add(1)
	if errors.Is(err, errDeaf) {
		l.member.Tally.Deaf.Add(1)
	}
	if Permanent(err) { // some services say it only then
		l.member.Tally.Unusable.Add(1)
	}
	l.member.failed(time.Now(), err)
}

// over is called once, behind the last result.
func (l *lease) over() {
	l.Close()
	l.cancel(nil)
	l.member.Tally.Streams.Add(-1)
	if !l.proved {
		l.member.untried()
	}
}
