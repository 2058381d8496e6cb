package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/lab/xmppd"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/stanza"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// world is all that the gateway talks to.
type world struct {
	ip     netip.Addr // of this machine, where the bridge is: the gateway uses no loopback towards it
	sounds *sounds
	cert   tls.Certificate
	print  string // the certificate's fingerprint
	xmpp   *xmppd.Server
	focus  *focus
	ua     *sip.UA
	gen    *generator
	wg     sync.WaitGroup // readers of dialogs

	mu    sync.Mutex
	calls []*placed
	rooms map[string][]*call // by name
	seats map[string]*call   // by address in the room
	next  int
	crowd bool // the next calls are in one room
	quiet bool // and nobody speaks in theirs but the crowd's speakers
}

// placed is a call with its signalling.
type placed struct {
	*call
	dialog *sip.Dialog
	ended  error // why, if nobody wanted it
	leave  bool
}

func newWorld(s *sounds, ip netip.Addr) (*world, error) {
	w := &world{sounds: s, ip: ip, rooms: map[string][]*call{}, seats: map[string]*call{}}
	var err error
	if w.cert, w.print, err = certificate(); err != nil {
		return nil, err
	}
	if w.xmpp, err = xmppd.Start(xmppd.Options{Domain: domain}); err != nil {
		return nil, fmt.Errorf("bench: XMPP: %w", err)
	}
	w.gen = startGenerator()
	w.focus = startFocus(w.xmpp, w.offer, w.accepted)
	w.ua = sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, SessionExpires: -1, Open: true})
	if err := w.ua.Start(); err != nil {
		return nil, fmt.Errorf("bench: SIP: %w", err)
	}
	return w, nil
}

// machineIP is an address of this machine other than loopback.
func machineIP() (netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("bench: %w", err)
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("bench: this machine has no IPv4 address but loopback, which the gateway does not offer to bridges")
}

func certificate() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("bench: %w", err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("bench: %w", err)
	}
	var parts []string
	for _, b := range sha256.Sum256(der) {
		parts = append(parts, fmt.Sprintf("%02X", b))
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, strings.Join(parts, ":"), nil
}

// offer is the focus' question for an endpoint. In a crowd any will do.
func (w *world) offer(seat string) *jingle.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.rooms[stanza.ParseJID(seat).Local] {
		if !c.seated {
			c.seated, w.seats[seat] = true, c
			return c.end.local()
		}
	}
	return nil
}

// accepted is the gateway's side of the transport.
func (w *world) accepted(seat string, remote jingle.Transport, more []jingle.Candidate) {
	w.mu.Lock()
	c := w.seats[seat]
	w.mu.Unlock()
	if c == nil {
		return
	}
	w.gen.do(func() {
		if more == nil {
			c.end.remote = remote
		} else {
			c.end.remote.Candidates = append(c.end.remote.Candidates, more...)
		}
	})
}

// dial places one more call.
func (w *world) dial(ctx context.Context, gateway netip.AddrPort) error {
	c := newCall(w.next, !w.quiet && w.next%20 == 7, w.sounds)
	c.room = roomName(c.index)
	if w.crowd {
		c.room = "crowd"
	}
	if w.quiet {
		c.phone.loop, c.crowd = w.sounds.still, true
	}
	var err error
	if c.sip, err = openSocket(loopback); err != nil {
		return err
	}
	if c.end, err = newEndpoint(w.ip, w.cert, w.print); err != nil {
		c.sip.close()
		return err
	}
	w.next++
	if c.probe {
		if err := errors.Join(c.sip.stamp(), c.end.sock.stamp()); err != nil {
			return fmt.Errorf("bench: time of arrival: %w", err)
		}
	}
	p := &placed{call: c}
	w.mu.Lock()
	w.rooms[c.room] = append(w.rooms[c.room], c)
	w.calls = append(w.calls, p)
	w.mu.Unlock()
	local := sdp.Local{Addr: c.sip.local, Codecs: sdp.Codecs("PCMU")}
	offer, _ := local.Offer()
	c.began = time.Now()
	p.dialog, err = w.ua.Dial(ctx, sip.DialOptions{
		To: "sip:gw@" + gateway.String(), From: "sip:1001@phone.test", SDP: offer,
		Headers: []sip.Header{{Name: "Jitsi-Conference-Room", Value: c.room}},
	})
	if err != nil {
		return fmt.Errorf("bench: calling: %w", err)
	}
	w.gen.do(func() { w.gen.calls = append(w.gen.calls, c) })
	w.wg.Go(func() { w.follow(p, local) })
	return nil
}

