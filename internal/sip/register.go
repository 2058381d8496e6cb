package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// statusError is a final response that is no success.
type statusError struct {
	status int
	reason string
}

func (e statusError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.status, e.reason)
	switch e.status {
	case 401, 403, 407:
		text += ": check user, password and authorization name of the account"
	case 404:
		text += ": the server does not know this user"
	}
	return text
}

// refused reports whether the server does not accept the credentials.
func refused(err error) bool {
	var s statusError
	return errors.As(err, &s) && (s.status == 401 || s.status == 403 || s.status == 404 || s.status == 407)
}

// register sends one REGISTER, with retries that the answers ask for, to the
// first server that answers at all. It gives the time until it expires.
func (a *account) register(ctx context.Context, expires time.Duration) (time.Duration, error) {
	host, port, transport, secure := a.nextHop(sip.Uri{})
	targets, err := a.ua.opt.Resolver.Targets(ctx, host, port, transport, secure)
	if err != nil {
		return 0, fmt.Errorf("the server %s cannot be found: %w", host, err)
	}
	err = errors.New("the server does not answer")
	for _, t := range targets {
		f, dialErr := a.ua.tp.to(ctx, t.Network, t.Addr, t.ServerName)
		if dialErr != nil {
			err = dialErr
			continue
		}
		granted, regErr := a.registerAt(ctx, f, expires)
		var answer statusError
		if regErr == nil || errors.As(regErr, &answer) && answer.status < 500 {
			return granted, regErr
		}
		err = regErr
	}
	return 0, err
}

func (a *account) registerAt(ctx context.Context, f flow, expires time.Duration) (time.Duration, error) {
	tried := false
	for range 5 {
		res, err := a.exchange(ctx, f, a.registerRequest(f, expires))
		if err != nil {
			return 0, err
		}
		a.learn(res, f)
		switch status := res.StatusCode; {
		case status < 300:
			a.mu.Lock()
			a.servers[f.remote.Addr()] = struct{}{}
			a.flow = f
			a.mu.Unlock()
			return a.granted(res, expires), nil
		case status == 401 || status == 407:
			if a.take(res, tried) != nil {
				return 0, statusError{status, clean(res.Reason)}
			}
			tried = true
		case status == 423:
			least := time.Duration(leadingInt(value(res, "Min-Expires"))) * time.Second
			if least <= expires || least > 24*time.Hour {
				return 0, statusError{status, clean(res.Reason)}
			}
			expires = least
		default:
			return 0, statusError{status, clean(res.Reason)}
		}
	}
	return 0, errors.New("the server challenges without end")
}

func (a *account) registerRequest(f flow, expires time.Duration) *sip.Request {
	req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: a.opt.Domain})
	a.ua.via(req, f, a)
	aor := "<" + a.aor() + ">"
	req.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	req.AppendHeader(sip.NewHeader("From", aor+";tag="+token()))
	req.AppendHeader(sip.NewHeader("To", aor))
	req.AppendHeader(sip.NewHeader("Call-ID", a.callID))
	a.seq++
	req.AppendHeader(&sip.CSeqHeader{SeqNo: a.seq, MethodName: sip.REGISTER})
	secs := strconv.Itoa(int(expires / time.Second))
	req.AppendHeader(sip.NewHeader("Contact", a.ua.contact(f, a)+";expires="+secs))
	req.AppendHeader(sip.NewHeader("Expires", secs))
	req.AppendHeader(sip.NewHeader("User-Agent", a.ua.opt.UserAgent))
	req.AppendHeader(sip.NewHeader("Allow", allow))
	req.SetBody(nil)
	a.authorize(req)
	return req
}

// exchange sends a request outside of dialogs and waits for its final response.
func (a *account) exchange(ctx context.Context, f flow, req *sip.Request) (*sip.Response, error) {
	got := make(chan *sip.Response, 1)
	a.ua.startClient(req, f, func(res *sip.Response) {
		if res == nil || res.StatusCode >= 200 {
			select {
			case got <- res:
			default:
			}
		}
	})
	select {
	case res := <-got:
		if res == nil {
			return nil, fmt.Errorf("no answer from %s", f.remote)
		}
		return res, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// learn reads our own address as the server sees it off the Via (RFC 3581).
func (a *account) learn(res *sip.Response, f flow) {
	p := res.Via().Params
	ip, err := netip.ParseAddr(strings.Trim(param(p, "received"), "[]"))
	if err != nil {
		return
	}
	port := f.local.Port()
	if n := leadingInt(param(p, "rport")); n > 0 && n < 65536 && !f.reliable() {
		port = uint16(n)
	}
	a.mu.Lock()
	a.public = netip.AddrPortFrom(ip.Unmap(), port)
	a.mu.Unlock()
}

// granted is how long the binding holds, by our Contact or the Expires header.
func (a *account) granted(res *sip.Response, asked time.Duration) time.Duration {
	secs := leadingInt(value(res, "Expires"))
	for _, c := range values(res, "Contact") {
		if strings.Contains(c, "sip:"+a.opt.User+"@") {
			if _, v, ok := strings.Cut(strings.ToLower(c), "expires="); ok {
				secs = leadingInt(v)
			}
		}
	}
	if secs <= 0 {
		return asked
	}
	return max(10*time.Second, time.Duration(secs)*time.Second)
}

// keepAlive holds the way through NAT open; false means that the connection is gone.
func (a *account) keepAlive() bool {
	a.mu.Lock()
	f := a.flow
	a.mu.Unlock()
	if a.opt.CRLF {
		return f.send([]byte("\r\n\r\n")) == nil
	}
	req := sip.NewRequest(sip.OPTIONS, sip.Uri{Scheme: "sip", Host: a.opt.Domain})
	a.ua.via(req, f, a)
	aor := "<" + a.aor() + ">"
	req.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	req.AppendHeader(sip.NewHeader("From", aor+";tag="+token()))
	req.AppendHeader(sip.NewHeader("To", aor))
	req.AppendHeader(sip.NewHeader("Call-ID", token()+"@jigasi"))
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS})
	a.ua.capabilities(req)
	req.SetBody(nil)
	ctx, cancel := context.WithTimeout(a.ua.ctx, 10*time.Second)
	defer cancel()
	_, err := a.exchange(ctx, f, req)
	var op *net.OpError
	return !errors.As(err, &op)
}

// systemResolver knows addresses and names, and no more of RFC 3263 than the default ports.
type systemResolver struct{}

func (systemResolver) Targets(ctx context.Context, host string, port int, transport string, secure bool) ([]Target, error) {
	network := strings.ToLower(transport)
	if network == "" {
		network = "udp"
		if secure {
			network = "tls"
		}
	}
	if port == 0 {
		port = 5060
		if network == "tls" {
			port = 5061
		}
	}
	name := strings.Trim(host, "[]")
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	var out []Target
	for _, ip := range ips {
		out = append(out, Target{network, netip.AddrPortFrom(ip.Unmap(), uint16(port)), name})
	}
	return out, nil
}
