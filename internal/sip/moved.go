package sip

import (
	"cmp"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// maxRedirects bounds redirections, and the addresses of one that are called.
const maxRedirects = 5

// redirected follows a 3xx to the addresses that it names, in turn (RFC 3261, 8.1.3.4).
func (d *Dialog) redirected(res *sip.Response) bool {
	if d.out.redirects++; d.out.redirects > maxRedirects {
		return false
	}
	d.out.moved = append(contactsOf(res), d.out.moved...)
	return d.follow()
}

// contactsOf are the addresses of a 3xx that can be called, the one that is preferred most first.
func contactsOf(res *sip.Response) []sip.Uri {
	type choice struct {
		uri sip.Uri
		q   float64
	}
	var all []choice
	for _, h := range siptx.Values(res, "Contact") {
		c := choice{q: 1}
		params := sip.HeaderParams{}
		if _, err := sip.ParseAddressValue(h, &c.uri, &params); err != nil || c.uri.Host == "" || c.uri.Wildcard {
			continue
		}
		if s := strings.ToLower(c.uri.Scheme); s != "sip" && s != "sips" {
			continue
		}
		if q, err := strconv.ParseFloat(siptx.Param(params, "q"), 64); err == nil {
			c.q = q
		}
		c.uri.Headers = nil
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b choice) int { return cmp.Compare(b.q, a.q) })
	var uris []sip.Uri
	for _, c := range all[:min(len(all), maxRedirects)] {
		uris = append(uris, c.uri)
	}
	return uris
}

// follow calls the next address that a 3xx named; false means that there is none. By an account's own domain it goes to
// the account's server, elsewhere without that, and whoever it reaches there is told no credentials (T19).
func (d *Dialog) follow() bool {
	for len(d.out.moved) > 0 {
		to := d.out.moved[0]
		d.out.moved = d.out.moved[1:]
		if slices.Contains(d.out.called, to.String()) || to.String() == d.peer.target {
			continue // a loop
		}
		d.out.called = append(d.out.called, d.peer.target)
		d.peer.target = to.String()
		acc := d.account
		if acc != nil && !strings.EqualFold(to.Host, acc.opt.Domain) {
			acc = nil
		}
		d.beside(func() {
			targets, err := d.ua.targets(d.ua.ctx, to, acc)
			d.post(func() {
				switch {
				case d.out.cancelled:
					d.end(cause.Cause{Code: cause.Cancelled})
				case err != nil && d.follow():
				case err != nil:
					d.end(cause.Of(err))
				default:
					d.out.targets = targets
					d.try()
				}
			})
		})
		return true
	}
	return false
}
