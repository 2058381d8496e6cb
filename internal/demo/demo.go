// Package demo is the command `jigasi demo`: a whole meeting in one process, with the real
// gateway and a phone in it. It shows a call as it happens and judges who hears whom.
package demo

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/phone"
)

// The tones: each party says one, and has to hear exactly the others.
const (
	phoneTone = 440
	annaTone  = 620
	benTone   = 880
	roomName  = "demo"
)

// options are the command's flags, and what its tests change.
type options struct {
	length   time.Duration
	out      string
	listen   string
	captions bool
	tones    bool          // captions of tones, though there may be an engine for words
	noBridge bool          // a meeting without a bridge
	patience time.Duration // for the answer; 0 means 10 s
	again    int           // how often to judge again; 0 means 5 times
}

// shortest is the least time to judge by: a tone is measured over a second.
const shortest = 2 * time.Second

// Run is the command. The status is 0 only if everybody hears exactly the others.
func Run(args []string, stdout, stderr io.Writer, env func(string) string) int {
	var o options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.DurationVar(&o.length, "for", 12*time.Second, "how long the phone talks")
	fs.StringVar(&o.out, "out", "", "folder for phone-heard.wav, room-heard.wav and call.json")
	fs.StringVar(&o.listen, "listen", "", "take calls at this IP:port and stay open for your own softphone: it calls sip:demo@IP:port")
	fs.BoolVar(&o.captions, "captions", false, "show what is said as text: tones, or words where pocketsphinx and flite are installed")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := o.check(fs.Args()); err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, o, newScreen(stdout, env), stderr)
}

func (o options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is not understood", rest[0])
	}
	if o.length < shortest {
		return fmt.Errorf("--for %v is too short to judge by: at least %v", o.length, shortest)
	}
	if o.listen != "" {
		if _, err := netip.ParseAddrPort(o.listen); err != nil {
			return fmt.Errorf("--listen wants IP:port, such as 0.0.0.0:5060, and not %q", o.listen)
		}
	}
	return nil
}

func run(ctx context.Context, o options, show *screen, stderr io.Writer) int {
	s, err := begin(o, show)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer s.close(ctx)
	show.title("A meeting of Anna and Ben, and a phone that dials in")
	r := s.call(ctx, o)
	if ctx.Err() != nil {
		show.say("interrupted")
		return 1
	}
	show.verdict(r)
	status := 0
	if !r.Good || s.captions != nil && !s.readable(ctx) {
		status = 1
	}
	if o.out != "" {
		if err := s.write(o.out, r); err != nil {
			fmt.Fprintln(stderr, "demo:", err)
			return 1
		}
		show.say("written to " + o.out + ": phone-heard.wav, room-heard.wav, call.json")
	}
	if o.listen != "" {
		s.open(ctx)
	}
	return status
}

// session is a running demo.
type session struct {
	meeting   *lab.Meeting
	app       *app.App
	anna, ben *bot.Bot
	line      *timeline
	captions  *captions // nil: none
	phone     *phone.Phone
	nick      string  // the phone's endpoint id
	inRoom    []int16 // what Anna heard of the phone, at 48 kHz; she forgets it when the phone leaves
}

func begin(o options, show *screen) (*session, error) {
	m, err := lab.Start(lab.Options{})
	if err != nil {
		return nil, err
	}
	s := &session{meeting: m, line: newTimeline(show)}
	if o.noBridge {
		m.Focus.UseBridge(nil)
	}
	listen := o.listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cfg := config.Default()
	cfg.Meeting.Domain, cfg.Meeting.DefaultRoom, cfg.Meeting.MUC = lab.Domain, roomName, m.XMPP.MUC()
	cfg.XMPP.Server, cfg.XMPP.Plaintext = m.XMPP.Addr(), true
	cfg.SIP.Listen = []string{"udp:" + listen}
	cfg.Admin.Port = 0
	if o.captions {
		if s.captions, err = newCaptions(cfg, !o.tones); err != nil {
			m.Close()
			return nil, err
		}
	}
	s.app, err = app.New(cfg, app.Options{Version: "demo", Loopback: true, Log: slog.New(s.line)})
	if err == nil {
		err = s.app.Start()
	}
	if err != nil {
		if s.captions != nil {
			s.captions.close()
		}
		m.Close()
		return nil, err
	}
	s.anna, s.ben = m.Join(roomName, annaTone), m.Join(roomName, benTone)
	if c := s.captions; c != nil {
		c.names[s.anna.Nick()], c.names[s.ben.Nick()] = "Anna", "Ben"
		if !c.engine {
			c.begin(m.Bridge, s.room())
		}
	}
	return s, nil
}

// readable reports whether everybody was read; where an engine can hear words, somebody says some.
func (s *session) readable(ctx context.Context) bool {
	if s.captions.engine {
		return s.sayWords(ctx)
	}
	s.captions.show(s.line.show)
	return !s.captions.lacking()
}

