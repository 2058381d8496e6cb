package sip

import (
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// minSE is the shortest session interval that is accepted, in s (RFC 4028, 4).
const minSE = 90

// sessionTimer is RFC 4028, in both roles.
type sessionTimer struct {
	interval time.Duration // 0: no session timer
	least    int           // Min-SE that a peer asked for, in s
	ours     bool          // we refresh
	update   bool          // by UPDATE, which the peer allows
	t        *time.Timer
}

// offer asks for a session timer in an INVITE of ours.
func (s *sessionTimer) offer(req *sip.Request) {
	if s.interval > 0 {
		siptx.Set(req, "Session-Expires", strconv.Itoa(int(s.interval/time.Second)))
		siptx.Set(req, "Min-SE", strconv.Itoa(max(minSE, s.least)))
	}
}

// keep asks for the same in a request inside the call: who refreshes goes on to (RFC 4028, 7.4).
func (s *sessionTimer) keep(req *sip.Request) {
	if s.offer(req); s.interval > 0 {
		who := ";refresher=uas"
		if s.ours {
			who = ";refresher=uac"
		}
		siptx.Set(req, "Session-Expires", strconv.Itoa(int(s.interval/time.Second))+who)
	}
}

// raise takes the Min-SE of a 422; false means that asking again is no use.
func (s *sessionTimer) raise(res *sip.Response) bool {
	least := siptx.Leading(siptx.Value(res, "Min-SE"))
	if least <= s.least || least > 24*3600 {
		return false
	}
	s.least = least
	s.interval = max(s.interval, time.Duration(least)*time.Second)
	return true
}

// answer agrees on a session timer in a 2xx to a request of the peer.
func (s *sessionTimer) answer(d *Dialog, req *sip.Request, res *sip.Response) {
	se := siptx.Value(req, "Session-Expires")
	theirs := siptx.Lists(req, "Supported", "timer")
	limit := d.ua.opt.SessionExpires
	s.update = siptx.Lists(req, "Allow", "UPDATE") || s.update
	switch {
	case limit < 0:
		return
	case se == "" && s.interval == 0:
		s.interval, s.ours = limit, true
	case se == "":
		s.ours = true // the peer's request says nothing: who sent it leaves it to us
	default:
		s.interval = time.Duration(max(minSE, siptx.Leading(se))) * time.Second
		s.ours = refresher(se) == "uas" || !theirs
	}
	who := "uac"
	if s.ours {
		who = "uas"
	}
	if theirs || se != "" {
		siptx.Set(res, "Session-Expires", strconv.Itoa(int(s.interval/time.Second))+";refresher="+who)
	}
	if theirs && !s.ours {
		siptx.Set(res, "Require", "timer")
	}
	s.arm(d)
}

// refresher is who refreshes, as a Session-Expires header says.
func refresher(se string) string {
	for p := range strings.SplitSeq(strings.ToLower(se), ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "refresher="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// agreed reads what a 2xx to a request of ours says.
func (s *sessionTimer) agreed(d *Dialog, res *sip.Response) {
	se := siptx.Value(res, "Session-Expires")
	s.update = siptx.Lists(res, "Allow", "UPDATE") || s.update
	switch {
	case d.ua.opt.SessionExpires < 0:
		return
	case se == "": // the peer knows no timers: we refresh alone
		s.ours = true
	default:
		s.interval = time.Duration(max(minSE, siptx.Leading(se))) * time.Second
		s.ours = refresher(se) != "uas"
	}
	if s.interval > 0 {
		s.arm(d)
	}
}

func (s *sessionTimer) arm(d *Dialog) {
	d.stop(s.t)
	if s.ours {
		s.t = d.after(s.interval/2, d.refresh)
		return
	}
	s.t = d.after(s.interval-min(32*time.Second, s.interval/3), func() {
		d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone did not refresh the session in time (RFC 4028): it is gone, or sip.session_timer is too short for it"})
	})
}

// refresh says that the session goes on.
func (d *Dialog) refresh() {
	switch {
	case d.state == accepted || d.state == confirmed && (d.pendingIn != nil || d.pendingOut):
		d.timer.t = d.after(5*time.Second, d.refresh)
		return
	case d.state != confirmed:
		return
	case !d.timer.update:
		d.reinvite(d.localSDP, reinviteTries, func(_ []byte, err error) {
			if err != nil && d.state == confirmed { // refused, but the peer is there
				d.timer.arm(d)
			}
		})
		return
	}
	d.send(sip.UPDATE, func(req *sip.Request) {
		d.timer.keep(req)
		d.ua.capabilities(req)
	}, func(_ *sip.Request, res *sip.Response) {
		switch {
		case res == nil || res.StatusCode == 481 || res.StatusCode == 408:
			d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone did not answer the session refresh: it, or the network on its way, is gone"})
		case res.StatusCode >= 300:
			if res.StatusCode == 405 || res.StatusCode == 501 {
				d.timer.update = false
			}
			d.timer.raise(res)
			d.timer.t = d.after(5*time.Second, d.refresh)
		case res.StatusCode >= 200:
			d.timer.agreed(d, res)
		}
	})
}
