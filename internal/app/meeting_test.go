package app_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/soak"
	"jigasi/internal/media"
	"jigasi/internal/rtpport"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
)

// meeting is a lab with the real gateway in it.
type meeting struct {
	*lab.Meeting
	*handsets
	app *app.App
	ua  *sip.UA
	at  string // where the gateway is, if it is a process of its own
}

// handsets are what phones of a test have their sound by. They may be there before the gateway is.
type handsets struct {
	clock *media.Clock
	pool  *rtpport.Pool
}

// newHandsets has so many ports for them from low on.
func newHandsets(t *testing.T, low, ports int) *handsets {
	t.Helper()
	pool, err := rtpport.NewPool(uint16(low), uint16(low+ports-1))
	if err != nil {
		t.Fatal(err)
	}
	h := &handsets{clock: media.NewClock(nil), pool: pool}
	t.Cleanup(h.clock.Close)
	return h
}

// ranges are the port ranges that tests of this process have now. Two processes begin in different places.
var ranges = struct {
	sync.Mutex
	used [40]bool
	next int
}{next: rand.IntN(40)}

// portRange is the lowest of 200 ports that no other test has until t has ended, and that the system gives nobody by
// itself; 200 more, for the phones, are 12000 below.
func portRange(t *testing.T) int {
	t.Helper()
	ranges.Lock()
	defer ranges.Unlock()
	for range ranges.used {
		n := ranges.next
		ranges.next = (n + 1) % len(ranges.used)
		if ranges.used[n] {
			continue
		}
		ranges.used[n] = true
		t.Cleanup(func() {
			ranges.Lock()
			defer ranges.Unlock()
			ranges.used[n] = false
		})
		return 24000 + 200*n
	}
	t.Fatal("more tests run than there are port ranges")
	return 0
}

func logger(t *testing.T) *slog.Logger {
	if os.Getenv("LAB_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
	}
	return slog.New(slog.DiscardHandler)
}

func start(t *testing.T, o lab.Options, change func(*config.Config)) *meeting {
	t.Helper()
	return startWith(t, o, logger(t), change)
}

// startWith is start with a log of the test's.
func startWith(t *testing.T, o lab.Options, log *slog.Logger, change func(*config.Config)) *meeting {
	t.Helper()
	return startAs(t, o, app.Options{Log: log}, change)
}

// startAs is start with what is not configuration.
func startAs(t *testing.T, o lab.Options, as app.Options, change func(*config.Config)) *meeting {
	t.Helper()
	o.Log = logger(t)
	l, err := lab.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Meeting.Domain = lab.Domain
	cfg.XMPP.Server, cfg.XMPP.Plaintext = l.XMPP.Addr(), true
	cfg.SIP.Listen = []string{"udp:127.0.0.1:0"}
	cfg.Admin.Port = 0
	cfg.Limits.Overload = 0 // the machine that tests may be busy
	low := portRange(t)
	cfg.Media.MinPort, cfg.Media.MaxPort = low, low+199
	if change != nil {
		change(cfg)
	}
	as.Version, as.Loopback = "test", true
	a, err := app.New(cfg, as)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	m := &meeting{Meeting: l, app: a, handsets: newHandsets(t, low-12000, max(low+199, cfg.Media.MaxPort)-low+1)}
	m.ua = sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true})
	if err := m.ua.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		_ = m.ua.Close(ctx)
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
		l.Close()
		if n := a.PortsInUse(); n != 0 {
			t.Errorf("%d RTP ports are left", n)
		}
	})
	return m
}

// caller is a phone of the test: the signalling and RTP of this repository, with an ear of its own.
type caller struct {
	d     *sip.Dialog
	port  *rtpport.Port
	offer string        // our offer, with the keys of SRTP if there are any
	infos               // what the gateway said by INFO
	over  chan struct{} // closed when the dialog has ended, of a call of ours
	*ear
}

// call brings a call up, or fails the test.
func (m *meeting) call(t *testing.T, room string, hz float64, codecs ...string) *caller {
	t.Helper()
	c, why := m.tryCall(t, room, hz, codecs...)
	if c == nil {
		t.Fatalf("the call ended: %v", why)
	}
	return c
}

// tryCall brings a call up, or says why it ended before.
func (m *meeting) tryCall(t *testing.T, room string, hz float64, codecs ...string) (*caller, cause.Cause) {
	t.Helper()
	return m.place(t, wish{room: room, hz: hz, codecs: codecs})
}

// wish is how a phone calls.
type wish struct {
	room    string
	hz      float64
	infos   func(c *caller, body string) // what it does about an INFO; nil: nothing
	codecs  []string
	srtp    sdp.Policy
	from    string
	noName  bool // no display name
	noRoom  bool // the headers name it, if anything does
	headers []sip.Header
}

