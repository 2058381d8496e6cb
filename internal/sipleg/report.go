package sipleg

import (
	"log/slog"
	"net/netip"
	"strings"

	"jigasi/internal/leg"
)

// maxSessionInfo bounds what is kept of a header.
const maxSessionInfo = 200

// SessionInfo is what the phone said of the session in X-session-info of its answer, "" for nothing.
func (l *Leg) SessionInfo() string {
	if s := l.info200.Load(); s != nil {
		return strings.ToValidUTF8(*s, "?")
	}
	return ""
}

// at writes an address, and nothing for none.
func at(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Report implements leg.Leg.
func (l *Leg) Report() leg.Report {
	s := l.port.Stats()
	r := leg.Report{Facts: []slog.Attr{
		slog.String("codec", s.Codec), slog.Bool("srtp", s.Secure), slog.String("remote", at(s.Remote)),
		slog.Int64("received", s.Received), slog.Int64("sent", s.Sent), slog.Int("lost", s.Lost), slog.Float64("jitter_ms", s.JitterMS),
		slog.Float64("peer_loss", s.PeerLoss), slog.Int("level_in", int(s.LevelIn)), slog.Int("level_out", int(s.LevelOut)),
		slog.Int64("bad", s.Bad), slog.Int64("foreign", s.Foreign), slog.Int64("dropped", s.Dropped),
	}}
	if l.opt.RTP.Forward {
		r.Facts = append(r.Facts, slog.Int64("forwarded", s.Forwarded))
	}
	if why := l.whyMixed(s.Codec); why != "" {
		r.Facts = append(r.Facts, slog.String("mixed", why))
	}
	if d := l.shown.Load(); d != nil {
		for _, m := range d.Ladder() {
			r.Said = append(r.Said, leg.Said{At: m.At, Out: m.Out, What: m.What})
		}
	}
	return r
}
