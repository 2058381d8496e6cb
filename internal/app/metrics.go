package app

import (
	"slices"
	"strconv"

	"jigasi/internal/admin"
	"jigasi/internal/cause"
	"jigasi/internal/control"
)

func gauge(name, help string, v float64, labels ...admin.Label) admin.Sample {
	return admin.Sample{Name: name, Help: help, Value: v, Labels: labels}
}

func count(name, help string, n int64, labels ...admin.Label) admin.Sample {
	return admin.Sample{Name: name, Help: help, Kind: admin.Counter, Value: float64(n), Labels: labels}
}

func label(name, value string) admin.Label { return admin.Label{Name: name, Value: value} }

// metrics are our own, beside those that Jigasi has (docs/limits.md says what is dropped and counted).
func (a *App) metrics() []admin.Sample {
	return slices.Concat(a.callMetrics(), a.measures.samples(), a.xmppMetrics(), a.sipMetrics(), a.breweryMetrics(), a.feedMetrics(), a.transcribers.metrics(), a.speech.metrics(), a.archiveMetrics())
}

func (a *App) callMetrics() []admin.Sample {
	s := a.exchange.Stats()
	out := []admin.Sample{
		gauge("jigasi_calls", "Calls of any state.", float64(s.Calls)),
		count("jigasi_calls_incoming_total", "Calls from phones.", s.Incoming),
		count("jigasi_calls_outgoing_total", "Calls to phones.", s.Outgoing),
		count("jigasi_calls_refused_total", "Calls refused.", s.Refused),
		count("jigasi_calls_failed_total", "Calls without sound both ways.", s.Failed),
		gauge("jigasi_stress_level", "0 idle, 1 full: the focus chooses another gateway.", a.stress(s)),
		gauge("jigasi_rtp_ports_in_use", "Pairs of RTP ports in use.", float64(a.pool.InUse())),
		count("jigasi_panics_total", "Panics that were contained.", a.panics.Load()),
	}
	for by, n := range a.active() {
		out = append(out, gauge("jigasi_calls_active", "Calls of any state, by account and direction.", float64(n), label("account", by.account), label("direction", by.direction)))
	}
	if a.clock != nil {
		c := a.clock.Stats()
		busy := 0.0
		if a.strain.why() != "" {
			busy = 1
		}
		out = append(out, count("jigasi_clock_late_total", "Turns of the clock that began more than 5 ms late.", c.Late),
			count("jigasi_clock_missed_total", "Turns of the clock that began 20 ms late or more.", c.Missed),
			gauge("jigasi_overloaded", "Whether new calls are refused because the clock runs late.", busy),
			count("jigasi_clock_lost_total", "Turns of the clock that were given up.", c.Lost))
	}
	for _, code := range cause.All() {
		if n := a.totals.byCause[code].Load(); n > 0 {
			out = append(out, count("jigasi_calls_ended_total", "Calls ended, by cause.", n, label("cause", code.String())))
		}
	}
	return out
}

// active counts the calls that run, by account and direction; trunks are an account without a name.
func (a *App) active() map[ending]int {
	n := map[ending]int{{direction: "in"}: 0, {direction: "out"}: 0}
	for _, acc := range a.cfg.SIP.Accounts {
		n[ending{account: acc.ID, direction: "in"}], n[ending{account: acc.ID, direction: "out"}] = 0, 0
	}
	for _, c := range a.exchange.Calls() {
		n[ending{account: c.Account, direction: direction(c.Outgoing)}]++
	}
	return n
}

func (a *App) sipMetrics() []admin.Sample {
	if a.ua == nil {
		return nil
	}
	s := a.ua.Stats()
	const dropped, help = "jigasi_sip_dropped_total", "What came to the SIP ports and was dropped or refused unheard, by reason."
	clients, servers := a.ua.Transactions()
	out := []admin.Sample{
		gauge("jigasi_sip_dialogs", "SIP dialogs.", float64(a.ua.Calls())),
		gauge("jigasi_sip_transactions", "Open SIP transactions.", float64(clients+servers)),
		count("jigasi_sip_banned_total", "Times that a stranger was banned.", s.Banned.Load()),
		count("jigasi_sip_panics_total", "Messages that met a defect of ours.", s.Panics.Load()),
		count(dropped, help, s.Malformed.Load(), label("reason", "malformed")),
		count(dropped, help, s.TooLarge.Load(), label("reason", "too_large")),
		count(dropped, help, s.Headers.Load(), label("reason", "header")),
		count(dropped, help, s.Stray.Load(), label("reason", "stray")),
		count(dropped, help, s.Strangers.Load(), label("reason", "stranger")),
		count(dropped, help, s.Busy.Load(), label("reason", "busy")),
		count(dropped, help, s.Connections.Load(), label("reason", "connection")),
	}
	for answer, n := range a.ua.Answers() {
		out = append(out, count("jigasi_sip_requests_total", "SIP requests by their final response; 408 is also none at all.", n,
			label("method", answer.Method), label("direction", direction(answer.Out)), label("code", strconv.Itoa(answer.Status))))
	}
	for _, r := range a.ua.Registrations() {
		v := 0.0
		if r.Registered {
			v = 1
		}
		out = append(out, gauge("jigasi_sip_registered", "SIP accounts that are registered.", v, label("account", r.Account)))
	}
	return out
}

func (a *App) xmppMetrics() []admin.Sample {
	c := &a.stanzas
	const dropped, help = "jigasi_xmpp_dropped_total", "What came over XMPP and was dropped or refused, by reason."
	return []admin.Sample{
		count(dropped, help, c.Strays.Load(), label("reason", "stray")),
		count(dropped, help, c.Oversize.Load(), label("reason", "too_large")),
		count(dropped, help, c.Malformed.Load(), label("reason", "malformed")),
		count(dropped, help, c.Unanswered.Load(), label("reason", "busy")),
		count(dropped, help, c.Unknown.Load(), label("reason", "unknown")),
		count(dropped, help, c.Broken.Load(), label("reason", "broken")),
		count(dropped, help, c.Full.Load(), label("reason", "full")),
		count(dropped, help, c.Forbidden.Load(), label("reason", "forbidden")),
	}
}

func (a *App) breweryMetrics() []admin.Sample {
	var out []admin.Sample
	for id, b := range a.breweries.Status() {
		v, connected := 0.0, 0.0
		if b.State == control.Joined {
			v = 1
		}
		if b.State == control.Joined || b.State == control.Joining {
			connected = 1
		}
		out = append(out, gauge("jigasi_xmpp_connected", "XMPP servers of breweries that we are logged in at.", connected, label("brewery", id)))
		out = append(out, gauge("jigasi_brewery_joined", "Breweries that have been entered.", v, label("brewery", id)))
		for why, n := range b.Refused {
			out = append(out, count("jigasi_dials_refused_total", "Requests to dial that were refused, by reason.", int64(n), label("brewery", id), label("reason", why)))
		}
	}
	return out
}
