package sip

import (
	"jigasi/internal/siptx"
	"net/netip"
	"strings"
)

// CallID is the Call-ID.
func (d *Dialog) CallID() string { return d.callID }

// Inbound reports whether the peer called us.
func (d *Dialog) Inbound() bool { return d.inbound }

// Header gives the first value of a header of the INVITE, without case; "" for an outgoing call.
func (d *Dialog) Header(name string) string {
	if d.first == nil {
		return ""
	}
	return siptx.Clean(siptx.Value(d.first, name))
}

// Headers gives all headers of the INVITE, in order; none for an outgoing call.
func (d *Dialog) Headers() []Header {
	if d.first == nil {
		return nil
	}
	var all []Header
	for _, h := range d.first.Headers() {
		all = append(all, Header{h.Name(), siptx.Clean(h.Value())})
	}
	return all
}

// SDP is the session description of the INVITE, nil if it had none.
func (d *Dialog) SDP() []byte {
	if d.first == nil {
		return nil
	}
	return description(d.first)
}

// Caller is who calls: the user part and the display name of From.
func (d *Dialog) Caller() (user, name string) {
	if d.first == nil {
		return "", ""
	}
	f := d.first.From()
	return siptx.Clean(f.Address.User), strings.NewReplacer(`\`, "", `"`, "").Replace(siptx.Clean(f.DisplayName))
}

// Called is the user part that was called.
func (d *Dialog) Called() string {
	if d.first == nil {
		return ""
	}
	return siptx.Clean(d.first.Recipient.User)
}

// Account is the id of the account the call came by or goes by; "" is a trunk.
func (d *Dialog) Account() string {
	if d.account == nil {
		return ""
	}
	return d.account.opt.ID
}

// Peer is the address the signalling goes through; invalid before an outgoing call has found its way.
func (d *Dialog) Peer() netip.AddrPort { return d.seen.Load().peer }

// MediaIP is the address that the peer should be told to send its media to; invalid
// before an outgoing call has found its way (UA.MediaIP knows it before).
func (d *Dialog) MediaIP() netip.Addr { return d.seen.Load().media }
