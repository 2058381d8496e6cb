package sip_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"jigasi/internal/sip"
)

// TestPortOfAnother: where a program has the port, as a PBX on this machine does, another one is taken by who may.
func TestPortOfAnother(t *testing.T) {
	t.Parallel()
	pbx, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pbx.Close()
	for _, may := range []bool{false, true} {
		ua := sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: pbx.LocalAddr().String(), OrAny: may}}})
		err := ua.Start()
		if may != (err == nil) || !may && !strings.Contains(err.Error(), "in use") {
			t.Errorf("may take another: %v, %v", may, err)
		}
		if at := ua.Local(); err == nil && (len(at) != 1 || at[0].Port() == 0 || at[0].String() == pbx.LocalAddr().String()) {
			t.Errorf("listens at %v", at)
		}
		if err := ua.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
