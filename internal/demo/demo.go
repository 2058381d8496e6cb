// Package demo is the command `jigasi demo`: a whole meeting in one process, with the real
// gateway and a phone in it. It shows a call as it happens and judges who hears whom.
package demo

import (
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

// options are the command's flags.
type options struct {
	length   time.Duration
	out      string
	listen   string
	noBridge bool // for the test of the verdict
}

// Run is the command. The status is 0 only if everybody hears exactly the others.
func Run(args []string, stdout, stderr io.Writer, _ func(string) string) int {
	var o options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.DurationVar(&o.length, "for", 12*time.Second, "how long the call lasts")
	fs.StringVar(&o.out, "out", "", "folder for phone-heard.wav, room-heard.wav and call.json")
	fs.StringVar(&o.listen, "listen", "", "keep the meeting open for your own softphone, at this host:port: call sip:demo@host:port")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "demo: %q is not understood\n", fs.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, o, stdout, stderr)
}

func run(ctx context.Context, o options, stdout, stderr io.Writer) int {
	show := newScreen(stdout)
	s, err := begin(o, show)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer s.close()
	show.title("A meeting with two people, and a phone that dials in")
	if o.listen != "" {
		return s.open(ctx, o)
	}
	r := s.call(ctx, o)
	if ctx.Err() != nil {
		fmt.Fprintln(stdout, "\ninterrupted")
		return 1
	}
	show.verdict(r)
	if o.out != "" {
		if err := s.write(o.out, r); err != nil {
			fmt.Fprintln(stderr, "demo:", err)
			return 1
		}
		fmt.Fprintf(stdout, "\nwritten: phone-heard.wav, room-heard.wav, call.json in %s\n", o.out)
	}
	if !r.Good {
		return 1
	}
	return 0
}

// session is a running demo.
type session struct {
	meeting   *lab.Meeting
	app       *app.App
	anna, ben *bot.Bot
	line      *timeline
	phone     *phone.Phone
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
	s.app, err = app.New(cfg, app.Options{Version: "demo", Loopback: true, Log: slog.New(s.line)})
	if err == nil {
		err = s.app.Start()
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	s.anna, s.ben = m.Join(roomName, annaTone), m.Join(roomName, benTone)
	return s, nil
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if s.phone != nil {
		s.phone.Hangup(ctx)
	}
	_ = s.app.Close(ctx) // the process ends
	s.meeting.Close()
}

// open keeps the meeting for the user's own softphone.
func (s *session) open(ctx context.Context, o options) int {
	s.line.show.say(fmt.Sprintf("call sip:%s@%s with your softphone; Anna says %d Hz and Ben %d Hz. Ctrl-C ends it.", roomName, s.app.SIPAddrs()[0], annaTone, benTone))
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0
		case <-t.C:
		}
	}
}

// call is the phone's call, from INVITE to the end.
func (s *session) call(ctx context.Context, o options) report {
	s.line.start()
	p, err := phone.Dial(phone.Options{
		Server: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.app.SIPAddrs()[0].Port()), User: roomName, Tone: phoneTone,
		Headers: [][2]string{{"Jitsi-Conference-Room", roomName}},
		On:      func(event string, at time.Time) { s.line.add("phone", event, at) },
	})
	if err != nil {
		return report{Reasons: []string{err.Error()}}
	}
	s.phone = p
	if err := s.talk(ctx, o.length); err != nil {
		return report{Reasons: []string{err.Error()}, Timeline: s.line.all()}
	}
	return s.judge()
}

var errNoAnswer = errors.New("the phone was not answered in time")

// talk lets them talk for so long, with meters.
func (s *session) talk(ctx context.Context, length time.Duration) error {
	end := time.NewTimer(length)
	defer end.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.phone.Over():
			return fmt.Errorf("the call ended: %s", s.phone.Ended())
		case <-end.C:
			select {
			case <-s.phone.Up():
				s.line.show.meters("", 127, 127)
				return nil
			default:
				return fmt.Errorf("%w (%v)", errNoAnswer, length)
			}
		case <-tick.C:
			select {
			case <-s.phone.Up():
				s.line.show.meters("", s.roomLevel(), s.phone.Level())
			default:
			}
		}
	}
}

// roomLevel is how loud Anna hears the phone.
func (s *session) roomLevel() uint8 {
	nick := s.nick()
	v, ok := s.anna.Hears()[nick]
	if !ok || v.Since > 300*time.Millisecond {
		return 127
	}
	return v.Level()
}

// nick is the phone's endpoint id.
func (s *session) nick() string {
	for _, c := range s.app.Calls() {
		return c.Occupant.Resource
	}
	return ""
}
