//go:build lab

package peers

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"jigasi/internal/config"
)

// coturn runs a TURN server until the end of the test and gives its port.
func coturn(t *testing.T, args ...string) int {
	t.Helper()
	dir, port := t.TempDir(), freeTCP(t)
	child(t, "turnserver", append([]string{
		"-n", "--realm=meet.test", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", fmt.Sprint(port), "--tls-listening-port", fmt.Sprint(port),
		"--min-port=57000", "--max-port=57999", "--allow-loopback-peers", "--no-dtls", "--no-cli", "--log-file=stdout", "--simple-log",
		"--pidfile=" + dir + "/pid", "--userdb=" + dir + "/turndb",
	}, args...)...)
	return port
}

// TestCoturnIsTheOnlyWay: a firewall stands between the gateway's ports and the bridge; sound
// flows through the relay that the XMPP server announces (XEP-0215), or that is configured.
func TestCoturnIsTheOnlyWay(t *testing.T) {
	const secret, user = "turnsecret", "gw"
	ca := newAuthority(t)
	cert, key, _ := ca.issue(t, "127.0.0.1")
	for name, tt := range map[string]struct {
		coturn    []string
		announced string // transport in the room's announcement
		network   string // by which it can be reached
		given     string // transport in the gateway's configuration
	}{
		"announced, udp":  {[]string{"--use-auth-secret", "--static-auth-secret=" + secret, "--no-tls", "--no-tcp"}, "udp", "udp", ""},
		"announced, tcp":  {[]string{"--use-auth-secret", "--static-auth-secret=" + secret, "--no-tls", "--no-udp"}, "tcp", "tcp", ""},
		"configured, tcp": {[]string{"--lt-cred-mech", "--user=" + user + ":" + secret, "--no-tls", "--no-udp"}, "", "tcp", "tcp"},
		"announced, tls":  {[]string{"--use-auth-secret", "--static-auth-secret=" + secret, "--no-udp", "--no-tcp", "--cert=" + cert, "--pkey=" + key}, "tls", "tls", ""},
		"configured, tls": {[]string{"--lt-cred-mech", "--user=" + user + ":" + secret, "--no-udp", "--no-tcp", "--cert=" + cert, "--pkey=" + key}, "", "tls", "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := coturn(t, tt.coturn...)
			services := ""
			if tt.announced != "" {
				kind, transport := "turn", tt.announced
				if transport == "tls" {
					kind, transport = "turns", "tcp"
				}
				services = fmt.Sprintf(`{ type = "%s", transport = "%s", host = "127.0.0.1", port = %d, secret = "%s", ttl = 600, algorithm = "turn" }`, kind, transport, port, secret)
			}
			m := meet(t, services)
			var low, high uint16
			g := gatewayAt(t, m, func(c *config.Config) {
				low, high = uint16(c.Media.MinPort), uint16(c.Media.MaxPort)
				c.Media.TURNTLS.CAFile = ca.file
				if tt.given != "" {
					c.Media.TURN = []config.TURN{{Server: addr(port), Transport: tt.given, User: user, Password: secret}}
				}
			})
			m.bridge.Wall(func(a netip.AddrPort) bool { return a.Port() < low || a.Port() > high })
			eventually(t, 20*time.Second, "coturn answers", func() bool { return answersSTUN(tt.network, addr(port)) })
			a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
			p := phoneIn(t, g, "alpha", 440)
			all(t, 25*time.Second, a, b, p)
			if m.bridge.Blocked() == 0 {
				t.Error("nothing ran into the wall: was there another way?")
			}
			hangup(t, p)
			gone(t, g, p)
		})
	}
}

// answersSTUN reports whether a binding request is answered (RFC 8489, 5).
func answersSTUN(network, server string) bool {
	var c net.Conn
	var err error
	if network == "tls" {
		c, err = tls.Dial("tcp", server, &tls.Config{InsecureSkipVerify: true}) // whether it is there
	} else {
		c, err = net.Dial(network, server)
	}
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes")); err != nil {
		return false
	}
	n, err := c.Read(make([]byte, 1500))
	return err == nil && n >= 20
}
