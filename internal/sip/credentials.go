package sip

import (
	"errors"
	"jigasi/internal/digest"
	"jigasi/internal/siptx"

	"github.com/emiago/sipgo/sip"
)

// credentials are the answers to the challenges of one request; nil has none.
type credentials struct{ at *digest.Attempt }

// accept takes the challenges of a response; false means that it is final.
func (c *credentials) accept(res *sip.Response) bool {
	if c == nil {
		return false
	}
	kind, ok := digest.KindOf(res.StatusCode)
	return ok && c.at.Challenged(kind, siptx.Values(res, kind.ChallengeHeader())) == nil
}

// acceptAnew is accept for the account's own registrar, which may have taken another realm.
func (a *account) acceptAnew(c *credentials, res *sip.Response) bool {
	kind, ok := digest.KindOf(res.StatusCode)
	if !ok {
		return false
	}
	values := siptx.Values(res, kind.ChallengeHeader())
	err := c.at.Challenged(kind, values)
	if errors.Is(err, digest.ErrRealm) && a.digest.Forget() {
		err = c.at.Challenged(kind, values)
	}
	return err == nil
}

// put adds what is known to a request that is about to be sent, once for each time.
func (c *credentials) put(req *sip.Request) {
	for _, h := range c.at.Headers() {
		req.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
}

// credentials begins a request of the account.
func (a *account) credentials(req *sip.Request) *credentials {
	return &credentials{a.digest.Start(digest.Request{Method: string(req.Method), URI: req.Recipient.String(), Body: req.Body()})}
}

// authorize adds the credentials that are known, in a call of ours by way of the account's server. Nobody
// else is told any: not who was called by a redirect to elsewhere, and not who called us (T19).
func (d *Dialog) authorize(req *sip.Request, f siptx.Flow) *credentials {
	if !d.trusts(f) {
		return nil
	}
	c := d.account.credentials(req)
	c.put(req)
	return c
}

func (d *Dialog) trusts(f siptx.Flow) bool {
	if d.account == nil || d.inbound {
		return false
	}
	ip := f.Remote().Addr()
	return d.out.redirects == 0 && ip == d.out.home || d.account.knows(ip)
}
