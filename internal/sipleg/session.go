package sipleg

import (
	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/xlog"
)

// answerOffer answers an offer of the phone and starts the sound it asks for.
func (l *Leg) answerOffer(raw []byte) error {
	offer, err := sdp.Parse(raw)
	if err != nil {
		return err
	}
	local := l.local
	local.Version++ // by one of what was said last (RFC 3264, 8): not for an offer that is refused
	answer, r, err := sdp.Answer(offer, local)
	if err != nil {
		return err
	}
	if err := l.start(r); err != nil {
		return err
	}
	l.local.Version = local.Version
	if r.OfferKeys != nil {
		l.local.Keys = r.OfferKeys
	}
	l.answer = answer
	l.hold(r.Held)
	return nil
}

// acceptAnswer takes the phone's answer to our offer.
func (l *Leg) acceptAnswer(raw []byte) error {
	answer, err := sdp.Parse(raw)
	if err != nil {
		return err
	}
	r, err := sdp.Accept(answer, l.local)
	if err != nil {
		return err
	}
	if err := l.start(r); err != nil {
		return err
	}
	l.hold(r.Held)
	return nil
}

// start begins the sound that was agreed on. A phone that was not picked up yet is heard and sent nothing: a caller's own
// telephone makes the ringing tone only while it is sent none (RFC 3960, 3.2).
func (l *Leg) start(r sdp.Result) error {
	l.result, l.agreed = r, true
	if l.early {
		r.Send = false
	}
	if err := l.port.Start(r); err != nil {
		return cause.Cause{Code: cause.NoCodec, Text: "the codec cannot be started: take it out of media.codecs, and report it", Err: err}
	}
	return nil
}

// hold tells the room when the phone goes on hold and comes back.
func (l *Leg) hold(held bool) {
	if l.held != held {
		l.held = held
		l.tell(leg.Event{Signal: leg.Hold{On: held}})
	}
}

// answerNow answers an incoming call, or places an outgoing one.
func (l *Leg) answerNow() {
	switch {
	case l.ended || l.phase == leg.Up:
	case l.dialog == nil:
		l.place()
	case !l.dialog.Inbound():
	case l.agreed:
		if l.early { // it rang: from now on it is sent our sound
			l.early = false
			if err := l.start(l.result); err != nil {
				l.leave(cause.Of(err))
				return
			}
		}
		l.dialog.Answer(l.answer)
	case !l.offered: // the INVITE had no description: our 200 offers (RFC 3261, 13.2.1)
		offer, keys := l.local.Offer()
		l.local.Keys, l.offered, l.early = keys, true, false
		l.dialog.Answer(offer)
	}
}

// place calls the phone by the next way that can be tried.
func (l *Leg) place() {
	for len(l.ways) > 0 {
		way := l.ways[0]
		l.ways, l.tried = l.ways[1:], way
		d, err := way()
		switch {
		case err == nil:
			l.dialog = d
			l.shown.Store(d)
			l.tell(leg.Event{Signal: leg.Status{Text: "Connecting"}})
			return
		case len(l.ways) == 0 || !elsewhere(cause.Of(err)):
			l.finish(cause.Of(err))
			return
		}
		l.log.Warn("a way to call failed, trying the next", xlog.Err, err)
	}
}

// elsewhere reports whether another account may succeed: its own server is dead or does not serve us, and nothing is
// known of the phone.
func elsewhere(why cause.Cause) bool {
	return why.Code == cause.Unavailable || why.Code == cause.Timeout || why.Code == cause.AuthFailed || why.Status >= 500 && why.Status < 600
}

// another calls by the next way, if the one that just ended allows that; or by the same, without encryption, where
// that is optional and the phone does not take an offer of both.
func (l *Leg) another(why cause.Cause) bool {
	switch {
	case l.why != (cause.Cause{}) || l.phase != leg.Trying && l.phase != leg.Ringing || l.agreed || l.tried == nil:
		return false
	case why.Code == cause.NoCodec && why.Status != 0 && l.local.SRTP == sdp.Optional:
		l.local.SRTP, l.local.Keys = sdp.Off, nil
		l.ways = append([]func() (*sip.Dialog, error){l.tried}, l.ways...)
		l.log.Info("the phone does not take optional encryption, calling it again without")
		l.place()
		return true
	case len(l.ways) == 0 || l.phase == leg.Ringing || !elsewhere(why):
		return false
	}
	l.log.Warn("a way to call failed, trying the next", "why", why.String())
	l.place()
	return true
}

