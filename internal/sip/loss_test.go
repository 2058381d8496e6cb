package sip_test

import (
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/lab/soak"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// both makes two user agents in one air; calls to any come to take.
func both(t *testing.T, a *air, take func(*sip.Dialog)) (uas [2]*sip.UA, end func()) {
	t.Helper()
	for i, at := range []netip.AddrPort{gateway, phoneAt} {
		uas[i] = sip.New(sip.Options{Wire: a, Listen: []sip.Listener{{Network: "udp", Addr: at.String()}}, Open: false, Trunks: everybody, Incoming: take})
		a.join(at, func(b []byte, network string, from netip.AddrPort) { uas[i].Receive(b, network, at, from) })
		if err := uas[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	return uas, func() {
		ctx, cancel := contextFor(time.Second)
		defer cancel()
		for _, ua := range uas {
			_ = ua.Close(ctx)
		}
		a.close()
	}
}

var everybody = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// live is an owner of a call that changes and ends it in one of several ways.
func live(d *sip.Dialog, n int, ended *atomic.Int32) {
	bye := func() { d.Hangup(cause.Cause{Code: cause.Normal}) }
	for e := range d.Events() {
		switch e.Kind {
		case sip.Offer:
			e.Reply(200, []byte(offer))
		case sip.Info:
			e.Reply(200, nil)
		case sip.Answered, sip.Confirmed:
			switch n % 4 {
			case 0:
				bye()
			case 1:
				d.Reinvite([]byte(offer), func([]byte, error) { bye() })
			case 2:
				d.Info("a/b", nil, func(int) { bye() })
			}
		case sip.Ended:
			ended.Add(1)
		default:
		}
	}
}

// T20: with a fifth of all messages lost, every call ends, and nothing of it is left 40 s later.
func TestT20_NothingStaysUnderLoss(t *testing.T) {
	t.Parallel()
	count := soak.Count(300, 1000)
	synctest.Test(t, func(t *testing.T) {
		a := newAir()
		rng := rand.New(rand.NewPCG(20, 20))
		a.lose = func(netip.AddrPort, []byte) bool { return rng.IntN(5) == 0 }
		var ended, taken atomic.Int32
		uas, end := both(t, a, func(d *sip.Dialog) {
			n := int(taken.Add(1))
			d.Ring()
			if n%5 == 0 {
				d.Reject(cause.Cause{Code: cause.Busy})
			} else {
				time.AfterFunc(time.Duration(n*37%3000)*time.Millisecond, func() { d.Answer([]byte(offer)) })
			}
			live(d, n, &ended)
		})
		for n := range count {
			d, err := uas[0].Dial(t.Context(), sip.DialOptions{To: "sip:x@" + phoneAt.String(), SDP: []byte(offer)})
			if err != nil {
				t.Fatal(err)
			}
			go live(d, n, &ended)
			if n%3 == 0 {
				time.AfterFunc(time.Duration(n%7)*time.Second, func() { d.Hangup(cause.Cause{Code: cause.Cancelled}) })
			}
			time.AfterFunc(2*time.Minute, func() { d.Hangup(cause.Cause{Code: cause.Normal}) })
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(2*time.Minute + 40*time.Second)
		for i, ua := range uas {
			if c, s := ua.Transactions(); ua.Calls()+c+s != 0 {
				t.Errorf("side %d has %d calls, %d client and %d server transactions left", i, ua.Calls(), c, s)
			}
		}
		if got := ended.Load(); got != int32(count)+taken.Load() {
			t.Errorf("%d of %d calls told their end", got, int32(count)+taken.Load())
		}
		end()
	})
}

// Whatever a peer sends in whatever order, nothing panics and nothing stays.
func FuzzDialog(f *testing.F) {
	f.Add([]byte("IpAkB"))
	f.Add([]byte("ICaAiuUBx"))
	f.Add([]byte("OraAoOtbkB"))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 60 {
			return
		}
		play(t, sip.Options{}, func(s *scene) {
			m := &monkey{scene: s, tag: "none", replies: len(script)%2 == 0}
			for i, c := range script {
				m.act(i, c)
				m.hear()
			}
			for range 3 {
				for _, d := range m.all {
					d.Hangup(cause.Cause{})
				}
				for range 40 {
					time.Sleep(time.Second)
					m.hear()
				}
			}
			s.empty()
			if s.ua.Stats().Panics.Load() != 0 {
				t.Error("a defect of ours")
			}
		})
	})
}

// A monkey plays both the phone and the owner of its call.
type monkey struct {
	*scene
	call    *sip.Dialog // the latest
	all     []*sip.Dialog
	tag     string
	replies bool
}

// hear takes what has come, and learns the tag of the gateway.
func (m *monkey) hear() {
	time.Sleep(20 * time.Millisecond)
	for {
		select {
		case msg := <-m.phone.inbox:
			if text := show(msg); strings.HasPrefix(text, "SIP/2.0 1") || strings.HasPrefix(text, "SIP/2.0 2") {
				if _, v, ok := strings.Cut(siptx.Value(msg, "To"), "tag="); ok {
					m.tag = v
				}
			}
		case d := <-m.calls:
			m.call, m.all = d, append(m.all, d)
			go func() {
				for e := range d.Events() {
					if e.Reply != nil && m.replies {
						e.Reply(200, []byte(offer))
					}
				}
			}()
		default:
			return
		}
	}
}

var monkeyMethods = map[byte]string{
	'i': "INVITE", 'u': "UPDATE", 'b': "BYE", 'k': "ACK", 'p': "PRACK", 'n': "INFO", 'r': "REFER", 'o': "OPTIONS", 'c': "CANCEL",
}

func (m *monkey) act(i int, c byte) {
	body := ""
	if i%2 == 0 {
		body = offer
	}
	switch c {
	case 'I':
		m.phone.request("INVITE", "Supported: timer, 100rel\n", offer)
		return
	case 'R':
		m.phone.request("INVITE", "Require: 100rel\nSession-Expires: 90\n", "")
		return
	case 'C':
		m.phone.requestAs("CANCEL", "", "", m.phone.seq, fmt.Sprintf("z9hG4bK%s%d", m.phone.at.Addr(), m.phone.seq))
		return
	}
	if method := monkeyMethods[c]; method != "" {
		m.phone.in(method, m.tag, map[bool]string{true: fmt.Sprintf("RAck: %d 1 INVITE\n", i)}[c == 'p'], body)
		return
	}
	if m.call == nil {
		return
	}
	switch c {
	case 'A':
		m.call.Answer([]byte(offer))
	case 'G':
		m.call.Progress([]byte(offer))
	case 'H':
		m.call.Hangup(cause.Cause{})
	case 'V':
		m.call.Reinvite([]byte(offer), func([]byte, error) {})
	default:
		time.Sleep(time.Duration(c) * 100 * time.Millisecond)
	}
}
