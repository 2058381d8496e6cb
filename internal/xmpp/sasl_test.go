package xmpp

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // SCRAM-SHA-1
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"jigasi/internal/stanza"

	"mellium.im/sasl"
)

// scram plays a server of SCRAM that knows a password.
func (s *server) scram(mech sasl.Mechanism, h func() hash.Hash, size int, password string) bool {
	if !s.open("<mechanisms xmlns='" + nsSASL + "'>" + plain + "<mechanism>" + mech.Name + "</mechanism></mechanisms>") {
		return false
	}
	e := s.hear()
	if e.Get("mechanism") != mech.Name {
		s.t.Errorf("client took %q", e.Get("mechanism"))
		return false
	}
	n := sasl.NewServer(mech, nil, sasl.SaltedCredentials(func([]byte, []byte, string) ([]byte, []byte, int64, error) {
		salt := []byte("salt")
		key, err := pbkdf2.Key(h, password, salt, 4096, size)
		return salt, key, 4096, err
	}))
	for {
		data, _ := base64.StdEncoding.DecodeString(e.Text)
		more, resp, err := n.Step(data)
		name := "challenge"
		if err != nil {
			s.say("<failure xmlns='%s'><not-authorized/><text>no</text></failure>", nsSASL)
			return false
		}
		if !more {
			name = "success"
		}
		if !s.say("<%s xmlns='%s'>%s</%s>", name, nsSASL, base64.StdEncoding.EncodeToString(resp), name) || !more {
			return !more && s.bind()
		}
		e = s.hear()
	}
}

