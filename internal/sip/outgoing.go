package sip

import (
	"context"
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// outbound is what a dialog knows as the calling side.
type outbound struct {
	targets   []Target
	sdp       []byte
	attempts  []*attempt // the last is the one that counts
	cancelled bool
	redirects int
	moved     []sip.Uri         // addresses of redirections that were not called yet
	called    []string          // those that were, and the first
	home      netip.Addr        // where the account's INVITE went: who may challenge (T19)
	rseq      map[string]uint32 // remote tag -> last RSeq
	limit     *time.Timer
	patience  *time.Timer
	hasty     bool
	why       cause.Cause // what the last target said
}

const (
	maxForks        = 16
	defaultPatience = 4 * time.Second
)

// DialOptions is a call to be made.
type DialOptions struct {
	Account string // id; "" takes the first, or none where there are none
	To      string // a SIP or tel URI
	From    string // URI of the caller where no account says it
	Name    string // display name
	Headers []Header
	SDP     []byte
	Timeout time.Duration // until the answer; 0 means 3 min
	// Hasty gives the call up where no server says a word within Options.Patience, not after 32 s: the
	// caller knows another way. An answer that comes later is hung up.
	Hasty bool
}

// Dial starts a call. The error, a cause.Cause, is about what never was sent; all else
// is told by events. It blocks on name servers.
func (u *UA) Dial(ctx context.Context, o DialOptions) (*Dialog, error) {
	var to sip.Uri
	err := sip.ParseUri(safeURI(o.To), &to)
	if err != nil || to.Host == "" && to.Raw() == "" || to.Port < 0 || to.Port > 65535 {
		return nil, cause.Cause{Code: cause.NotFound, Text: "the number or address to call cannot be understood", Err: err}
	}
	acc := u.account(o.Account)
	switch {
	case o.Account != "" && acc == nil:
		return nil, cause.Cause{Code: cause.Unavailable, Text: "there is no SIP account " + siptx.Clean(o.Account) + ": name one of sip.accounts"}
	case acc != nil && !acc.mayCall():
		return nil, cause.Cause{Code: cause.Unavailable, Text: "the SIP account " + acc.opt.ID + " is not registered: /readyz says why"}
	}
	from := safeURI(o.From)
	if acc != nil {
		from = acc.aor()
	}
	if from == "" {
		from = "sip:jigasi@anonymous.invalid"
	}
	name := siptx.Clean(o.Name)
	if name == "" && acc != nil {
		name = siptx.Clean(acc.opt.Name)
	}
	if name = strings.NewReplacer(`"`, "", `\`, "").Replace(name); name != "" {
		name = `"` + name + `" `
	}
	d := newDialog(u, false, nil, siptx.Token()+"@jigasi")
	d.account, d.localTag = acc, siptx.Token()
	d.local, d.peer = name+"<"+from+">;tag="+d.localTag, remoteEnd{to: "<" + to.String() + ">", target: to.String()}
	d.out = outbound{sdp: o.SDP, hasty: o.Hasty, rseq: map[string]uint32{}}
	d.extra, d.localSDP = extras(o.Headers), o.SDP
	u.Stats().Headers.Add(int64(len(o.Headers) - len(d.extra)))
	d.timer.interval = max(0, u.opt.SessionExpires)
	targets, err := u.targets(ctx, to, acc)
	if err != nil {
		return nil, err
	}
	d.out.targets = targets
	limit := o.Timeout
	if limit == 0 {
		limit = 3 * time.Minute
	}
	d.post(func() {
		d.out.limit = d.after(limit, func() {
			d.leave(cause.Cause{Code: cause.NoAnswer, Text: "the phone did not answer in time"})
		})
		d.try()
	})
	if !d.begin(nil) {
		return nil, cause.Cause{Code: cause.Shutdown, Err: ErrClosed}
	}
	return d, nil
}

// safeURI gives a URI that can stand between brackets in a header: bytes outside ASCII are escaped, and
// what holds anything else that does not belong there is none (T23).
func safeURI(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c == 0x7f, strings.IndexByte("<>\"\\^`{|}", c) >= 0:
			return ""
		case c > 0x7f:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// MediaIP is the address of ours that a call to a URI should name for its media, before it is dialled.
// It blocks on name servers; without a way it is the zero Addr.
func (u *UA) MediaIP(ctx context.Context, accountID, to string) netip.Addr {
	var uri sip.Uri
	if sip.ParseUri(safeURI(to), &uri) != nil {
		return netip.Addr{}
	}
	acc := u.account(accountID)
	targets, err := u.targets(ctx, uri, acc)
	if err != nil {
		return netip.Addr{}
	}
	return u.advertise(netip.AddrPort{}, targets[0].Addr, targets[0].Network, acc).Addr()
}

// targets finds where an INVITE goes: the account's proxy, or what the URI says.
func (u *UA) targets(ctx context.Context, to sip.Uri, acc *account) ([]Target, error) {
	host, port, transport := to.Host, to.Port, strings.ToLower(siptx.Param(to.UriParams, "transport"))
	secure := strings.EqualFold(to.Scheme, "sips")
	if acc != nil {
		host, port, transport, secure = acc.nextHop(to)
	}
	if host == "" {
		return nil, cause.Cause{Code: cause.NotFound, Text: "a call to this address needs a SIP account"}
	}
	targets, err := u.opt.Resolver.Targets(ctx, host, port, transport, secure)
	if err != nil || len(targets) == 0 {
		return nil, cause.Cause{Code: cause.Unavailable, Text: "the SIP server " + host + " cannot be found: check its name, and the name servers", Err: err}
	}
	return targets, nil
}

// establish is the end that a response with a To tag makes (RFC 3261, 12.1.2).
func endOf(res *sip.Response) remoteEnd {
	end := remoteEnd{tag: siptx.Param(res.To().Params, "tag"), to: siptx.Value(res, "To"), target: res.To().Address.String()}
	if c := res.Contact(); c != nil && !c.Address.Wildcard {
		end.target = c.Address.String()
	}
	routes := siptx.Values(res, "Record-Route")
	for i := len(routes) - 1; i >= 0; i-- {
		end.routes = append(end.routes, routes[i])
	}
	return end
}

func (d *Dialog) provisionalIn(a *attempt, res *sip.Response) {
	a.provision = true
	d.stop(d.out.patience)
	if d.out.cancelled {
		d.sendCancel(a)
		return
	}
	if d.state != early || res.StatusCode == 100 {
		return
	}
	tag := siptx.Param(res.To().Params, "tag")
	if siptx.Lists(res, "Require", "100rel") && tag != "" && !d.prackOut(a, res, tag) {
		return
	}
	d.tell(Event{Kind: Progress, Status: res.StatusCode, Reason: siptx.Clean(res.Reason), SDP: description(res), res: res})
}

// answered is a 2xx to our INVITE.
func (d *Dialog) answered(a *attempt, res *sip.Response) {
	end := endOf(res)
	switch {
	case a.dead, d.state == over, d.peer.tag != "" && end.tag != d.peer.tag:
		d.dropFork(a, res, end)
		return
	case d.peer.tag != "":
		d.ackOK(a.req, res, d.peer) // our ACK was lost
		return
	}
	d.stop(d.out.limit)
	d.stop(d.out.patience)
	d.peer = end
	d.state = confirmed
	d.ackOK(a.req, res, end)
	if d.out.cancelled { // the answer crossed our CANCEL
		d.hangupNow(cause.Cause{Code: cause.Cancelled})
		return
	}
	d.timer.agreed(d, res)
	d.tell(Event{Kind: Answered, Status: res.StatusCode, SDP: description(res), res: res})
}

// dropFork acknowledges the answer of another fork and hangs it up (RFC 3261, 13.2.2.4).
func (d *Dialog) dropFork(a *attempt, res *sip.Response, end remoteEnd) {
	d.ackOK(a.req, res, end)
	d.sendTo(end, sip.BYE, func(*sip.Request) {}, func(*sip.Request, *sip.Response) {})
}

// warning is the text of a Warning header: code, agent, text in quotes (RFC 3261, 20.43).
func warning(v string) string {
	_, text, ok := strings.Cut(v, `"`)
	if !ok {
		return ""
	}
	text, _, _ = strings.Cut(text, `"`)
	return siptx.Clean(strings.ToValidUTF8(text[:min(len(text), 200)], ""))
}

// refused is a final refusal: try again with credentials, elsewhere, or end.
func (d *Dialog) refused(a *attempt, res *sip.Response) {
	status := res.StatusCode
	if a.dead || d.state != early && d.state != leaving {
		return
	}
	text := siptx.Clean(res.Reason)
	for _, t := range []string{warning(siptx.Value(res, "Warning")), reasonText(siptx.Value(res, "Reason"))} {
		if t != "" {
			text = t
		}
	}
	why := cause.Cause{Code: cause.FromSIPStatus(status), Status: status, Text: text}
	if d.out.cancelled {
		d.end(why)
		return
	}
	switch {
	case a.creds.accept(res):
		d.sendInvite(a.creds)
		return
	case status == 422 && d.timer.raise(res):
		d.sendInvite(a.creds)
		return
	case (status == 503 || status == 430 || status == 408) && len(d.out.targets) > 0:
		d.out.why = why
		d.try()
		return
	case status >= 300 && status < 400 && d.redirected(res):
		return
	case status >= 400 && status < 600 && d.follow():
		return
	}
	d.end(why)
}