// follow is the signalling of a call after its INVITE.
func (w *world) follow(p *placed, local sdp.Local) {
	for e := range p.dialog.Events() {
		switch e.Kind {
		case sip.Answered:
			took := time.Since(p.began)
			err := w.answered(p, local, e.SDP)
			w.gen.do(func() { p.answer, p.answered = took, err == nil })
			if err != nil {
				w.end(p, err)
			}
		case sip.Ended:
			w.end(p, fmt.Errorf("bench: call %d ended: %w", p.index, e.Cause))
		default:
			if e.Reply != nil {
				e.Reply(200, p.dialog.SDP())
			}
		}
	}
}

func (w *world) answered(p *placed, local sdp.Local, b []byte) error {
	s, err := sdp.Parse(b)
	if err != nil {
		return fmt.Errorf("bench: answer of call %d: %w", p.index, err)
	}
	r, err := sdp.Accept(s, local)
	if err != nil {
		return fmt.Errorf("bench: answer of call %d: %w", p.index, err)
	}
	return p.sip.connect(r.Remote)
}

func (w *world) end(p *placed, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.leave && p.ended == nil {
		p.ended = err
	}
}

// failed is why a call is not what it should be; nil if all are.
func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.calls {
		if err := p.end.err.Load(); err != nil {
			return fmt.Errorf("call %d: %w", p.index, *err)
		}
		if p.ended != nil {
			return p.ended
		}
	}
	return nil
}

const (
	dialEvery = 150 * time.Millisecond // calls are placed so often
	hearLimit = time.Minute            // to the first sound: the codecs in Go, raced, take long on a machine that has other work
)

// grow places calls until there are n, and waits until all hear.
func (w *world) grow(ctx context.Context, gateway netip.AddrPort, n int) error {
	for len(w.calls) < n {
		if err := w.dial(ctx, gateway); err != nil {
			return err
		}
		if err := wait(ctx, dialEvery); err != nil {
			return err
		}
	}
	deaf := -1
	for end := time.Now().Add(hearLimit); time.Now().Before(end); {
		if err := w.failed(); err != nil {
			return err
		}
		deaf = -1
		w.gen.do(func() {
			for _, c := range w.gen.calls {
				if c.fresh() {
					deaf = c.index
				}
			}
		})
		if deaf < 0 {
			return nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("bench: call %d hears nothing after %v", deaf, hearLimit)
}

// shrink hangs up until n calls are left.
func (w *world) shrink(ctx context.Context, n int) error {
	w.mu.Lock()
	gone := append([]*placed(nil), w.calls[n:]...)
	w.calls = w.calls[:n]
	for _, p := range gone {
		p.leave = true
		w.rooms[p.room] = slices.DeleteFunc(w.rooms[p.room], func(c *call) bool { return c == p.call })
	}
	w.mu.Unlock()
	for _, p := range gone {
		p.dialog.Hangup(cause.Cause{Code: cause.Normal})
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	if err := wait(ctx, time.Second); err != nil { // the gateway says goodbye to the bridge
		return err
	}
	w.gen.do(func() {
		w.gen.calls = w.gen.calls[:n]
	})
	for _, p := range gone {
		p.close()
	}
	return nil
}

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = w.ua.Close(ctx) // what is left is the gateway's to end
	w.wg.Wait()
	w.gen.stop()
	w.xmpp.Close()
	w.focus.close()
}
