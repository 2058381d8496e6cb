package sip_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/textproto"
	"testing"
	"time"

	"jigasi/internal/sip"
)

// aRegistrar is one over TLS that lets everybody in; came has each connection when it has registered.
type aRegistrar struct {
	port  int
	roots *x509.CertPool
	came  chan net.Conn
}

func newRegistrar(t *testing.T) *aRegistrar {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &aRegistrar{port: l.Addr().(*net.TCPAddr).Port, roots: x509.NewCertPool(), came: make(chan net.Conn, 8)}
	r.roots.AddCert(cert)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

// serve answers each request with 200, and counts the connection in at the first.
func (r *aRegistrar) serve(c net.Conn) {
	in, first := textproto.NewReader(bufio.NewReader(c)), true
	for {
		if _, err := in.ReadLine(); err != nil {
			return
		}
		h, err := in.ReadMIMEHeader()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=r\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: %s\r\nContent-Length: 0\r\n\r\n",
			h.Get("Via"), h.Get("From"), h.Get("To"), h.Get("Call-Id"), h.Get("Cseq"), h.Get("Contact"))
		if first {
			first = false
			r.came <- c
		}
	}
}

// TestALostTLSConnectionIsRegisteredAnewAtOnce: a registrar that closes its connection cannot call us any more. One that
// always closes is not asked without end.
func TestALostTLSConnectionIsRegisteredAnewAtOnce(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t)
	u := sip.New(sip.Options{
		Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, TLS: &tls.Config{RootCAs: r.roots},
		Accounts: []sip.Account{{ID: "one", User: "gw", Domain: "127.0.0.1", Port: r.port, Transport: "tls", Password: "secret"}},
	})
	if err := u.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := u.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	again := func() time.Duration {
		select {
		case c := <-r.came:
			c.Close()
			start := time.Now()
			select {
			case c = <-r.came:
				r.came <- c
				return time.Since(start)
			case <-time.After(20 * time.Second):
			}
		case <-time.After(20 * time.Second):
		}
		t.Fatal("the gateway does not register")
		return 0
	}
	if took := again(); took > 1900*time.Millisecond { // a busy machine is given more than the wait that there was
		t.Errorf("registered again after %v", took)
	}
	// The second loss comes soon after the first: it waits.
	if took := again(); took < 500*time.Millisecond {
		t.Errorf("registered again after %v where the server always closes", took)
	}
}
