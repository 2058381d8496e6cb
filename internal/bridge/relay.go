package bridge

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"

	"github.com/pion/stun/v4"
)

// relayDialer opens the connections to TURN servers over TCP and TLS: the ICE library itself trusts the system's
// authorities alone.
type relayDialer struct {
	config *tls.Config
	secure map[string]string // by host:port, whom the certificate has to name
}

func newRelayDialer(config *tls.Config, servers []*stun.URI) relayDialer {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	d := relayDialer{config, map[string]string{}}
	for _, u := range servers {
		if u.Scheme == stun.SchemeTypeTURNS {
			d.secure[net.JoinHostPort(u.Host, strconv.Itoa(u.Port))] = u.Host
		}
	}
	return d
}

// Dial opens one.
func (d relayDialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gatherLimit)
	defer cancel()
	var plain net.Dialer
	name, secure := d.secure[address]
	if !secure {
		return plain.DialContext(ctx, network, address)
	}
	config := d.config.Clone()
	config.ServerName = name
	return (&tls.Dialer{NetDialer: &plain, Config: config}).DialContext(ctx, network, address)
}
