// Package qos marks the packets of a socket for networks that tell voice from the rest (RFC 4594).
package qos

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// Mark gives every packet of a socket a DSCP, 0 to 63; 0 leaves it as it is. local is the socket's own address:
// one of IPv6 has the mark of IPv6 as well, for it may carry both.
func Mark(c syscall.Conn, local netip.Addr, dscp int) error {
	if dscp == 0 {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("DSCP: %w", err)
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS, dscp<<2)
		if local.Is6() && !local.Is4In6() {
			set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, dscp<<2)
		}
	})
	if err = errors.Join(err, set); err != nil {
		return fmt.Errorf("DSCP %d: %w", dscp, err)
	}
	return nil
}
