package sip_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/sip"
)

// T20: with a fifth of all messages lost, every call ends, and nothing of it is left 40 s later.
func TestT20_NothingStaysUnderLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir()
		rng := rand.New(rand.NewPCG(20, 20))
		a.lose = func(netip.AddrPort, []byte) bool { return rng.IntN(5) == 0 }
		var uas [2]*sip.UA
		calls := make(chan *sip.Dialog, 500)
		for i, at := range []netip.AddrPort{gateway, phoneAt} {
			uas[i] = sip.New(sip.Options{
				Wire: a, Listen: []sip.Listener{{Network: "udp", Addr: at.String()}}, Trunks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
				Incoming: func(d *sip.Dialog) { calls <- d },
			})
			a.join(at, func(b []byte, network string, from netip.AddrPort) { uas[i].Receive(b, network, at, from) })
			if err := uas[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		const count = 300
		ended := make(chan string, 2*count)
		live := func(side string, d *sip.Dialog, n int) {
			for e := range d.Events() {
				switch e.Kind {
				case sip.Offer:
					e.Reply(200, []byte(offer))
				case sip.Info:
					e.Reply(200, nil)
				case sip.Answered, sip.Confirmed:
					switch n % 4 {
					case 0:
						d.Hangup(cause.Cause{Code: cause.Normal})
					case 1:
						d.Reinvite([]byte(offer), func([]byte, error) { d.Hangup(cause.Cause{Code: cause.Normal}) })
					case 2:
						d.Info("a/b", nil, func(int) { d.Hangup(cause.Cause{Code: cause.Normal}) })
					}
				case sip.Ended:
					ended <- side
				}
			}
		}
		go func() {
			for n := 0; n < count; n++ {
				d, ok := <-calls
				if !ok {
					return
				}
				go live("in", d, n)
				d.Ring()
				switch n % 5 {
				case 0:
					d.Reject(cause.Cause{Code: cause.Busy})
				default:
					time.AfterFunc(time.Duration(n*37%3000)*time.Millisecond, func() { d.Answer([]byte(offer)) })
				}
			}
		}()
		for n := range count {
			d, err := uas[0].Dial(t.Context(), sip.DialOptions{To: "sip:x@" + phoneAt.String(), SDP: []byte(offer)})
			if err != nil {
				t.Fatal(err)
			}
			go live("out", d, n)
			time.AfterFunc(time.Duration(n%7)*time.Second, func() {
				if n%3 == 0 {
					d.Hangup(cause.Cause{Code: cause.Cancelled})
				}
			})
			time.AfterFunc(2*time.Minute, func() { d.Hangup(cause.Cause{Code: cause.Normal}) })
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(2*time.Minute + 40*time.Second)
		for i, ua := range uas {
			if c, s := ua.Transactions(); ua.Calls()+c+s != 0 {
				t.Errorf("side %d has %d calls, %d client and %d server transactions left", i, ua.Calls(), c, s)
			}
		}
		if len(ended) < count {
			t.Errorf("only %d of the calls told their end", len(ended))
		}
		close(calls)
		ctx, cancel := contextFor(time.Second)
		defer cancel()
		for _, ua := range uas {
			_ = ua.Close(ctx)
		}
		a.close()
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
			var d *sip.Dialog
			tag := "none"
			hear := func() {
				time.Sleep(20 * time.Millisecond)
				for {
					select {
					case m := <-s.phone.inbox:
						if to := m.To(); to != nil && !strings.Contains(show(m), "SIP/2.0 4") {
							if _, v, ok := strings.Cut(to.Value(), "tag="); ok && strings.HasPrefix(show(m), "SIP/2.0") {
								tag = v
							}
						}
					case d = <-s.calls:
						go func(d *sip.Dialog) {
							for e := range d.Events() {
								if e.Reply != nil && len(script)%2 == 0 {
									e.Reply(200, []byte(offer))
								}
							}
						}(d)
					default:
						return
					}
				}
			}
			methods := map[byte]string{'i': "INVITE", 'u': "UPDATE", 'b': "BYE", 'k': "ACK", 'p': "PRACK", 'n': "INFO", 'r': "REFER", 'o': "OPTIONS", 'c': "CANCEL"}
			for i, c := range script {
				switch {
				case c == 'I':
					s.phone.request("INVITE", "Supported: timer, 100rel\n", offer)
				case c == 'R':
					s.phone.request("INVITE", "Require: 100rel\nSession-Expires: 90\n", "")
				case c == 'C':
					s.phone.requestAs("CANCEL", "", "", s.phone.seq, fmt.Sprintf("z9hG4bK%s%d", s.phone.at.Addr(), s.phone.seq))
				case c == 'A' && d != nil:
					d.Answer([]byte(offer))
				case c == 'G' && d != nil:
					d.Progress([]byte(offer))
				case c == 'H' && d != nil:
					d.Hangup(cause.Cause{})
				case c == 'V' && d != nil:
					d.Reinvite([]byte(offer), func([]byte, error) {})
				case methods[c] != "":
					fields := ""
					if c == 'p' {
						fields = fmt.Sprintf("RAck: %d 1 INVITE\n", i)
					}
					s.phone.in(methods[c], tag, fields, map[bool]string{true: offer}[i%2 == 0])
				default:
					time.Sleep(time.Duration(c) * 100 * time.Millisecond)
				}
				hear()
			}
			if d != nil {
				d.Hangup(cause.Cause{})
			}
			for range 100 {
				time.Sleep(time.Second)
				hear()
			}
			if d != nil {
				d.Hangup(cause.Cause{})
			}
			time.Sleep(70 * time.Second)
			if s.ua.Stats().Panics.Load() != 0 {
				t.Error("a defect of ours")
			}
		})
	})
}
