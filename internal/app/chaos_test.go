//go:build lab

package app_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/relay"
	"jigasi/internal/lab/sfu"
)

// chaos is a meeting to which everything happens.
type chaos struct {
	*meeting
	t     *testing.T
	rng   *rand.Rand // of the goroutine of the faults alone
	way   *relay.TCP // to the XMPP server
	rooms []string
	stop  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	phones map[int]*caller // who talks
	calls  int             // that came up
	failed map[string]int  // that did not, by the reason
}

// live is the life of one phone: it calls, talks until somebody ends that, and calls again.
func (c *chaos) live(n int) {
	room := c.rooms[n%len(c.rooms)]
	for {
		p, why := c.place(c.t, wish{room: room, hz: 440, codecs: []string{"PCMU"}, from: fmt.Sprintf("sip:+49301%02d@phone.test", n)})
		c.mu.Lock()
		if p == nil {
			c.failed[why.Code.String()]++
		} else {
			c.phones[n] = p
			c.calls++
		}
		c.mu.Unlock()
		if p != nil {
			select {
			case <-p.over:
			case <-c.stop:
				p.d.Hangup(cause.Cause{Code: cause.Normal})
				<-p.over
			}
			c.mu.Lock()
			delete(c.phones, n)
			c.mu.Unlock()
			p.port.Close()
		}
		select {
		case <-c.stop:
			return
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// hearing is how many phones hear a person or another phone.
func (c *chaos) hearing() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.phones {
		if p.tone(620) > -40 || p.tone(440) > -40 {
			n++
		}
	}
	return n
}

// fault is one thing that happens; what it breaks for a while is mended before it returns.
func (c *chaos) fault() string {
	room := c.rooms[c.rng.IntN(len(c.rooms))]
	switch k := c.rng.IntN(100); {
	case k < 10:
		return fmt.Sprintf("%d XMPP connections are reset", c.way.Reset())
	case k < 20:
		long := c.some(3 * time.Second)
		c.way.Stall()
		<-time.After(long)
		c.way.Heal()
		return fmt.Sprintf("XMPP stalls for %v", long)
	case k < 25:
		c.StopFocus()
		<-time.After(c.some(time.Second))
		c.StartFocus()
		return "the focus starts again"
	case k < 35:
		b, err := sfu.New()
		if err != nil {
			c.t.Error(err)
			return "no bridge"
		}
		c.Bridge.Kill()
		c.Bridge = b
		for _, r := range c.rooms {
			c.Focus.Move(r, b)
		}
		c.Focus.UseBridge(b)
		return "the bridge dies, and another comes"
	case k < 50:
		c.Focus.Move(room, c.Bridge)
		return "a meeting moves"
	case k < 65:
		share := 0.05 + 0.25*c.rng.Float64()
		c.Bridge.Lose(func(string, []byte) bool { return rand.Float64() < share })
		<-time.After(c.some(3 * time.Second))
		c.Bridge.Lose(nil)
		return fmt.Sprintf("%.0f %% of the media are lost for a while", 100*share)
	case k < 80:
		if all := c.app.Calls(); len(all) > 0 {
			who := all[c.rng.IntN(len(all))].Occupant
			c.XMPP.Room(who.Local).Kick(who.Resource, "chaos", false)
		}
		return "somebody is kicked"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.phones) > 0 {
		who := slices.Sorted(maps.Keys(c.phones))
		c.phones[who[c.rng.IntN(len(who))]].d.Hangup(cause.Cause{Code: cause.Normal})
	}
	return "somebody hangs up"
}

func (c *chaos) some(most time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(most))).Round(time.Millisecond)
}

// chaotic are how long it takes, how many phones there are, and the seed. `make chaos` sets them.
func chaotic(t *testing.T) (long time.Duration, phones int, seed uint64) {
	t.Helper()
	long, phones, seed = 3*time.Second, 4, rand.Uint64()
	if s := os.Getenv("JIGASI_CHAOS"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		long, phones = d, 20
	}
	if s := os.Getenv("JIGASI_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	return long, phones, seed
}

// TestChaos: phones call, and everything happens to them. In the end all calls that run have both legs up,
// and when they have ended nothing is left: no call, no seat, no port, no goroutine.
func TestChaos(t *testing.T) {
	long, phones, seed := chaotic(t)
	t.Logf("JIGASI_SEED=%d", seed)
	c := &chaos{t: t, rng: rand.New(rand.NewPCG(seed, 1)), stop: make(chan struct{}), phones: map[int]*caller{}, failed: map[string]int{}}
	c.meeting = start(t, lab.Options{}, func(cfg *config.Config) {
		var err error
		if c.way, err = relay.NewTCP(cfg.XMPP.Server); err != nil {
			t.Fatal(err)
		}
		cfg.XMPP.Server, cfg.XMPP.Ping, cfg.SIP.Trunks = c.way.Addr(), 5*time.Second, []string{"127.0.0.0/8"}
		withBrewery(cfg)
	})
	t.Cleanup(c.way.Close)
	for i := range max(1, phones/4) {
		c.rooms = append(c.rooms, fmt.Sprintf("room%d", i))
		c.Join(c.rooms[i], 620)
	}
	eventually(t, patience, "the focus sees the gateway", joined(c.meeting))
	before := runtime.NumGoroutine()
	for n := range phones {
		c.wg.Go(func() { c.live(n) })
	}
	up := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.phones)
	}
	eventually(t, patience, "somebody talks", func() bool { return up() > 0 })
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); <-time.After(c.some(time.Second)) {
		what := c.fault()
		t.Logf("%d talk: %s", up(), what)
	}
	within(t, 2*patience, "all phones talk, on both legs, and hear somebody", func() bool {
		all := c.app.Calls()
		for _, one := range all {
			if one.State != call.Active {
				return false
			}
		}
		return len(all) == phones && c.hearing() == phones
	})
	close(c.stop)
	c.wg.Wait()
	t.Logf("%d calls came up; not: %v", c.calls, c.failed)
	c.nothingLeft(before)
}

// nothingLeft looks for what a call leaves behind.
func (c *chaos) nothingLeft(before int) {
	c.t.Helper()
	within(c.t, 2*patience, "no call is left, and no port", func() bool { return len(c.app.Calls()) == 0 && c.app.PortsInUse() == 0 })
	for _, room := range c.rooms {
		within(c.t, patience, "nobody sits in a room but its person", func() bool {
			nicks := slices.DeleteFunc(c.XMPP.Room(room).Nicks(), func(n string) bool { return n == "focus" })
			return len(nicks) == 1
		})
	}
	settled(c.t, before+4, runtime.NumGoroutine)
	if c.t.Failed() {
		for _, one := range c.app.Calls() {
			c.t.Logf("left: %+v", one)
		}
		if os.Getenv("JIGASI_CHAOS") != "" {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		}
	}
}
