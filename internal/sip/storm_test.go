package sip_test

import (
	"fmt"
	"jigasi/internal/lab/soak"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// pbx is a registrar of many accounts that notes when it was asked by each.
type pbx struct {
	*scene
	asked  map[string][]time.Duration // by the user: new requests, not repetitions
	seen   map[string]bool
	status int    // of its answer to a proof; 0 is none at all
	fields string // of that answer
}

// serve answers for so long.
func (p *pbx) serve(span time.Duration) {
	for end := time.NewTimer(span); ; {
		select {
		case <-end.C:
			return
		case m := <-p.phone.inbox:
			req, ok := m.(*gosip.Request)
			if !ok || req.Method != gosip.REGISTER {
				p.Fatalf("there came\n%s", show(m))
			}
			id := req.CallID().Value() + fmt.Sprint(req.CSeq().SeqNo)
			proof := siptx.Value(req, "Authorization") != ""
			if !p.seen[id] && proof {
				p.asked[req.From().Address.User] = append(p.asked[req.From().Address.User], time.Since(p.phone.since))
			}
			p.seen[id] = true
			switch {
			case p.status == 0:
			case !proof:
				p.phone.respond(req, 401, challenge, "")
			default:
				p.phone.respond(req, p.status, p.fields, "")
			}
		}
	}
}

// busiest is how many new requests came in the busiest second after a moment, and least is the shortest time
// between two of one account.
func (p *pbx) busiest(after time.Duration) (most int, least time.Duration) {
	seconds := map[int]int{}
	least = time.Hour
	for _, list := range p.asked {
		for i, at := range list {
			if at > after {
				seconds[int(at/time.Second)]++
				if i > 0 {
					least = min(least, at-list[i-1])
				}
			}
		}
	}
	for _, n := range seconds {
		most = max(most, n)
	}
	return most, least
}

func (p *pbx) registered() (n int) {
	for _, r := range p.ua.Registrations() {
		if r.Registered {
			n++
		}
	}
	return n
}

// T43: hundreds of accounts do not storm their registrar, at the start, while it is away, when it is back, when it
// asks for time, and when they are refreshed.
func TestT43_ManyAccounts(t *testing.T) {
	t.Parallel()
	count := soak.Count(100, 1000)
	o := sip.Options{}
	for i := range count {
		o.Accounts = append(o.Accounts, sip.Account{ID: fmt.Sprint(i), User: fmt.Sprintf("u%d", i), Domain: "192.0.2.2", Password: "secret"})
	}
	play(t, o, func(s *scene) {
		p := &pbx{scene: s, asked: map[string][]time.Duration{}, seen: map[string]bool{}, status: 200, fields: "Expires: 600\n"}
		step := func(name string, span, apart time.Duration, up, most int) {
			t.Helper()
			from := time.Since(s.phone.since)
			p.serve(span)
			got, least := p.busiest(from)
			if got > most || least < apart {
				t.Errorf("%s: %d in one second, at most %d; one account twice in %v", name, got, most, least)
			}
			if n := p.registered(); n != up {
				t.Errorf("%s: %d accounts of %d are registered", name, n, up)
			}
			t.Logf("%s: at most %d of %d accounts in one second, one account not more often than each %v", name, got, count, least)
		}
		start := max(52, count*12/100)
		step("start", 12*time.Second, 5*time.Second, count, start)
		step("refresh", 15*time.Minute, 9*time.Minute, count, start)
		p.status = 0
		step("dead", 20*time.Minute, 5*time.Second, 0, start)
		p.status = 200
		step("back", 65*time.Second, 5*time.Second, count, count/5)
		p.status, p.fields = 503, "Retry-After: 120\n"
		// Who had just asked when it came back asks again together: as many as have a request under way, within T2.
		step("asks for time", 15*time.Minute, 2*time.Minute, 0, max(start, count/5))
		p.status, p.fields = 200, "Expires: 600\n"
		step("takes them again", 155*time.Second, 2*time.Minute, count, count/5)
		done := make(chan struct{})
		s.Cleanup(func() { close(done) })
		go func() { // nobody answers when all unregister
			for {
				select {
				case <-s.phone.inbox:
				case <-done:
					return
				}
			}
		}()
	})
}

// T43: a registrar that changes its mind costs one more round, and no brute loop: a stale nonce, another algorithm,
// another realm, more time, another port of ours.
func TestT43_ChangesOfTheRegistrar(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		fields string
		proof  string // that the next request has to have
	}{
		"stale":     {401, "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n2\", algorithm=MD5, stale=true\n", `nonce="n2"`},
		"algorithm": {401, "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n2\", algorithm=SHA-256, qop=\"auth\", stale=true\n", "algorithm=SHA-256"},
		"realm":     {401, "WWW-Authenticate: Digest realm=\"new\", nonce=\"n2\", algorithm=MD5\n", `realm="new"`},
		"proxy":     {407, "Proxy-Authenticate: Digest realm=\"edge\", nonce=\"n2\", algorithm=MD5\n", `realm="edge"`},
		"more time": {423, "Min-Expires: 900\n", `nonce="n1"`},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
				s.register("Expires: 100\n")
				req := s.phone.method("REGISTER") // to refresh
				s.phone.respond(req, tt.status, tt.fields, "")
				again := s.phone.method("REGISTER")
				if got := siptx.Value(again, "Authorization") + siptx.Value(again, "Proxy-Authorization"); !strings.Contains(got, tt.proof) {
					t.Errorf("asked again with %s", got)
				}
				s.phone.respond(again, 200, "Expires: 900\n", "")
				s.phone.quiet()
				if r := registered(s); !r.Registered {
					t.Errorf("stands at %+v", r)
				}
			})
		})
	}
	account := desk
	account.Realms = []string{"pbx"} // of the user's own words: there is no other
	play(t, sip.Options{Accounts: []sip.Account{account}}, func(s *scene) {
		s.register("Expires: 100\n")
		s.phone.respond(s.phone.method("REGISTER"), 401, "WWW-Authenticate: Digest realm=\"new\", nonce=\"n2\", algorithm=MD5\n", "")
		s.phone.quiet()
		if r := registered(s); r.Registered {
			t.Error("registered in a realm that is not the account's")
		}
	})
}

