package app_test

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/locate"
)

// zone is a name server that knows everything below names.test, for a second, until it is dead.
type zone struct{ dead atomic.Bool }

func (z *zone) NAPTR(ctx context.Context, _ string) ([]locate.NAPTR, time.Duration, error) {
	return nil, 0, z.answer(ctx, false)
}

func (z *zone) SRV(ctx context.Context, _ string) ([]locate.SRV, time.Duration, error) {
	return nil, 0, z.answer(ctx, false)
}

func (z *zone) Addrs(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, time.Second, z.answer(ctx, strings.HasSuffix(name, ".names.test"))
}

func (z *zone) answer(ctx context.Context, have bool) error {
	if z.dead.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if !have {
		return locate.ErrNotFound
	}
	return nil
}

// T55: the name server dies during a call. The call goes on, another comes in and is logged in at the XMPP server by
// its name, and a telephone is dialled by its name; one that nobody has heard of fails by itself.
func TestT55_DeadNameServer(t *testing.T) {
	t.Parallel()
	z := &zone{}
	names, err := locate.New(locate.Options{Resolver: z, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	m := startAs(t, lab.Options{}, app.Options{Log: logger(t), Names: names}, func(cfg *config.Config) {
		cfg.XMPP.Server = "xmpp.names.test" + cfg.XMPP.Server[strings.LastIndexByte(cfg.XMPP.Server, ':'):]
		withBrewery(cfg)
	})
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	uri, answered, _ := phones(t, m.handsets, 200)
	uri = strings.Replace(uri, "127.0.0.1", "phone.names.test", 1)
	p, heard := connected(t, m)
	dial := func(to string) (status string) {
		return m.Focus.Dial("alpha@"+m.XMPP.MUC(), to).Get("type")
	}
	out := func(what string) {
		t.Helper()
		if got := dial(uri); got != "result" {
			t.Fatalf("%s: dial-out is answered %s", what, got)
		}
		select {
		case q := <-answered:
			eventually(t, 20*time.Second, what+": the dialled phone hears the meeting", func() bool { return q.tone(620) > -40 })
			q.d.Hangup(cause.Cause{Code: cause.Normal})
		case <-time.After(patience):
			t.Fatalf("%s: the phone does not ring", what)
		}
		eventually(t, 20*time.Second, "it has left", func() bool { return len(m.app.Calls()) == 1 })
	}
	out("with a name server")
	z.dead.Store(true)
	<-time.After(1100 * time.Millisecond) // what is known has run out
	out("with a dead one")
	q := m.call(t, "alpha", 500, "PCMU")
	eventually(t, 20*time.Second, "the next phone hears the meeting", func() bool { return q.tone(620) > -40 })
	q.d.Hangup(cause.Cause{Code: cause.Normal})
	dial("sip:phone@unheard.names.test")
	eventually(t, 20*time.Second, "only the first call is left", func() bool {
		all := m.app.Calls()
		return len(all) == 1 && all[0].State == call.Active
	})
	p.deaf()
	eventually(t, 20*time.Second, "everybody hears everybody", heard)
	p.d.Hangup(cause.Cause{Code: cause.Normal})
}