// happened is an event of the dialog.
func (l *Leg) happened(e sip.Event) {
	switch e.Kind {
	case sip.Progress:
		l.progress(e)
	case sip.Answered:
		if info := e.Header("X-session-info"); info != "" {
			info = info[:min(len(info), maxSessionInfo)]
			l.info200.Store(&info)
		}
		if err := l.pickedUp(e.SDP); err != nil {
			l.leave(cause.Of(err))
			return
		}
		l.up()
	case sip.Confirmed:
		if l.offered && !l.agreed || e.SDP != nil {
			if err := l.acceptAnswer(e.SDP); err != nil {
				l.leave(cause.Of(err))
				return
			}
		}
		l.up()
	case sip.Offer:
		l.reoffered(e)
	case sip.Info:
		e.Reply(l.info(e), nil)
	case sip.Ended:
		if !l.another(e.Cause) {
			l.finish(e.Cause)
		}
	}
}

// pickedUp takes the answer of a dialled phone, which may have come with early media already.
func (l *Leg) pickedUp(raw []byte) error {
	early := l.early
	l.early = false
	switch {
	case raw != nil || !l.agreed:
		return l.acceptAnswer(raw)
	case early:
		return l.start(l.result)
	}
	return nil
}

func (l *Leg) up() {
	if l.phase != leg.Up {
		l.log.Info("phone connected", "codec", l.result.Codec.Name, "srtp", l.result.SRTP != nil, "remote", at(l.result.Remote))
	}
	l.apart()
	l.enter(leg.Up)
	l.port.Answered()
	l.tell(leg.Event{Signal: leg.Status{Text: "Connected"}})
	l.listen()
	l.flush()
	l.typeFirst()
}

// progress is a provisional response: the room reads it, early media is heard.
func (l *Leg) progress(e sip.Event) {
	if e.SDP != nil && !l.agreed {
		l.early = true
		if err := l.acceptAnswer(e.SDP); err != nil {
			l.log.Warn("early media cannot be played", "err", err)
		}
	}
	switch e.Status {
	case 180:
		l.enter(leg.Ringing)
		l.tell(leg.Event{Signal: leg.Status{Text: "Ringing"}})
	case 183:
		l.enter(leg.Ringing)
		l.tell(leg.Event{Signal: leg.Status{Text: "Connecting*"}})
	}
}

// reoffered is a re-INVITE or UPDATE: hold, another address, another codec.
func (l *Leg) reoffered(e sip.Event) {
	if e.SDP == nil {
		l.local.Version++
		offer, keys := l.local.Offer()
		l.local.Keys = keys
		e.Reply(200, offer) // the ACK brings the answer: Confirmed
		return
	}
	if err := l.answerOffer(e.SDP); err != nil {
		status := cause.Of(err).Code.SIPStatus()
		l.log.Warn("the phone asked for a session that cannot be", "err", err)
		e.Reply(status, nil)
		return
	}
	l.apart()
	e.Reply(200, l.answer)
}

// apart says once that a phone which was to get the speakers apart gets their mix, and what to do about it.
func (l *Leg) apart() {
	if why := l.whyMixed(l.result.Codec.Name); why != "" {
		l.unmixed.Do(func() { l.log.Warn("the meeting is mixed for this phone, not forwarded", "why", why) })
	}
}

// whyMixed is why a phone that was to get the speakers apart cannot; "" if it can, or was not.
func (l *Leg) whyMixed(codec string) string {
	if !l.opt.RTP.Forward || codec == "" || codec == "opus" {
		return ""
	}
	return "the account says forward, which needs Opus, and the phone agreed on " + codec + ": have it offer Opus first, and leave opus in the account's codecs"
}