// T13: nobody can guess his way in: the gateway asks for no password, takes none, and answers who tries as
// little as any other stranger; each proof of its own is made for one request.
func TestT13_NothingToGuess(t *testing.T) {
	t.Parallel()
	const count = 10000
	for _, open := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir()
			taken := 0
			ua := sip.New(sip.Options{
				Wire: a, Open: open, Listen: []sip.Listener{{Network: "udp", Addr: gateway.String()}}, Trunks: []netip.Prefix{netip.MustParsePrefix("192.0.2.77/32")},
				Incoming: func(*sip.Dialog) { taken++ },
			})
			if err := ua.Start(); err != nil {
				t.Fatal(err)
			}
			answers := map[int]int{}
			a.join(phoneAt, func(b []byte, _ string, _ netip.AddrPort) {
				m, err := siptx.Parse(b)
				res, ok := m.(*gosip.Response)
				if err != nil || !ok {
					t.Errorf("there came %q, %v", b, err)
					return
				}
				answers[res.StatusCode]++
				if siptx.Value(res, "WWW-Authenticate")+siptx.Value(res, "Proxy-Authenticate") != "" {
					t.Errorf("a guesser is challenged:\n%s", res)
				}
			})
			p := &phone{t: t, air: a, at: phoneAt}
			a.join(gateway, func(b []byte, network string, from netip.AddrPort) { ua.Receive(b, network, gateway, from) })
			for i := range count {
				auth := fmt.Sprintf("Authorization: Digest username=\"1000\", realm=\"jigasi\", nonce=\"n%d\", uri=\"sip:192.0.2.1\", response=\"%032x\"\n", i%7, i)
				p.request("REGISTER", auth, "")
				if i%100 == 99 {
					time.Sleep(time.Second) // 100 a second
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			total := 0
			for _, n := range answers {
				total += n
			}
			if want := map[bool]int{false: 0, true: 20}[open]; total > want || answers[200] > 0 || taken > 0 {
				t.Errorf("open %v: answered %v, %d calls were taken", open, answers, taken)
			}
			t.Logf("open %v: of %d guesses %d were answered", open, count, total)
			ctx, cancel := contextFor(time.Second)
			defer cancel()
			_ = ua.Close(ctx)
			a.close()
		})
	}
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) { // our own proofs
		first := s.phone.method("REGISTER")
		s.phone.respond(first, 401, "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", qop=\"auth\"\n", "")
		var counts []string
		for range 5 {
			req := s.phone.method("REGISTER")
			auth := siptx.Value(req, "Authorization")
			if !strings.Contains(auth, `uri="`+req.Recipient.String()+`"`) {
				t.Errorf("the proof is of another request: %s", auth)
			}
			_, nc, _ := strings.Cut(auth, "nc=")
			counts = append(counts, nc[:8])
			s.phone.respond(req, 200, "Expires: 60\n", "")
		}
		if !slices.Equal(counts, []string{"00000001", "00000002", "00000003", "00000004", "00000005"}) {
			t.Errorf("proofs are counted %v", counts)
		}
	})
}
