package words

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/recognize"
	"jigasi/internal/xlog"
)

// Services are the speech services of a process and the choice among them. A service is made once, when a room first
// wants it, and is shared by all rooms; its methods are safe for concurrent use.
type Services struct {
	c      config.Transcription
	via    http.RoundTripper
	log    *slog.Logger
	remote *remote // nil is none

	// RemoteErrors counts rooms whose service the operator's server did not choose.
	RemoteErrors atomic.Int64

	mu      sync.Mutex
	members map[string]*recognize.Member
	ends    []func()
	meters  map[string]*recognize.Meter // by room or tenant
	swept   time.Time
	ledger  ledger
}

// NewServices makes the services that the configuration names for everybody, so that what is wrong with them is known
// at the start. They are reached via a transport, but for Google's, or with nil each in its own way.
func NewServices(c config.Transcription, via http.RoundTripper, log *slog.Logger) (*Services, error) {
	s := &Services{c: c, via: via, log: xlog.Or(log), members: map[string]*recognize.Member{}, meters: map[string]*recognize.Meter{}}
	for _, name := range append([]string{c.Service}, c.Fallback...) {
		if _, err := s.member(name); err != nil {
			s.Close()
			return nil, err
		}
	}
	if c.Remote.URL != "" {
		var err error
		if s.remote, err = newRemote(c.Remote); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close ends the services. No room may use them any more.
func (s *Services) Close() {
	s.closeMinutes()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends {
		end()
	}
	s.ends = nil
}

// Members are the services that were made so far, by name.
func (s *Services) Members() []*recognize.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*recognize.Member
	for _, m := range s.members {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *recognize.Member) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Err is why nobody is heard at the moment: none of the services works that the configuration names for everybody.
func (s *Services) Err() error {
	var first error
	for _, name := range append([]string{s.c.Service}, s.c.Fallback...) {
		m, err := s.member(name)
		if err == nil {
			err = m.Err()
		}
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (s *Services) member(name string) (*recognize.Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[name]; m != nil {
		return m, nil
	}
	service, end, err := Service(s.c, s.via, name)
	if err != nil {
		return nil, err
	}
	m := &recognize.Member{Name: name, Service: service, Log: s.log}
	s.members[name] = m
	s.ends = append(s.ends, end)
	return m, nil
}

// Room is the speech service of one session in a room, given by its address, or by the id of a meeting. Which service
// that is is chosen when somebody speaks first: by the operator's server, by the first rule that matches, or by
// transcription.service.
func (s *Services) Room(room string) *recognize.Chain {
	room = strings.ToLower(room)
	return recognize.NewChain(func(ctx context.Context) (recognize.Choice, error) { return s.choose(ctx, room) })
}

func (s *Services) choose(ctx context.Context, room string) (recognize.Choice, error) {
	name, rest, minutes := s.c.Service, s.c.Fallback, s.c.Budget.Room
	for _, r := range s.c.Rooms {
		if ok, err := path.Match(pattern(r.Match), plain.Replace(room)); err != nil || !ok {
			continue
		}
		if r.Service != "" {
			name = r.Service
		}
		if len(r.Fallback) > 0 {
			rest = r.Fallback
		}
		if r.Minutes > 0 {
			minutes = r.Minutes
		}
		break
	}
	if s.remote != nil {
		named, err := s.remote.ask(ctx, room)
		if err != nil {
			s.RemoteErrors.Add(1)
			s.log.Warn("the speech service of a room is not chosen by the remote configuration", xlog.Err, err)
		} else if named != name {
			rest, name = append([]string{name}, rest...), named
		}
	}
	var c recognize.Choice
	for _, n := range append([]string{name}, rest...) {
		m, err := s.member(n)
		if err != nil {
			s.log.Error("a speech service cannot be used", "service", n, xlog.Err, err)
			continue
		}
		if !slices.Contains(c.Members, m) {
			c.Members = append(c.Members, m)
		}
	}
	if len(c.Members) == 0 {
		return c, fmt.Errorf("%w: see the errors before this one", recognize.ErrCredential)
	}
	c.Budget = s.budget(room, minutes)
	if spare := s.c.Budget.Service; spare != "" && len(c.Budget) > 0 {
		m, err := s.member(spare)
		if err != nil {
			s.log.Error("a speech service cannot be used", "service", spare, xlog.Err, err)
			return c, nil
		}
		c.Spare = m
		if c.Members[0] == m { // it costs nothing
			c.Budget, c.Spare = nil, nil
		}
	}
	return c, nil
}

// plain leaves no separator, so that * matches everything.
var plain = strings.NewReplacer("/", "\x00")

// pattern is one of * and ? alone.
func pattern(s string) string {
	return strings.ToLower(plain.Replace(strings.NewReplacer(`\`, `\\`, "[", `\[`).Replace(s)))
}

// maxMeters bounds what is remembered of rooms and tenants.
const maxMeters = 20_000

// budget is what a room and its tenant have left.
func (s *Services) budget(room string, minutes int) recognize.Budget {
	var b recognize.Budget
	if minutes > 0 {
		b = append(b, s.meter("room "+room, minutes))
	}
	if s.c.Budget.Tenant > 0 {
		b = append(b, s.meter("tenant "+tenant(room), s.c.Budget.Tenant))
	}
	return b
}

func (s *Services) meter(key string, minutes int) *recognize.Meter {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.meters[key]
	if m == nil {
		if now := time.Now(); len(s.meters) >= maxMeters && now.Sub(s.swept) > time.Minute {
			s.swept = now
			for k, old := range s.meters {
				if used, _ := old.Used(now); used == 0 {
					delete(s.meters, k)
				}
			}
		}
		m = recognize.NewMeter(time.Duration(minutes)*time.Minute, s.c.Budget.Period)
		s.recall(key, m)
		if len(s.meters) < maxMeters { // one more is counted for its session alone
			s.meters[key] = m
		}
	}
	return m
}

// tenant is whose room it is: what stands in brackets before its name, as Prosody writes it, else its domain.
func tenant(room string) string {
	if t, _, ok := strings.Cut(strings.TrimPrefix(room, "["), "]"); ok && strings.HasPrefix(room, "[") {
		return t
	}
	_, domain, _ := strings.Cut(room, "@")
	return domain
}
