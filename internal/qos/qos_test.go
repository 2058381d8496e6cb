package qos

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// TestMark: the system has the mark, for both families on a socket that carries both.
func TestMark(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::]:0"} {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
		if err != nil {
			t.Fatal(err)
		}
		local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
		read := func(level, option int) (got int) {
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), level, option) })
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if err := Mark(c, local, 0); err != nil || read(syscall.IPPROTO_IP, syscall.IP_TOS) != 0 {
			t.Error(addr, err)
		}
		if err := Mark(c, local, 46); err != nil || read(syscall.IPPROTO_IP, syscall.IP_TOS) != 46<<2 {
			t.Error(addr, err)
		}
		if local.Is6() && read(syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS) != 46<<2 {
			t.Error(addr, "no class")
		}
		c.Close()
		if Mark(c, local, 46) == nil {
			t.Error("a closed socket is marked")
		}
	}
}
