package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"jigasi/internal/cause"
)

// outbound is what a dialog knows as the calling side.
type outbound struct {
	targets   []Target
	sdp       []byte
	headers   []Header
	tx        *clientTx
	provision bool // a provisional response came: CANCEL is allowed
	cancelled bool
	redirects int
	rseq      map[string]uint32 // remote tag -> last RSeq
	tried     bool              // credentials were given
	minSE     int
	limit     *time.Timer
}

// DialOptions is a call to be made.
type DialOptions struct {
	Account string // id; "" takes the first, or none where there are none
	To      string // a SIP URI
	From    string // URI of the caller where no account says it
	Name    string // display name
	Headers []Header
	SDP     []byte
	Timeout time.Duration // until the answer; 0 means 3 min
}

// maxRedirects bounds how often a call is sent elsewhere.
const maxRedirects = 5

// Dial starts a call. The error is about what never was sent; all else is told by events.
func (u *UA) Dial(ctx context.Context, o DialOptions) (*Dialog, error) {
	var to sip.Uri
	if err := sip.ParseUri(clean(o.To), &to); err != nil || to.Host == "" {
		return nil, cause.Cause{Code: cause.NotFound, Text: "the number or address to call cannot be understood", Err: err}
	}
	acc := u.account(o.Account)
	if o.Account != "" && acc == nil {
		return nil, cause.Cause{Code: cause.Unavailable, Text: "there is no SIP account " + clean(o.Account)}
	}
	d := &Dialog{}
	req := sip.NewRequest(sip.INVITE, to)
	from := clean(o.From)
	if acc != nil {
		from = acc.aor()
	}
	if from == "" {
		from = "sip:jigasi@invalid"
	}
	tag := token()
	name := ""
	if n := strings.NewReplacer(`"`, "", `\`, "").Replace(clean(o.Name)); n != "" {
		name = `"` + n + `" `
	}
	req.AppendHeader(sip.NewHeader("Call-ID", token()+"@jigasi"))
	callID := sip.CallIDHeader(req.GetHeader("Call-ID").Value())
	req.RemoveHeader("Call-ID")
	req.AppendHeader(&callID)
	d = newDialog(u, false, req)
	d.account, d.localTag = acc, tag
	d.local, d.remote, d.target = name+"<"+from+">;tag="+tag, "<"+to.String()+">", to.String()
	d.out = outbound{sdp: o.SDP, headers: extras(o.Headers), rseq: map[string]uint32{}}
	d.localSDP = o.SDP
	d.timer.interval = max(0, u.opt.SessionExpires)
	targets, err := u.targets(ctx, to, acc)
	if err != nil {
		return nil, err
	}
	d.out.targets = targets
	if !d.begin() {
		return nil, ErrClosed
	}
	limit := o.Timeout
	if limit == 0 {
		limit = 3 * time.Minute
	}
	d.post(func() {
		d.out.limit = d.after(limit, func() {
			if d.state == early {
				d.leave(cause.Cause{Code: cause.NoAnswer, Text: "the phone did not answer in time"})
			}
		})
		d.try()
	})
	return d, nil
}

// targets finds where an INVITE goes: the account's proxy, or what the URI says.
func (u *UA) targets(ctx context.Context, to sip.Uri, acc *account) ([]Target, error) {
	host, port, transport := to.Host, to.Port, strings.ToLower(param(to.UriParams, "transport"))
	secure := strings.EqualFold(to.Scheme, "sips")
	if acc != nil {
		if host, port, transport, secure = acc.nextHop(to); host == "" {
			return nil, cause.Cause{Code: cause.Unavailable, Text: "the SIP account " + acc.opt.ID + " is not registered"}
		}
	}
	targets, err := u.opt.Resolver.Targets(ctx, host, port, transport, secure)
	if err != nil || len(targets) == 0 {
		return nil, cause.Cause{Code: cause.Unavailable, Text: "the SIP server " + host + " cannot be found in DNS", Err: err}
	}
	return targets, nil
}

// try sends the INVITE to the next target. It runs on the dialog's goroutine; a
// connection is opened beside it.
func (d *Dialog) try() {
	if len(d.out.targets) == 0 {
		d.end(cause.Cause{Code: cause.Unavailable, Text: "the SIP server does not answer"})
		return
	}
	t := d.out.targets[0]
	d.out.targets = d.out.targets[1:]
	if t.Network == "udp" && len(d.out.sdp) > 900 {
		t.Network = "tcp" // larger than a datagram should be (RFC 3261, 18.1.1); UDP comes again if that fails
		d.out.targets = append([]Target{{Network: "udp-large", Addr: t.Addr}}, d.out.targets...)
	}
	if t.Network == "udp-large" {
		t.Network = "udp"
	}
	go func() {
		f, err := d.ua.tp.to(d.ua.ctx, t.Network, t.Addr, t.ServerName)
		d.post(func() {
			switch {
			case d.state != early || d.out.cancelled:
				d.end(cause.Cause{Code: cause.Cancelled})
			case err != nil:
				d.try()
			default:
				d.flow = f
				d.sendInvite()
			}
		})
	}()
}

func (d *Dialog) sendInvite() {
	d.contact = d.ua.contact(d.flow, d.account)
	req := d.requestIn(sip.INVITE)
	d.ua.capabilities(req)
	d.timer.offer(req)
	if d.out.minSE > 0 {
		set(req, "Min-SE", strconv.Itoa(d.out.minSE))
	}
	for _, h := range d.out.headers {
		set(req, h.Name, h.Value)
	}
	body(req, sdpType, d.out.sdp)
	d.authorize(req)
	d.invite = req
	d.out.provision = false
	d.out.tx = d.ua.startClient(req, d.flow, func(res *sip.Response) { d.post(func() { d.responded(req, res) }) })
}

// responded is a response to our INVITE.
func (d *Dialog) responded(req *sip.Request, res *sip.Response) {
	switch {
	case d.state == over:
		return
	case res == nil && d.state != early:
		return
	case res == nil:
		if d.out.cancelled || d.hangup != nil {
			d.end(cause.Cause{Code: cause.Cancelled})
			return
		}
		d.try()
		return
	case res.StatusCode < 200:
		d.provisionalIn(res)
	case res.StatusCode < 300:
		d.answered(res)
	case d.state == early || d.state == leaving:
		d.refused(req, res)
	}
}

func (d *Dialog) provisionalIn(res *sip.Response) {
	d.out.provision = true
	if d.out.cancelled || d.hangup != nil {
		d.cancel()
		return
	}
	if d.state != early || res.StatusCode == 100 {
		return
	}
	tag := param(res.To().Params, "tag")
	if lists(res, "Require", "100rel") && tag != "" && !d.prackOut(res, tag) {
		return
	}
	e := Event{Kind: Progress, Status: res.StatusCode, Reason: clean(res.Reason)}
	if isSDP(res) {
		e.SDP = res.Body()
	}
	d.tell(e)
}

// prackOut acknowledges a reliable provisional response; false means it is an old one (RFC 3262, 4).
func (d *Dialog) prackOut(res *sip.Response, tag string) bool {
	n := uint32(leadingInt(value(res, "RSeq")))
	if last, seen := d.out.rseq[tag]; seen && n <= last || len(d.out.rseq) > 16 {
		return false
	}
	d.out.rseq[tag] = n
	remote, target, routes := d.remote, d.target, d.routes
	d.establish(res)
	req := d.requestIn(sip.PRACK)
	set(req, "RAck", fmt.Sprintf("%d %d INVITE", n, d.invite.CSeq().SeqNo))
	d.send(req, func(*sip.Response) {})
	d.remote, d.target, d.routes = remote, target, routes
	return true
}

// establish takes the dialog's state from a response with a To tag.
func (d *Dialog) establish(res *sip.Response) {
	d.remote = value(res, "To")
	if c := res.Contact(); c != nil {
		d.target = c.Address.String()
	}
	routes := values(res, "Record-Route")
	d.routes = make([]string, 0, len(routes))
	for i := len(routes) - 1; i >= 0; i-- {
		d.routes = append(d.routes, routes[i])
	}
}

func (d *Dialog) answered(res *sip.Response) {
	tag := param(res.To().Params, "tag")
	switch {
	case d.state == early || d.state == leaving && d.remoteTag == "":
	case tag == d.remoteTag:
		d.ackOK(res) // our ACK was lost
		return
	default:
		d.dropFork(res)
		return
	}
	cancelled := d.out.cancelled || d.hangup != nil
	d.out.limit.Stop()
	d.remoteTag = tag
	d.establish(res)
	d.state = confirmed
	d.ackOK(res)
	if cancelled { // the answer crossed our CANCEL
		d.hangupNow(cause.Cause{Code: cause.Cancelled})
		return
	}
	d.timer.agreed(d, res)
	e := Event{Kind: Answered, Status: res.StatusCode}
	if isSDP(res) {
		e.SDP = res.Body()
	}
	d.tell(e)
}

// dropFork acknowledges the answer of another fork and hangs it up (RFC 3261, 13.2.2.4).
func (d *Dialog) dropFork(res *sip.Response) {
	remote, target, routes := d.remote, d.target, d.routes
	d.establish(res)
	d.ackOK(res)
	bye := d.requestIn(sip.BYE)
	d.send(bye, func(*sip.Response) {})
	d.remote, d.target, d.routes = remote, target, routes
}

// refused is a final refusal: try again with credentials, elsewhere, or end.
func (d *Dialog) refused(req *sip.Request, res *sip.Response) {
	status := res.StatusCode
	if !d.out.cancelled && d.hangup == nil {
		switch {
		case status == 401 || status == 407:
			if d.account != nil && d.account.take(res, d.out.tried) == nil {
				d.out.tried = true
				d.sendInvite()
				return
			}
		case status == 422 && d.out.minSE == 0:
			d.out.minSE = max(minSE, leadingInt(value(res, "Min-SE")))
			d.timer.interval = max(d.timer.interval, time.Duration(d.out.minSE)*time.Second)
			d.sendInvite()
			return
		case status == 503 || status == 430:
			if len(d.out.targets) > 0 {
				d.try()
				return
			}
		case status >= 300 && status < 400:
			if d.redirected(res) {
				return
			}
		}
	}
	text := clean(res.Reason)
	if t := reasonText(value(res, "Reason")); t != "" {
		text = t
	}
	d.end(cause.Cause{Code: cause.FromSIPStatus(status), Status: status, Text: text})
}

// redirected follows the first Contact of a 3xx (RFC 3261, 8.1.3.4).
func (d *Dialog) redirected(res *sip.Response) bool {
	c := res.Contact()
	if d.out.redirects++; c == nil || d.out.redirects > maxRedirects || c.Address.String() == d.target {
		return false
	}
	to := c.Address
	d.target = to.String()
	go func() {
		targets, err := d.ua.targets(d.ua.ctx, to, nil)
		d.post(func() {
			if err != nil {
				d.end(cause.Of(err))
				return
			}
			d.out.targets = targets
			d.try()
		})
	}()
	return true
}

// cancel gives an unanswered call up. Without a provisional response CANCEL has to wait (RFC 3261, 9.1).
func (d *Dialog) cancel() {
	first := !d.out.cancelled
	d.out.cancelled = true
	if d.out.tx == nil {
		d.end(cause.Cause{Code: cause.Cancelled})
		return
	}
	if !d.out.provision || d.state == leaving {
		if first {
			d.after(64*t1, func() { d.end(cause.Cause{Code: cause.Cancelled}) })
		}
		return
	}
	d.state = leaving
	req := sip.NewRequest(sip.CANCEL, d.invite.Recipient)
	req.AppendHeader(d.invite.Via().Clone())
	for _, r := range d.invite.GetHeaders("Route") {
		req.AppendHeader(sip.NewHeader("Route", r.Value()))
	}
	req.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	req.AppendHeader(sip.NewHeader("From", value(d.invite, "From")))
	req.AppendHeader(sip.NewHeader("To", value(d.invite, "To")))
	req.AppendHeader(sip.NewHeader("Call-ID", d.CallID()))
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetBody(nil)
	d.ua.startClient(req, d.flow, func(*sip.Response) {})
	d.after(64*t1, func() { d.end(cause.Cause{Code: cause.Cancelled}) })
}

// via adds our Via to a request.
func (u *UA) via(req *sip.Request, f flow, acc *account) {
	adv := u.advertised(f, acc)
	v := &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(f.network),
		Host: bracket(adv.Addr()), Port: int(adv.Port()), Params: sip.NewParams(),
	}
	v.Params.Add("branch", magic+token())
	v.Params.Add("rport", "")
	req.AppendHeader(v)
}

// advertised is our address as a peer sees it.
func (u *UA) advertised(f flow, acc *account) netip.AddrPort {
	ip, port := f.local.Addr(), f.local.Port()
	if f.conn != nil && len(u.local) > 0 { // a dialled connection's port takes no calls
		for i, l := range u.opt.Listen {
			if l.Network == f.network {
				port = u.local[i].Port()
			}
		}
	}
	private := f.remote.Addr().IsLoopback()
	switch {
	case u.opt.PublicIP.IsValid() && !private && u.opt.PublicIP.Is4() == f.remote.Addr().Is4():
		ip = u.opt.PublicIP
	case acc != nil && acc.learned().IsValid() && !private:
		ip = acc.learned().Addr()
	case ip.IsUnspecified():
		ip = routeTo(f.remote)
	}
	return netip.AddrPortFrom(ip, port)
}

// contact writes our Contact header.
func (u *UA) contact(f flow, acc *account) string {
	user := "jigasi"
	if acc != nil {
		user = acc.opt.User
	}
	adv := u.advertised(f, acc)
	return "<sip:" + user + "@" + hostPort(adv) + ";transport=" + f.network + ">"
}

func bracket(ip netip.Addr) string {
	if ip.Is6() {
		return "[" + ip.String() + "]"
	}
	return ip.String()
}
