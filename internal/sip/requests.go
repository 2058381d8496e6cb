package sip

import (
	"jigasi/internal/siptx"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// allow lists the methods that are understood.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY, REFER"

// infoTypes are the bodies of an INFO that are understood.
const infoTypes = "application/json, application/dtmf-relay, application/dtmf"

// extensions are the option tags that are spoken here.
var extensions = []string{"timer", "100rel"}

// request takes a new request: to its dialog, or as one outside of any.
func (u *UA) request(req *sip.Request, tx *siptx.Server) {
	tag := siptx.Param(req.To().Params, "tag")
	if tag == "" {
		if !u.outside(req, tx) {
			u.invite(req, tx)
		}
		return
	}
	d := u.dialog(req.CallID().Value(), tag)
	switch {
	case d == nil && req.Method == sip.OPTIONS:
		u.options(req, tx)
	case d == nil:
		tx.Status(481)
	case !d.offer(func() { d.request(req, tx) }):
		res := siptx.Respond(req, 500, "")
		siptx.Set(res, "Retry-After", "2")
		tx.Respond(res)
	}
}

// outside answers requests that belong to no dialog (RFC 3261, 8.2); false means an INVITE to be taken.
func (u *UA) outside(req *sip.Request, tx *siptx.Server) bool {
	if scheme := strings.ToLower(req.Recipient.Scheme); scheme != "sip" && scheme != "sips" && scheme != "tel" {
		tx.Status(416)
		return true
	}
	if mf := req.MaxForwards(); mf != nil && mf.Val() == 0 && req.Method != sip.OPTIONS {
		tx.Status(483)
		return true
	}
	switch req.Method {
	case sip.INVITE, sip.OPTIONS:
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK:
		tx.Status(481)
		return true
	case sip.SUBSCRIBE, sip.PUBLISH, sip.NOTIFY:
		tx.Status(489)
		return true
	case sip.REFER:
		tx.Status(603)
		return true
	case sip.MESSAGE, sip.REGISTER:
		notAllowed(req, tx)
		return true
	default:
		res := siptx.Respond(req, 501, tx.Tag)
		siptx.Set(res, "Allow", allow)
		tx.Respond(res)
		return true
	}
	if bad := unsupported(req); bad != "" {
		badExtension(req, tx, bad)
		return true
	}
	if req.Method == sip.OPTIONS {
		u.options(req, tx)
		return true
	}
	if u.draining() {
		res := siptx.Respond(req, 503, tx.Tag)
		siptx.Set(res, "Retry-After", "30")
		tx.Respond(res)
		return true
	}
	return false
}

func (u *UA) draining() bool { return u.opt.Draining != nil && u.opt.Draining() }

// options answers a question for what is spoken here (RFC 3261, 11). A stranger
// is told no more than it sent: who asks in another's name gains nothing by it (T06).
func (u *UA) options(req *sip.Request, tx *siptx.Server) {
	status := 200
	if u.draining() {
		status = 503
	}
	res := siptx.Respond(req, status, tx.Tag)
	if !tx.Stranger() || tx.Flow().Reliable() {
		u.capabilities(res)
	}
	tx.Respond(res)
}

func notAllowed(req *sip.Request, tx *siptx.Server) {
	res := siptx.Respond(req, 405, tx.Tag)
	siptx.Set(res, "Allow", allow)
	tx.Respond(res)
}

// notRead refuses a body that is no session description, or is not plain, and says what would be (RFC 3261, 8.2.3).
func notRead(req *sip.Request, tx *siptx.Server) {
	res := siptx.Respond(req, 415, tx.Tag)
	siptx.Set(res, "Accept", sdpType+", multipart/mixed")
	siptx.Set(res, "Accept-Encoding", "identity")
	tx.Respond(res)
}

func badExtension(req *sip.Request, tx *siptx.Server, bad string) {
	res := siptx.Respond(req, 420, tx.Tag)
	siptx.Set(res, "Unsupported", bad)
	tx.Respond(res)
}

// capabilities adds what this side understands.
func (u *UA) capabilities(m siptx.Message) {
	siptx.Set(m, "Allow", allow)
	siptx.Set(m, "Accept", sdpType+", "+infoTypes+", multipart/mixed")
	siptx.Set(m, "Supported", strings.Join(extensions, ", "))
	siptx.Set(m, "User-Agent", u.opt.UserAgent)
}

// unsupported names the required extensions that are not spoken here.
func unsupported(req *sip.Request) string {
	var bad []string
	for _, name := range []string{"Require", "Proxy-Require"} {
		for _, v := range siptx.Values(req, name) {
			for o := range strings.SplitSeq(v, ",") {
				if o = strings.TrimSpace(o); o != "" && !spoken(o) {
					bad = append(bad, siptx.Clean(o))
				}
			}
		}
	}
	return strings.Join(bad, ", ")
}

func spoken(option string) bool {
	for _, e := range extensions {
		if strings.EqualFold(e, option) {
			return true
		}
	}
	return false
}
