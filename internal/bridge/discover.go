package bridge

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/stun/v4"
)

// Discover asks a STUN server, host or host:port, for our address as the outside sees it
// (RFC 8489). It blocks until an answer comes or ctx is done.
func Discover(ctx context.Context, server string) (netip.Addr, error) {
	if !strings.Contains(server, ":") {
		server += ":3478"
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", server)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("STUN server %s: %w", server, err)
	}
	defer c.Close()
	req, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return netip.Addr{}, err
	}
	buf := make([]byte, 1500)
	for wait := 250 * time.Millisecond; ; wait *= 2 {
		if _, err := c.Write(req.Raw); err != nil {
			return netip.Addr{}, fmt.Errorf("STUN server %s: %w", server, err)
		}
		_ = c.SetReadDeadline(time.Now().Add(wait)) // shows at the read
		n, err := c.Read(buf)
		if err == nil {
			res := &stun.Message{Raw: buf[:n]}
			var a stun.XORMappedAddress
			if res.Decode() == nil && res.TransactionID == req.TransactionID && a.GetFrom(res) == nil {
				if ip, ok := netip.AddrFromSlice(a.IP); ok {
					return ip.Unmap(), nil
				}
			}
		}
		if ctx.Err() != nil || wait > 4*time.Second {
			return netip.Addr{}, fmt.Errorf("STUN server %s does not answer", server)
		}
	}
}
