package bridge

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"jigasi/internal/jingle"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v5/packetio"
)

// handshake is DTLS-SRTP as the client (RFC 5764), and makes the session.
func (c *Conn) handshake(ctx context.Context, theirs []jingle.Fingerprint) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	var refused error
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error {
		refused = matches(raw, theirs)
		return refused
	}
	var err error
	c.dtls, err = dtls.ClientWithOptions(dtlsConn{c}, c.conn.RemoteAddr(),
		dtls.WithCertificates(c.cert), dtls.WithInsecureSkipVerify(true), dtls.WithVerifyPeerCertificate(verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret), dtls.WithFlightInterval(300*time.Millisecond),
		dtls.WithLoggerFactory(libraryLog{c.log}))
	if err != nil {
		return err
	}
	if err := c.dtls.HandshakeContext(ctx); err != nil {
		if refused != nil {
			return refused // the library's error is the alert that follows
		}
		return err
	}
	s, err := newSession(c)
	if err != nil {
		return err
	}
	c.media.Store(s)
	c.line.follow(c)
	c.wg.Go(c.drainDTLS)
	return nil
}

// dtlsConn is the packet connection of DTLS, fed by take.
type dtlsConn struct{ c *Conn }

func (d dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := d.c.dtlsIn.Read(b, packetio.Attributes{})
	return n, d.c.conn.RemoteAddr(), err
}
func (d dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) { return d.c.conn.Write(b) }
func (d dtlsConn) Close() error                              { return d.c.dtlsIn.Close() }
func (d dtlsConn) LocalAddr() net.Addr                       { return d.c.conn.LocalAddr() }
func (d dtlsConn) SetDeadline(t time.Time) error             { return d.c.dtlsIn.SetReadDeadline(t) }

func (d dtlsConn) SetReadDeadline(t time.Time) error { return d.c.dtlsIn.SetReadDeadline(t) }
func (dtlsConn) SetWriteDeadline(time.Time) error    { return nil }
