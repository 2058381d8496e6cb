package meetleg

import (
	"log/slog"
	"net/url"

	"jigasi/internal/conference"
	"jigasi/internal/jingle"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
	"jigasi/internal/stanza"
)

// rtp is a packet of the bridge, on the socket's goroutine.
func (l *Leg) rtp(h *rtpx.Header, payload []byte) {
	if !l.first.Load() && l.first.CompareAndSwap(false, true) {
		l.post(func() { l.log.Info("first sound from the meeting") })
	}
	l.ear.RTP(h, payload)
}

// hubRoom names a room so that legs which name it alike are in one meeting: servers that have nothing to do with
// each other often have rooms of the same address.
func hubRoom(o conference.Options, room stanza.JID) string {
	server := o.XMPP.Host
	if u, err := url.Parse(o.XMPP.URL); err == nil && u.Host != "" {
		server = u.Host
	}
	return room.String() + " " + o.XMPP.Domain + " " + server
}

func (l *Leg) report() {
	conn := l.media.Conn()
	if conn == nil || l.phase != leg.Up {
		return
	}
	in := l.ear.Reports(nil)
	ptrs := make([]*rtpx.Receiver, len(in))
	for i := range in {
		ptrs[i] = &in[i]
	}
	conn.Report(l.voice.sender(), ptrs, "jigasi-"+l.nick)
}

// port is the leg as the phone sees it.
type port Leg

// Pull implements media.Source.
func (p *port) Pull(c *media.Chunk) { p.ear.Pull(c) }

// Push implements media.Sink.
func (p *port) Push(c *media.Chunk) { p.voice.push(c) }

// Report implements leg.Leg.
func (l *Leg) Report() leg.Report {
	ear := l.ear.Stats()
	r := leg.Report{Facts: []slog.Attr{
		slog.Int("streams", ear.Streams), slog.Int64("packets", ear.Packets), slog.Int64("late", ear.Late), slog.Int64("lost", ear.Lost),
		slog.Int64("sent", int64(l.voice.sender().Packets)),
	}}
	if c := l.shown.Load(); c != nil {
		s := c.Stats()
		r.Facts = append(r.Facts, slog.String("bridge", s.Remote.String()), slog.String("profile", s.Profile),
			slog.Int64("received", s.Received), slog.Int64("skipped", s.Skipped), slog.Int64("bad", s.Bad), slog.Int64("unsent", s.Unsent))
	}
	return r
}

// sources notes whose streams come and go.
func (l *Leg) sources(added, removed []jingle.Source) {
	for _, s := range removed {
		l.ear.Remove(s.SSRC)
	}
	for _, s := range added {
		l.ear.SetOwner(s.SSRC, s.Owner)
	}
}

// keep goes on with who is in another session too, and forgets the others.
func (l *Leg) keep(now []jingle.Source) {
	keep := map[uint32]bool{}
	for _, s := range now {
		keep[s.SSRC] = true
	}
	l.ear.Keep(keep)
	l.sources(now, nil)
}
