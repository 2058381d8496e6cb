package bridge_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"jigasi/internal/bridge"

	"github.com/pion/turn/v5"
)

// turnServer is one over TLS at a loopback address, of an authority of its own.
func turnServer(t *testing.T) (at string, roots *x509.CertPool) {
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
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	l, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := turn.NewServer(turn.ServerConfig{
		Realm: "meet.test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey(a.Username, a.Realm, "secret"), true
		},
		ListenerConfigs: []turn.ListenerConfig{{
			Listener:              l,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), roots
}

// TestARelayOverTLSIsChecked: a TURN server over TLS relays where its certificate is vouched for, by an authority of the
// operator's own too, and is sent nothing where it is not.
func TestARelayOverTLSIsChecked(t *testing.T) {
	at, roots := turnServer(t)
	for name, c := range map[string]struct {
		config *tls.Config
		want   bool
	}{
		"vouched for": {&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, true},
		"unknown":     {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bridge.New(context.Background(), bridge.Options{
				Loopback: true, RelayTLS: c.config, Relays: []bridge.Relay{{URL: "turns:" + at + "?transport=tcp", User: "gw", Password: "secret"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			relayed := false
			for _, cand := range b.Local().Candidates {
				relayed = relayed || cand.Type == "relay"
			}
			if relayed != c.want {
				t.Errorf("candidates %+v", b.Local().Candidates)
			}
		})
	}
}
