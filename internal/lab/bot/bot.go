// Package bot is a participant of a meeting for tests and the demo: it joins a room, accepts the
// focus' session, says a tone and measures by ear whose tones it hears. It is written from
// the specification, not from the gateway's code.
package bot

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/jingle"
	"jigasi/internal/stanza"

	"github.com/pion/rtp"
)

// A Wire carries stanzas of the bot; from is set by it.
type Wire interface{ Send(e *stanza.Elem) }

// Options makes a bot.
type Options struct {
	Room stanza.JID // bare
	Nick string     // eight hex digits
	Name string
	JID  string // full JID of the bot
	XML  bool   // cannot read JSON sources
	Tone float64
	DBov float64 // of the tone; 0 means -20
	Log  *slog.Logger
}

// A Bot is a participant. Its methods are safe for concurrent use.
type Bot struct {
	opt  Options
	wire Wire
	in   chan *stanza.Elem
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	ssrc uint32
	hush atomic.Bool
	text atomic.Pointer[[]int16] // to be spoken
	keys chan byte               // events to send
	sent sent                    // packets

	mu      sync.Mutex
	presses map[uint32][]Pressed // keys of others, by stream
	media   *transport
	owners  map[uint32]string
	ears    map[uint32]*ear
	sid     string
	joined  bool
	present map[string]*stanza.Elem
	shows   map[string]string   // more of our presence, by element
	said    []*stanza.Elem      // messages of the room
	status  map[string][]string // of transcribers, one after the other
}

// ear is what was heard of one SSRC, at 48 kHz.
type ear struct {
	dec   *codec.OpusDecoder
	pcm   []int16
	first time.Time
	last  time.Time
	gap   time.Duration // longest pause between packets
	count int
	seq   uint16
	lost  int
	next  uint32        // timestamp that the next packet has if nothing is missing
	hole  time.Duration // longest stretch of media time without a packet
	heard sent
}