func TestSASLMechanisms(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *server) bool
		anon bool
		want string // "" for success, else in the error
	}{
		{"PLAIN", (*server).login, false, ""},
		{"SCRAM-SHA-1", func(s *server) bool { return s.scram(sasl.ScramSha1, sha1.New, sha1.Size, "pw") }, false, ""},
		{"SCRAM-SHA-256", func(s *server) bool { return s.scram(sasl.ScramSha256, sha256.New, sha256.Size, "pw") }, false, ""},
		{"wrong password", func(s *server) bool { return s.scram(sasl.ScramSha256, sha256.New, sha256.Size, "qw") }, false, "login refused: not-authorized, no"},
		{"ANONYMOUS", func(s *server) bool {
			s.open("<mechanisms xmlns='" + nsSASL + "'><mechanism>ANONYMOUS</mechanism></mechanisms>")
			if e := s.hear(); e.Get("mechanism") != "ANONYMOUS" || e.Text != "" {
				t.Errorf("anonymous says %v", e)
			}
			return s.say("<success xmlns='%s'/>", nsSASL) && s.bind()
		}, true, ""},
		{"not anonymous", (*server).login, true, "no common SASL mechanism"},
		{"none in common", func(s *server) bool {
			return s.open("<mechanisms xmlns='" + nsSASL + "'><mechanism>EXTERNAL</mechanism></mechanisms>")
		}, false, "no common SASL mechanism"},
		{"no proof", scramThen("<success xmlns='" + nsSASL + "'/>"), false, "protocol"},
		{"wrong proof", func(s *server) bool {
			return scramFirst(s, 4096) && !s.hear().Is("", "") && s.say("<success xmlns='%s'>%s</success>", nsSASL, base64.StdEncoding.EncodeToString([]byte("v=AAAA")))
		}, false, "authentication error"},
		{"short field", scramThen("<challenge xmlns='" + nsSASL + "'>cj0=</challenge>"), false, "protocol"},
		{"no base64", scramThen("<challenge xmlns='" + nsSASL + "'>!</challenge>"), false, "protocol"},
		{"iterations", func(s *server) bool { return scramFirst(s, 2_000_000_000) }, false, "iteration count"},
		{"no iterations", func(s *server) bool { return scramFirst(s, 0) }, false, "iteration count"},
		{"stranger's nonce", scramThen("<challenge xmlns='" + nsSASL + "'>" +
			base64.StdEncoding.EncodeToString([]byte("r=mine,s=c2FsdA==,i=4096")) + "</challenge>"), false, "nonce"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := serve(t, func(s *server) { tt.play(s); s.rest() })
			o.Anonymous = tt.anon
			c, err := Dial(context.Background(), o)
			if c != nil {
				_ = c.Close(context.Background())
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func scramThen(answer string) func(*server) bool {
	return func(s *server) bool {
		s.open("<mechanisms xmlns='" + nsSASL + "'><mechanism>SCRAM-SHA-256</mechanism></mechanisms>")
		s.hear()
		return s.say("%s", answer)
	}
}

func scramFirst(s *server, iterations int) bool {
	s.open("<mechanisms xmlns='" + nsSASL + "'><mechanism>SCRAM-SHA-256</mechanism></mechanisms>")
	first, _ := base64.StdEncoding.DecodeString(s.hear().Text)
	_, nonce, _ := strings.Cut(string(first), "r=")
	body := "r=" + nonce + "x,s=c2FsdA==,i=" + strconv.Itoa(iterations)
	return s.say("<challenge xmlns='%s'>%s</challenge>", nsSASL, base64.StdEncoding.EncodeToString([]byte(body)))
}

func TestPasswordNeedsTLS(t *testing.T) {
	o, s := serve(t, func(s *server) { s.login() })
	o.AllowPlain = false
	if _, err := Dial(context.Background(), o); !errors.Is(err, ErrNoTLS) || s.sasl.Load() != 0 {
		t.Errorf("%v, %d logins", err, s.sasl.Load())
	}
}

// TestT31_NoSecretInLogs: neither the password nor a token is in a log line or in an error.
func TestT31_NoSecretInLogs(t *testing.T) {
	const password, token = "canary-password", "canary-token"
	var logs bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	said := func(err error) { log.Info("ended", "err", err) }

	for _, play := range []func(s *server) bool{
		(*server).login,
		func(s *server) bool { return s.scram(sasl.ScramSha256, sha256.New, sha256.Size, "other") },
		func(s *server) bool { return s.open("<mechanisms xmlns='" + nsSASL + "'/>") },
	} {
		o, _ := serve(t, func(s *server) { play(s); s.rest() })
		o.Password, o.Log = password, log
		log.Info("options", "all", o.Password, "user", o.User)
		c, err := Dial(context.Background(), o)
		said(err)
		if c != nil {
			said(c.Send(stanza.New("", "presence")))
			said(c.Close(context.Background()))
		}
	}
	for _, o := range []Options{
		{Transport: WebSocket, URL: "ws://127.0.0.1:1/x?token=" + token},
		{Transport: BOSH, URL: "http://127.0.0.1:1/x?token=" + token},
		{Transport: BOSH, URL: "http://127.0.0.1:1/x\x7f?token=" + token},
		{Transport: WebSocket, URL: "wss://127.0.0.1:1/x?token=" + token},
		{Transport: BOSH, URL: "ftp://127.0.0.1:1/x?token=" + token},
	} {
		o.Domain, o.Anonymous, o.AllowPlain, o.Log, o.Timeout = domain, true, true, log, time.Second
		_, err := Dial(context.Background(), o)
		said(err)
	}
	for _, secret := range []string{password, token, base64.StdEncoding.EncodeToString([]byte("\x00jigasi\x00" + password))} {
		if strings.Contains(logs.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, logs.String())
		}
	}
}

// TestPlainLoginsAreTold: a password that crosses a plain connection is a warning; a guest of each call, who has none, is not.
func TestPlainLoginsAreTold(t *testing.T) {
	for _, guest := range []bool{false, true} {
		var logs strings.Builder
		o, _ := serve(t, func(s *server) {
			if s.open("<mechanisms xmlns='"+nsSASL+"'><mechanism>PLAIN</mechanism><mechanism>ANONYMOUS</mechanism></mechanisms>") && s.hear().Is(nsSASL, "auth") {
				s.say("<success xmlns='%s'/>", nsSASL)
				s.bind()
				s.rest()
			}
		})
		o.Anonymous, o.Log = guest, slog.New(slog.NewTextHandler(&logs, nil))
		c := dial(t, o)
		_ = c.Close(context.Background())
		if warned := strings.Contains(logs.String(), "level=WARN"); warned == guest || !strings.Contains(logs.String(), "without TLS") {
			t.Errorf("guest %v:\n%s", guest, logs.String())
		}
	}
}

// FuzzChallenge: a challenge that is let through to the library comes back from it.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{"r=abc,s=c2FsdA==,i=4096", "v=AAAA", "r=", "i=1,s=,r=x", "m=x,r=y,s=c2FsdA==,i=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data, err := decode(base64.StdEncoding.EncodeToString([]byte(s)))
		if err != nil {
			return
		}
		for field := range strings.SplitSeq(s, ",") { // bounded, but slow for a fuzzer
			if n, _ := strconv.Atoi(strings.TrimPrefix(field, "i=")); n > 100 {
				return
			}
		}
		client := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() (user, password, identity []byte) { return []byte("u"), []byte("p"), nil }))
		if _, _, err := client.Step(nil); err != nil {
			t.Fatal(err)
		}
		if more, _, err := client.Step(data); err == nil && !more {
			t.Fatalf("%q ends SCRAM at once", s)
		}
	})
}
