package bridge_test

import (
	"encoding/hex"
	"net"
	"testing"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/jingle"
	"jigasi/internal/lab/soak"
)

// hellos are DTLS records that anybody can make: a ClientHello that offers TLS_NULL alone, an answer that
// asks for a cookie, an alert, and noise.
var hellos = []string{
	"16fefd0000000000000000002f" + "010000230000000000000023" + "fefd" + "00000000000000000000000000000000000000000000000000000000000000000000" + "00020000" + "0100",
	"16feff00000000000000000017" + "0300000b000000000000000b" + "feff08" + "4142434445464748",
	"15fefd000000000000000000020228",
	"17fefd00010000000000000004deadbeef",
}

// T26: while connections are set up, somebody else sends DTLS to all their ports, a thousand packets a second.
// All come up: who has not been found by ICE is not heard.
func TestT26_HelloOfAnother(t *testing.T) {
	t.Parallel()
	attacker, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer attacker.Close()
	var records [][]byte
	for _, s := range hellos {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, b)
	}
	for i := range soak.Count(50, 500) {
		c, err := bridge.New(t.Context(), bridge.Options{Loopback: true})
		if err != nil {
			t.Fatal(err)
		}
		stop, gone := make(chan struct{}), make(chan int)
		go func() { gone <- spray(attacker, c.Local().Candidates, records, stop) }()
		p := newPeer(t)
		tr := p.transport(t, jingle.Fingerprint{Hash: "sha-256", Value: sha(p.der), Setup: "actpass"})
		go func() { p.up <- p.join(t.Context(), c.Local()) }()
		if err := c.Connect(t.Context(), tr); err != nil {
			t.Errorf("connection %d: %v", i, err)
		} else if err := <-p.up; err != nil {
			t.Errorf("connection %d, the bridge's side: %v", i, err)
		}
		close(stop)
		if n := <-gone; n == 0 {
			t.Error("nothing was sent by the other")
		}
		c.Close()
	}
}

// spray sends records to candidates until stop, and gives how many packets.
func spray(from *net.UDPConn, to []jingle.Candidate, records [][]byte, stop <-chan struct{}) (n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		for _, c := range to {
			if _, err := from.WriteToUDP(records[n%len(records)], &net.UDPAddr{IP: net.ParseIP(c.IP), Port: c.Port}); err == nil {
				n++
			}
		}
		select {
		case <-stop:
			return n
		case <-tick.C:
		}
	}
}