// Join enters the room.
func Join(o Options, w Wire) *Bot {
	if o.DBov == 0 {
		o.DBov = -20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bot{
		opt: o, wire: w, in: make(chan *stanza.Elem, 1000), ssrc: rand.Uint32() | 1, keys: make(chan byte, 8),
		presses: map[uint32][]Pressed{}, owners: map[uint32]string{}, ears: map[uint32]*ear{}, present: map[string]*stanza.Elem{}, shows: map[string]string{}, status: map[string][]string{},
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.wg.Go(b.run)
	b.wg.Go(b.talk)
	b.wire.Send(b.presenceOf().Add(stanza.New("http://jabber.org/protocol/muc", "x")))
	return b
}

// Deliver takes a stanza for the bot. It does not block.
func (b *Bot) Deliver(e *stanza.Elem) {
	select {
	case b.in <- e:
	default:
	}
}

// Leave leaves the room and ends the bot.
func (b *Bot) Leave() {
	b.wire.Send(stanza.New("jabber:client", "presence", "type", "unavailable", "to", b.opt.Room.With(b.opt.Nick).String()))
	b.stop()
	b.wg.Wait()
	b.mu.Lock()
	m := b.media
	b.media = nil
	b.mu.Unlock()
	if m != nil {
		m.close()
	}
}

// Nick is the bot's endpoint id.
func (b *Bot) Nick() string { return b.opt.Nick }

func (b *Bot) run() {
	for {
		select {
		case <-b.ctx.Done():
			return
		case e := <-b.in:
			b.stanza(e)
		}
	}
}

func (b *Bot) result(e *stanza.Elem, payload *stanza.Elem) {
	b.wire.Send(stanza.New("jabber:client", "iq", "type", "result", "id", e.Get("id"), "to", e.Get("from")).Add(payload))
}

func (b *Bot) stanza(e *stanza.Elem) {
	from := stanza.ParseJID(e.Get("from"))
	switch {
	case e.Name.Local == "presence":
		b.presence(from, e)
	case e.Name.Local == "message":
		b.message(e)
	case e.Name.Local != "iq" || e.Get("type") == "result" || e.Get("type") == "error":
	case e.Kid("http://jabber.org/protocol/disco#info", "query") != nil:
		b.result(e, b.features(e))
	case e.Kid("urn:xmpp:jingle:1", "jingle") != nil && from.Resource == "focus":
		b.result(e, nil)
		if m, err := jingle.Parse(e); err == nil {
			b.jingle(m, e.Get("from"))
		}
	}
}

func (b *Bot) presence(from stanza.JID, e *stanza.Elem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noteStatus(from.Resource, e)
	if e.Get("type") == "unavailable" {
		delete(b.present, from.Resource)
		for ssrc, owner := range b.owners {
			if owner == from.Resource {
				delete(b.owners, ssrc)
			}
		}
		return
	}
	b.present[from.Resource] = e
	b.joined = b.joined || from.Resource == b.opt.Nick
}

// Sees gives the last presence of another occupant, or nil.
func (b *Bot) Sees(nick string) *stanza.Elem {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.present[nick]
}

// Others are the occupants the bot sees, without itself and the focus.
func (b *Bot) Others() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for n := range b.present {
		if n != b.opt.Nick && n != "focus" {
			out = append(out, n)
		}
	}
	return out
}

func (b *Bot) features(e *stanza.Elem) *stanza.Elem {
	q := stanza.New("http://jabber.org/protocol/disco#info", "query")
	if n := e.Kid("http://jabber.org/protocol/disco#info", "query").Get("node"); n != "" {
		q.Set("node", n)
	}
	q.Add(stanza.New("", "identity", "category", "client", "type", "web"))
	list := []string{"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:jingle:apps:dtls:0", "urn:ietf:rfc:5761", "urn:ietf:rfc:5888"}
	if !b.opt.XML {
		list = append(list, "http://jitsi.org/json-encoded-sources")
	}
	for _, f := range list {
		q.Add(stanza.New("", "feature", "var", f))
	}
	return q
}

func (b *Bot) jingle(m *jingle.Message, from string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch m.Action {
	case jingle.SessionInitiate, jingle.TransportReplace:
		b.offered(m, from)
	case jingle.SourceAdd:
		b.learn(m.Sources)
	case jingle.SourceRemove:
		for _, s := range m.Sources {
			delete(b.owners, s.SSRC)
		}
	case jingle.SessionTerminate:
		b.drop()
	}
}

func (b *Bot) learn(list []jingle.Source) {
	for _, s := range list {
		if s.Owner != "jvb" {
			b.owners[s.SSRC] = s.Owner
		}
	}
}

func (b *Bot) drop() {
	if m := b.media; m != nil {
		b.media = nil
		b.wg.Go(m.close)
	}
}

// offered is called with mu held.
func (b *Bot) offered(m *jingle.Message, from string) {
	b.drop()
	t, err := newTransport(b.heard)
	if err != nil {
		b.opt.Log.Warn("no transport", "err", err)
		return
	}
	b.media, b.sid = t, m.SID
	b.learn(m.Sources)
	local := t.local
	action := jingle.SessionAccept
	if m.Action == jingle.TransportReplace {
		action = jingle.TransportAccept
	}
	acc := &jingle.Message{
		Action: action, SID: m.SID, Initiator: m.Initiator, Responder: b.opt.JID, HasAudio: true, Payloads: m.Payloads, Exts: map[string]uint8{jingle.LevelURI: 1},
		Transport: &local,
		Sources:   []jingle.Source{{SSRC: b.ssrc, Name: b.opt.Nick + "-a0", MSID: b.opt.Nick + "-audio-0-1 t"}},
	}
	b.wire.Send(stanza.New("jabber:client", "iq", "type", "set", "id", fmt.Sprintf("bot%d", rand.Uint32()), "to", from).Add(acc.Elem()))
	remote := *m.Transport
	b.wg.Go(func() {
		if err := t.connect(b.ctx, remote); err != nil && b.ctx.Err() == nil {
			b.opt.Log.Warn("bot not connected", "nick", b.opt.Nick, "err", err)
		}
	})
}

// frame is how many samples a packet has.
const frame = 960

// talk sends the tone, 50 packets a second: what the machine delays is made up for.
func (b *Bot) talk() {
	enc, err := newEncoder()
	if err != nil {
		return
	}
	usual := steadyTone(b.opt.Tone, b.opt.DBov)
	tone := audio.NewTone(b.opt.Tone, 48000, b.opt.DBov)
	pcm, buf := make([]int16, frame), make([]byte, codec.MaxOpus)
	h := rtp.Header{Version: 2, PayloadType: 111, SSRC: b.ssrc, SequenceNumber: uint16(rand.Uint32())}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		due := int(time.Since(start) / (20 * time.Millisecond))
		if late := due - sent - 5; late > 0 { // forgiven: the timestamp says that something is missing
			sent += late
			h.Timestamp += uint32(late * len(pcm))
		}
		for ; sent < due; sent++ {
			if b.press(&h) {
				sent += 7 // of the eight packets of a key
				continue
			}
			if usual != nil && !b.hush.Load() && b.text.Load() == nil {
				b.say(&h, usual.pcm, usual.packets[sent%len(usual.packets)])
				continue
			}
			tone.Fill(pcm)
			if b.hush.Load() {
				clear(pcm)
			}
			b.words(pcm)
			n, err := enc.Encode(buf, pcm)
			if err != nil {
				return
			}
			b.say(&h, pcm, buf[:n])
		}
	}
}

