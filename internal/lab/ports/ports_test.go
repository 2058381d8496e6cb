package ports

import (
	"fmt"
	"net"
	"testing"
)

// TestFree: no port twice, and none that somebody has, of either kind and at any address.
func TestFree(t *testing.T) {
	seen := map[int]bool{}
	for range 100 {
		p := Free(t)
		if seen[p] || p < first || p >= first+count {
			t.Fatalf("port %d", p)
		}
		seen[p] = true
	}
	udp, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", Free(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", Free(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for _, a := range []net.Addr{udp.LocalAddr(), tcp.Addr()} {
		_, port, _ := net.SplitHostPort(a.String())
		if free(":" + port) {
			t.Errorf("%s port %s is free", a.Network(), a)
		}
	}
}