// close ends all. After an interrupt nobody wants to wait.
func (s *session) close(ctx context.Context) {
	limit := 3 * time.Second
	if ctx.Err() != nil {
		limit = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	s.line.end()
	if s.phone != nil {
		_ = s.phone.Hangup(ctx) // the gateway ends the call anyway
	}
	if s.captions != nil {
		s.captions.close()
	}
	_ = s.app.Close(ctx) // the process ends
	s.meeting.Close()
}

// server is where the phone on this machine finds the gateway.
func (s *session) server() netip.AddrPort {
	at := s.app.SIPAddrs()[0]
	switch {
	case at.Addr().IsUnspecified() && at.Addr().Is4():
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
	case at.Addr().IsUnspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	return at
}

// open keeps the meeting for the user's own softphone, until ctx is done.
func (s *session) open(ctx context.Context) {
	show := s.line.show
	host := s.app.SIPAddrs()[0].String()
	if s.app.SIPAddrs()[0].Addr().IsUnspecified() {
		host = fmt.Sprintf("%s, or the same port at another address of this machine", s.server())
	}
	show.say(fmt.Sprintf("\nThe meeting stays open. Call sip:%s@%s\nAnna says %d Hz and Ben %d Hz. Ctrl-C ends it.\n", roomName, host, annaTone, benTone))
	s.line.perCall()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			show.say("")
			return
		case <-tick.C:
		}
		calls := s.app.Calls()
		if len(calls) == 0 {
			continue
		}
		nick := calls[len(calls)-1].Occupant.Resource
		show.meters([]meter{{"phone", "Anna", level(s.anna, nick)}, {"phone", "Ben", level(s.ben, nick)}})
	}
}

// call is the phone's call, from INVITE to the end.
func (s *session) call(ctx context.Context, o options) report {
	s.line.start()
	p, err := phone.Dial(phone.Options{
		Server: s.server(), User: roomName, Tone: phoneTone,
		Headers: [][2]string{{"Jitsi-Conference-Room", roomName}},
		On:      func(event string, at time.Time) { s.line.add("phone", event, at) },
	})
	if err != nil {
		return report{Reasons: []string{err.Error()}}
	}
	s.phone = p
	var r report
	if err := s.talk(ctx, o); err != nil {
		r.Reasons = []string{err.Error()}
	} else {
		r = s.judgeAgain(ctx, cmp.Or(o.again, 5))
	}
	s.hangup(ctx)
	r.Codec, r.Timeline, r.End = p.Codec(), s.line.all(), s.line.cause()
	return r
}

// judgeAgain judges by the last second, and by some more where that was not right: a machine that
// is busy with something else for a moment leaves a gap, a gateway that is wrong stays so.
func (s *session) judgeAgain(ctx context.Context, more int) report {
	r := s.judge()
	tick := time.NewTicker(shortest / 2)
	defer tick.Stop()
	for range more {
		if r.Good {
			break
		}
		select {
		case <-ctx.Done():
			return r
		case <-s.phone.Over():
			return r
		case <-tick.C:
		}
		r = s.judge()
	}
	return r
}

// hangup ends the call, and lets the gateway say so.
func (s *session) hangup(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s.line.ending()
	if s.phone.Ended() == "" {
		s.line.add("phone", "hangs up", time.Now())
	}
	_ = s.phone.Hangup(ctx) // if nobody answers, the timeline shows it
	select {
	case <-s.line.over:
	case <-ctx.Done():
	}
}

// unread is how much longer than asked they talk, at most, until everybody's tone was read.
const (
	unread    = 10 * time.Second
	readEvery = 100 * time.Millisecond
)

// talk waits for the answer and lets them talk for so long, with meters.
func (s *session) talk(ctx context.Context, o options) error {
	if o.patience == 0 {
		o.patience = 10 * time.Second
	}
	end := time.NewTimer(o.patience)
	defer end.Stop()
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	up := s.phone.Up()
	var late time.Duration
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.phone.Over():
			return fmt.Errorf("the call ended early: %s", s.phone.Ended())
		case <-up:
			up = nil
			s.nick = s.occupant()
			if s.captions != nil {
				s.captions.names[s.nick] = "phone"
			}
			end.Reset(o.length)
		case <-end.C:
			if up != nil {
				return fmt.Errorf("the phone was not answered within %v; the last step was: %s", o.patience, s.line.last())
			}
			if s.captions == nil || !s.captions.lacking() || late >= unread {
				return nil
			}
			late += readEvery
			end.Reset(readEvery)
		case <-tick.C:
			if s.captions != nil {
				s.captions.show(s.line.show)
			}
			if up == nil {
				s.line.show.meters([]meter{{"phone", "room", level(s.anna, s.nick)}, {"room", "phone", s.phone.Level()}})
			}
		}
	}
}

// level is how loud a person hears a participant.
func level(who *bot.Bot, nick string) uint8 {
	v, ok := who.Hears()[nick]
	if !ok || v.Since > 300*time.Millisecond {
		return audio.Silent
	}
	return v.Level()
}

// occupant is the endpoint id of the call.
func (s *session) occupant() string {
	for _, c := range s.app.Calls() {
		return c.Occupant.Resource
	}
	return ""
}