// say sends one packet.
func (b *Bot) say(h *rtp.Header, pcm []int16, payload []byte) {
	h.SequenceNumber++
	h.Timestamp += 960
	level := rtp.AudioLevelExtension{Level: audio.Level(pcm), Voice: true}
	if ext, err := level.Marshal(); err == nil {
		_ = h.SetExtension(1, ext) // fits always
	}
	b.mu.Lock()
	m := b.media
	b.mu.Unlock()
	b.sent.note(h, payload)
	if m != nil {
		m.send(h, payload)
	}
}

// keep is how much is remembered of each stream: 30 s.
const keep = 30 * 48000

// heard is a packet of somebody, on the transport's goroutine.
func (b *Bot) heard(h *rtp.Header, payload []byte) {
	if h.PayloadType != 111 && h.PayloadType != eventType {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.ears[h.SSRC]
	now := time.Now()
	if e == nil {
		dec, err := codec.NewOpusDecoder(48000)
		if err != nil || len(b.ears) > 100 {
			return
		}
		e = &ear{dec: dec, first: now, last: now}
		b.ears[h.SSRC] = e
	}
	if d := h.SequenceNumber - e.seq; e.count > 0 && d > 1 && d < 1000 {
		e.lost += int(d) - 1
	}
	e.seq = h.SequenceNumber
	if h.PayloadType == eventType {
		b.pressed(h, payload)
		return
	}
	e.gap = max(e.gap, now.Sub(e.last))
	e.last = now
	e.count++
	pcm := make([]int16, 5760)
	n, err := e.dec.Decode(pcm, payload)
	if err != nil {
		return
	}
	e.heard.note(h, payload)
	if d := int32(h.Timestamp - e.next); e.count > 1 && d > 0 {
		e.hole = max(e.hole, time.Duration(d)*time.Second/48000)
	}
	e.next = h.Timestamp + uint32(n)
	e.pcm = append(e.pcm, pcm[:n]...)
	if len(e.pcm) > keep {
		e.pcm = e.pcm[len(e.pcm)-keep:]
	}
}

// Hush has the bot say nothing, or its tone again.
func (b *Bot) Hush(on bool) { b.hush.Store(on) }
