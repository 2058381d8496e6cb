package app

import (
	"time"

	"jigasi/internal/admin"
	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/leg"
)

// callREST shows the exchange's calls over HTTP.
type callREST struct{ x *exchange.Exchange }

func (c callREST) List() (running, ended []admin.Call) {
	for _, r := range c.x.Calls() {
		running = append(running, inShort(r))
	}
	for _, r := range c.x.Ended() {
		ended = append(ended, inShort(r))
	}
	return running, ended
}

func inShort(r exchange.Record) admin.Call {
	c := admin.Call{
		ID: r.ID, Direction: "in", Account: r.Account, Peer: r.Peer, Room: r.Room.String(), State: r.State.String(), Began: r.Began,
		LastedMS: r.Lasted.Milliseconds(), JoiningMS: r.Joining.Milliseconds(), WaitingMS: r.Waiting.Milliseconds(), AnswerMS: r.Answering.Milliseconds(), TalkingMS: r.Talking.Milliseconds(),
	}
	if r.Outgoing {
		c.Direction = "out"
	}
	if r.Cause != (cause.Cause{}) {
		c.Cause, c.Why = r.Cause.Code.String(), r.Why()
	}
	return c
}

func (c callREST) Detail(id string) (admin.CallDetail, bool) {
	d, ok := c.x.Detail(id)
	if !ok {
		return admin.CallDetail{}, false
	}
	since := func(at time.Time) float64 { return float64(at.Sub(d.Began).Microseconds()) / 1000 }
	out := admin.CallDetail{
		Call: inShort(d.Record), SIPCallID: d.SIPCallID, Occupant: d.Occupant.String(), SIP: []admin.Rung{}, Story: []admin.Step{},
		Phone: facts(d.Phone), Meeting: facts(d.Seat),
	}
	for _, s := range d.Phone.Said {
		way := "<-"
		if s.Out {
			way = "->"
		}
		out.SIP = append(out.SIP, admin.Rung{MS: since(s.At), Way: way, SIP: s.What})
	}
	for _, l := range d.Story {
		out.Story = append(out.Story, admin.Step{MS: since(l.At), Level: l.Level.String(), What: l.Text, With: l.Attrs})
	}
	return out, true
}

func facts(r leg.Report) map[string]any {
	m := map[string]any{}
	for _, a := range r.Facts {
		m[a.Key] = a.Value.Any()
	}
	return m
}

func (c callREST) Hangup(id string) bool {
	return c.x.Hangup(id, cause.Cause{Code: cause.Normal, Text: "the operator hung up"})
}
func (c callREST) Mute(id string, on bool) bool { return c.x.Mute(id, on) }
func (c callREST) Press(id, keys string) bool   { return c.x.Press(id, keys) }
