package app_test

import (
	"jigasi/internal/app"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/relay"
	"jigasi/internal/lab/soak"
)

// settled is what a count comes to that goes down by itself.
func settled(t *testing.T, most int, count func() int) {
	t.Helper()
	var n int
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if n = count(); n <= most {
			return
		}
	}
	t.Errorf("%d are left, want at most %d", n, most)
}

// T39: the focus moves a meeting from bridge to bridge, or one phone by transport-replace, again and again.
// The call stays, is heard again each time, and nothing is left of the old sessions.
func TestT39_BridgeMoves(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	p, heard := connected(t, m)
	id := m.app.Calls()[0].ID
	var gaps []time.Duration
	for i := range soak.Count(10, 100) {
		opened, want := m.Bridge.Opened(), int64(3)
		p.silence()
		if i%2 == 0 {
			m.Focus.Move("alpha", m.Bridge)
		} else {
			want = 1
			m.Focus.ReplaceTransport("alpha", m.nick(t), m.Bridge)
		}
		eventually(t, 10*time.Second, "all are invited anew", func() bool { return m.Bridge.Opened() >= opened+want })
		p.deaf()
		eventually(t, 15*time.Second, "everybody hears everybody again", heard)
		gaps = append(gaps, p.silence())
		if all := m.app.Calls(); len(all) != 1 || all[0].ID != id || t.Failed() {
			t.Fatalf("move %d: calls %+v", i+1, all)
		}
	}
	slices.Sort(gaps)
	p95 := gaps[len(gaps)*95/100]
	t.Logf("the phone heard nothing for %v (p95), %v at most", p95, gaps[len(gaps)-1])
	if soak.Full() && p95 > 2*time.Second {
		t.Errorf("silent for %v (p95), promised are 2 s", p95)
	}
	if n := m.Bridge.Endpoints(); n != 3 {
		t.Errorf("%d endpoints are on the bridge, want 3", n)
	}
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
	settled(t, 0, m.app.PortsInUse)
}

// T41: the bridge does not answer a phone's checks (STUN) any more, while sound still flows. The gateway asks
// for a new session, once, and the call is heard again.
func TestT41_ConsentIsLost(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	p, heard := connected(t, m)
	id, nick := m.app.Calls()[0].ID, m.nick(t)
	var on atomic.Bool
	on.Store(true)
	m.Bridge.Lose(func(endpoint string, b []byte) bool { return endpoint == nick && len(b) > 0 && b[0] < 4 && on.Load() })
	began := time.Now()
	eventually(t, 30*time.Second, "a new session is asked for", func() bool { return m.Focus.Restarts(nick) > 0 })
	asked := time.Since(began)
	if soak.Full() {
		<-time.After(20*time.Second - asked)
	}
	on.Store(false)
	back := time.Now()
	p.deaf()
	promised(t, 10*time.Second, "everybody hears everybody again", heard)
	t.Logf("asked after %v, heard %v after the network was back", asked.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	if n := m.Focus.Restarts(nick); n < 1 || n > soak.Count(1, 2) { // a session whose bridge is never found is given up after 15 s
		t.Errorf("a new session was asked for %d times", n)
	}
	if all := m.app.Calls(); len(all) != 1 || all[0].ID != id {
		t.Errorf("calls %+v, want the same one", all)
	}
}

// T38: the network to the meeting is gone, XMPP and media, and comes back. The phone stays, and is heard again.
func TestT38_Partition(t *testing.T) {
	t.Parallel()
	var r *relay.TCP
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		var err error
		if r, err = relay.NewTCP(cfg.XMPP.Server); err != nil {
			t.Fatal(err)
		}
		cfg.XMPP.Server, cfg.XMPP.Ping = r.Addr(), 5*time.Second
	})
	t.Cleanup(r.Close)
	p, heard := connected(t, m)
	id, nick := m.app.Calls()[0].ID, m.nick(t)
	var gone atomic.Bool
	gone.Store(true)
	m.Bridge.Lose(func(endpoint string, _ []byte) bool { return endpoint == nick && gone.Load() })
	r.Stall()
	<-time.After(time.Duration(soak.Count(4, 30)) * time.Second)
	if all := m.app.Calls(); len(all) != 1 || all[0].ID != id {
		t.Fatalf("calls %+v, want the same one", all)
	}
	p.deaf()
	r.Heal()
	gone.Store(false)
	back := time.Now()
	promised(t, 10*time.Second, "everybody hears everybody again", heard)
	t.Logf("heard %v after the network was back", time.Since(back).Round(time.Millisecond))
	if all := m.app.Calls(); len(all) != 1 || all[0].ID != id {
		t.Errorf("calls %+v, want the same one", all)
	}
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
}

// T38: a partition that lasts ends the call by our own rule, and leaves nothing of it; when the network is back, the next
// call is taken and heard.
func TestT38_LongPartition(t *testing.T) {
	t.Parallel()
	var r *relay.TCP
	as := app.Options{Log: logger(t)}
	if !soak.Full() {
		as.Away = 3 * time.Second
	}
	m := startAs(t, lab.Options{}, as, func(cfg *config.Config) {
		var err error
		if r, err = relay.NewTCP(cfg.XMPP.Server); err != nil {
			t.Fatal(err)
		}
		cfg.XMPP.Server, cfg.XMPP.Ping = r.Addr(), time.Duration(soak.Count(1, 5))*time.Second
		withBrewery(cfg)
		briefly(t)(cfg)
	})
	t.Cleanup(r.Close)
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	p, _ := connected(t, m)
	nick := m.nick(t)
	var gone atomic.Bool
	gone.Store(true)
	m.Bridge.Lose(func(endpoint string, _ []byte) bool { return endpoint == nick && gone.Load() })
	r.Stall()
	cut := time.Now()
	ended := func() bool {
		select {
		case <-p.over:
			return len(m.app.Calls()) == 0 && m.app.PortsInUse() == 0
		default:
			return false
		}
	}
	within(t, 90*time.Second, "the phone is told, and nothing of the call is left", ended)
	t.Logf("ended after %v", time.Since(cut).Round(100*time.Millisecond))
	if soak.Full() {
		<-time.After(time.Until(cut.Add(2 * time.Minute)))
	}
	r.Heal()
	gone.Store(false)
	back := time.Now()
	var q *caller
	promised(t, 10*time.Second, "a call is taken", func() bool {
		q, _ = m.tryCall(t, "alpha", 440, "PCMU")
		return q != nil
	})
	if q == nil {
		return
	}
	promised(t, time.Until(back.Add(20*time.Second)), "the next phone hears the meeting", func() bool { return q.tone(620) > -40 })
	t.Logf("taken and heard %v after the network was back", time.Since(back).Round(100*time.Millisecond))
	eventually(t, 30*time.Second, "the brewery is joined again", joined(m))
	q.d.Hangup(cause.Cause{Code: cause.Normal})
}