// place brings a call up, or says why it ended before.
func (m *meeting) place(t *testing.T, w wish) (*caller, cause.Cause) {
	t.Helper()
	if w.from == "" {
		w.from = "sip:+4930123@phone.test"
	}
	c := &caller{ear: &ear{hz: w.hz}, over: make(chan struct{})}
	if w.infos != nil {
		c.answer = func(body string) { w.infos(c, body) }
	}
	var err error
	loop := netip.MustParseAddr("127.0.0.1")
	if c.port, err = rtpport.Open(rtpport.Options{Pool: m.pool, Clock: m.clock, LocalIP: loop, OnKey: c.pressed}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.port.Close)
	local := sdp.Local{Addr: netip.AddrPortFrom(loop, c.port.LocalPort()), Codecs: sdp.Codecs(w.codecs...), SRTP: w.srtp}
	offer, keys := local.Offer()
	local.Keys = keys
	c.offer = string(offer)
	if !w.noRoom {
		w.headers = append(w.headers, sip.Header{Name: "Jitsi-Conference-Room", Value: w.room})
	}
	name := "Phone"
	if w.noName {
		name = ""
	}
	c.d, err = m.ua.Dial(t.Context(), sip.DialOptions{
		To: "sip:gw@" + m.gateway(), From: w.from, Name: name, SDP: offer,
		Headers: w.headers,
	})
	if err != nil {
		t.Fatal(err)
	}
	for e := range c.d.Events() {
		switch e.Kind {
		case sip.Answered:
			answer, err := sdp.Parse(e.SDP)
			if err != nil {
				t.Fatal(err)
			}
			r, err := sdp.Accept(answer, local)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.port.Start(r); err != nil {
				t.Fatal(err)
			}
			c.port.Connect(c.ear)
			go func() {
				defer close(c.over)
				for e := range c.d.Events() {
					switch {
					case e.Kind == sip.Info:
						e.Reply(200, nil)
						c.informed(string(e.Body))
					case e.Reply != nil:
						e.Reply(200, offer)
					}
				}
			}()
			return c, cause.Cause{}
		case sip.Ended:
			c.port.Close()
			return nil, e.Cause
		}
	}
	return nil, cause.Cause{}
}

// patience is what a loaded machine may take for anything: tests wait for conditions, not for times.
const patience = 30 * time.Second

// eventually waits until ok, or fails with what want says; where limit is less than a loaded machine may
// need, that is waited.
func eventually(t *testing.T, limit time.Duration, want string, ok func() bool) {
	t.Helper()
	within(t, max(limit, patience), want, ok)
}

// promised is eventually with a limit that is promised: it is held where the full counts are run.
func promised(t *testing.T, limit time.Duration, want string, ok func() bool) {
	t.Helper()
	if !soak.Full() {
		limit = max(limit, patience)
	}
	within(t, limit, want, ok)
}

func within(t *testing.T, limit time.Duration, want string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Errorf("not within %v: %s", limit, want)
}

func hears(b *bot.Bot, hz float64) func() bool {
	return func() bool {
		for _, v := range b.Hears() {
			if v.Since < 200*time.Millisecond && v.Tone(hz) > -26 {
				return true
			}
		}
		return false
	}
}

func TestPhoneAndTwoPeopleHearEachOther(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"PCMU", "PCMA", "G722", "opus"} {
		for _, xml := range []bool{false, true} {
			if xml && codec != "PCMU" {
				continue
			}
			t.Run(codec, func(t *testing.T) {
				t.Parallel()
				m := start(t, lab.Options{XML: xml}, nil)
				a, b := m.Join("alpha", 620), m.Join("alpha", 880)
				p := m.call(t, "alpha", 440, codec)
				eventually(t, 5*time.Second, "both people hear 440 Hz", func() bool { return hears(a, 440)() && hears(b, 440)() })
				eventually(t, 5*time.Second, "the phone hears 620 and 880 Hz", func() bool { return p.tone(620) > -26 && p.tone(880) > -26 })
				if p.tone(440) > -45 {
					t.Errorf("the phone hears itself at %.1f dBov", p.tone(440))
				}
				if all := m.app.Calls(); len(all) != 1 || all[0].State != call.Active {
					t.Errorf("calls %+v", all)
				}
				if pr := a.Sees(m.app.Calls()[0].Occupant.Resource); pr == nil || lab.TextOf(pr, "status") != "Connected" {
					t.Errorf("the room sees %v", pr)
				}
				p.d.Hangup(cause.Cause{Code: cause.Normal})
				eventually(t, 3*time.Second, "the phone leaves the room", func() bool { return len(a.Others()) == 1 && len(m.app.Calls()) == 0 })
			})
		}
	}
}

// gateway is where phones of this machine reach the gateway.
func (m *meeting) gateway() string {
	if m.at != "" {
		return m.at
	}
	at := m.app.SIPAddrs()[0]
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
	}
	return at.String()
}
