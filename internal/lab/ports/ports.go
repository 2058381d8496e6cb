// Package ports gives tests ports for programs that have to be told theirs before they start.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// The ports given: below those that the system gives out by itself, and above those that tests take for sound.
const (
	first = 30000
	count = 2768
)

var last = func() *atomic.Uint32 { // other test binaries that run now begin somewhere else
	n := &atomic.Uint32{}
	n.Store(rand.Uint32N(count))
	return n
}()

// Free is a port that nobody has, for UDP and for TCP, at any address of this machine. A process gives none twice before it has
// given all.
func Free(t testing.TB) int {
	t.Helper()
	for range count {
		port := first + int(last.Add(1)%count)
		if free(fmt.Sprintf(":%d", port)) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func free(addr string) bool {
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = udp.Close() }()
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	_ = tcp.Close()
	return true
}
