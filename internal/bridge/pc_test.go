package bridge_test

import (
	"net"
	"time"

	"github.com/pion/transport/v5/packetio"
)

// onePeer makes a peer a packet connection for DTLS.
type onePeer struct{ p *peer }

func (p onePeer) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := p.p.dtlsIn.Read(b, packetio.Attributes{})
	return n, p.p.conn.RemoteAddr(), err
}
func (p onePeer) WriteTo(b []byte, _ net.Addr) (int, error) { return p.p.conn.Write(b) }
func (p onePeer) Close() error                              { return p.p.dtlsIn.Close() }
func (p onePeer) LocalAddr() net.Addr                       { return p.p.conn.LocalAddr() }
func (p onePeer) SetDeadline(t time.Time) error             { return p.p.dtlsIn.SetReadDeadline(t) }
func (p onePeer) SetReadDeadline(t time.Time) error         { return p.p.dtlsIn.SetReadDeadline(t) }
func (p onePeer) SetWriteDeadline(time.Time) error          { return nil }
