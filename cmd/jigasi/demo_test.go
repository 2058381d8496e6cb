package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/lab/phone"
)

// TestDemoCtrlC: Ctrl-C ends a demo that would go on for long, and one ended so has proved nothing.
func TestDemoCtrlC(t *testing.T) {
	t.Parallel()
	p := jigasi(t, t.TempDir(), nil, "demo", "--for", "10m")
	p.until(t, "they talk", func() bool { return strings.Contains(p.said(), "first sound heard by the phone") })
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := p.end(t); status == 0 {
		t.Error("status 0 without a verdict")
	}
}

// TestDemoListens: the meeting stays open for a phone of one's own, and its files are written.
func TestDemoListens(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := socket.LocalAddr().String()
	socket.Close()
	dir := t.TempDir()
	p := jigasi(t, dir, nil, "demo", "--for", "2s", "--listen", addr, "--out", "files")
	p.until(t, "it is open", func() bool { return strings.Contains(p.said(), fmt.Sprintf("Call sip:demo@%s", addr)) })
	for _, f := range []string{"phone-heard.wav", "room-heard.wav", "call.json"} {
		if info, err := os.Stat(filepath.Join(dir, "files", f)); err != nil || info.Size() < 100 {
			t.Error(f, err)
		}
	}
	own, err := phone.Dial(phone.Options{Server: netip.MustParseAddrPort(addr), User: "demo", Tone: 500})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-own.Up():
	case <-time.After(20 * time.Second):
		t.Error("nobody answers")
	}
	p.until(t, "the own phone is shown", func() bool { return strings.Count(p.said(), "phone connected") > 1 })
	if err := own.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := p.end(t); status != 0 {
		t.Error("status", status)
	}
}
