package sip

import (
	"context"
	"errors"
	"fmt"
	"jigasi/internal/siptx"
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
	after  time.Duration // that the server wants us to wait (Retry-After); 0 where it does not say
}

func errorOf(res *sip.Response) statusError {
	after := time.Duration(max(0, siptx.Leading(siptx.Value(res, "Retry-After")))) * time.Second
	return statusError{res.StatusCode, siptx.Clean(res.Reason), min(after, maxRetryAfter)}
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
		return 0, fmt.Errorf("the server %s (registrar or proxy of the account) cannot be found: %w", host, err)
	}
	err = errSilent
	for _, t := range targets {
		f, dialErr := a.ua.layer.Connect(ctx, t.Network, t.Addr, t.ServerName)
		if dialErr != nil {
			err = dialErr
			a.ua.avoid(t)
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

// registerAt registers at one server, with credentials and other times as it asks. When it shows that we
// are seen under another address, that one is registered too, in place of the first.
func (a *account) registerAt(ctx context.Context, f siptx.Flow, expires time.Duration) (time.Duration, error) {
	contact := a.ua.contact(f, a)
	req := a.registerRequest(f, contact, expires)
	creds := a.credentials(req)
	for range 6 {
		creds.put(req)
		res, err := a.exchange(ctx, f, req)
		if err != nil {
			return 0, err
		}
		a.learn(res, f)
		switch status := res.StatusCode; {
		case status < 300:
			a.registeredBy(f, contact)
			if now := a.ua.contact(f, a); now == contact || expires == 0 {
				return a.granted(res, contact, expires), nil
			}
			contact = a.ua.contact(f, a)
		case a.acceptAnew(creds, res):
		case status == 423:
			least := time.Duration(siptx.Leading(siptx.Value(res, "Min-Expires"))) * time.Second
			if least <= expires || least > 24*time.Hour {
				return 0, errorOf(res)
			}
			expires = least
		default:
			return 0, errorOf(res)
		}
		req = a.registerRequest(f, contact, expires)
	}
	return 0, errors.New("the server asks again and again")
}

// registeredBy notes the way and the Contact of a binding.
func (a *account) registeredBy(f siptx.Flow, contact string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.meets(f.Remote().Addr())
	f.Hold()
	a.flow.Release()
	a.flow, a.bound = f, contact
}

// registerRequest builds a REGISTER; a Contact that was registered before and is another one is taken back.
func (a *account) registerRequest(f siptx.Flow, contact string, expires time.Duration) *sip.Request {
	secs := strconv.Itoa(int(expires / time.Second))
	a.seq++
	req := a.requestOut(f, sip.REGISTER, a.callID, a.seq)
	req.AppendHeader(sip.NewHeader("Contact", contact+";expires="+secs))
	a.mu.Lock()
	if a.bound != "" && a.bound != contact {
		req.AppendHeader(sip.NewHeader("Contact", a.bound+";expires=0"))
	}
	a.mu.Unlock()
	req.AppendHeader(sip.NewHeader("Expires", secs))
	req.AppendHeader(sip.NewHeader("Allow", allow))
	req.AppendHeader(sip.NewHeader("User-Agent", a.ua.opt.UserAgent))
	return req
}

// requestOut builds a request from the account to its server, outside of dialogs.
func (a *account) requestOut(f siptx.Flow, method sip.RequestMethod, callID string, seq uint32) *sip.Request {
	req := sip.NewRequest(method, sip.Uri{Scheme: "sip", Host: a.opt.Domain})
	a.ua.via(req, f, a)
	aor := "<" + a.aor() + ">"
	req.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	req.AppendHeader(sip.NewHeader("From", aor+";tag="+siptx.Token()))
	req.AppendHeader(sip.NewHeader("To", aor))
	id := sip.CallIDHeader(callID)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: method})
	req.SetBody(nil)
	a.decorate(req)
	return req
}

// exchange sends a request outside of dialogs and waits for its final response.
func (a *account) exchange(ctx context.Context, f siptx.Flow, req *sip.Request) (*sip.Response, error) {
	got := make(chan *sip.Response, 1)
	tx := a.ua.layer.Send(req, f, func(res *sip.Response) {
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
			return nil, fmt.Errorf("no answer from %s", f.Remote())
		}
		return res, nil
	case <-ctx.Done():
		tx.Stop()
		return nil, ctx.Err()
	}
}

// learn reads our own address as the server sees it off the Via (RFC 3581).
func (a *account) learn(res *sip.Response, f siptx.Flow) {
	p := res.Via().Params
	ip, err := netip.ParseAddr(strings.Trim(siptx.Param(p, "received"), "[]"))
	if err != nil {
		return
	}
	port := f.Local().Port()
	if n := siptx.Leading(siptx.Param(p, "rport")); n > 0 && n < 65536 && !f.Reliable() {
		port = uint16(n)
	}
	a.mu.Lock()
	a.public = netip.AddrPortFrom(ip.Unmap(), port)
	a.mu.Unlock()
}

// granted is how long the binding holds, by our Contact or the Expires header.
func (a *account) granted(res *sip.Response, contact string, asked time.Duration) time.Duration {
	secs := siptx.Leading(siptx.Value(res, "Expires"))
	mine, _, _ := strings.Cut(strings.Trim(contact, "<>"), ";")
	for _, c := range siptx.Values(res, "Contact") {
		if _, v, ok := strings.Cut(strings.ToLower(c), "expires="); ok && strings.Contains(c, mine) {
			secs = siptx.Leading(v)
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
		return f.Send([]byte("\r\n\r\n")) == nil
	}
	ctx, cancel := context.WithTimeout(a.ctx, 10*time.Second)
	defer cancel()
	a.heard(a.ask(ctx, f))
	return f.Alive()
}
