package oracle

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// profile writes an OCI configuration with a fresh key.
func profile(t *testing.T) (path string, public *rsa.PublicKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path = filepath.Join(dir, "config")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	config := "[OTHER]\nuser=nobody\n[DEFAULT]\n# a comment\nuser = ocid1.user.oc1..u\nfingerprint=aa:bb\ntenancy=ocid1.tenancy.oc1..t\nregion=us-ashburn-1\nkey_file=key.pem\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, &key.PublicKey
}

// checkLogin verifies the signature of the first message.
func checkLogin(t *testing.T, b []byte, r *http.Request, public *rsa.PublicKey) {
	var m struct {
		AuthenticationType, CompartmentID string
		Headers                           map[string]string
	}
	if err := json.Unmarshal(b, &m); err != nil || m.AuthenticationType != "CREDENTIALS" || m.CompartmentID != "ocid1.compartment.oc1..x" {
		t.Errorf("%v %s", err, b)
	}
	host, _, _ := strings.Cut(r.Host, ":")
	sig := regexp.MustCompile(`^Signature version="1",keyId="ocid1.tenancy.oc1..t/ocid1.user.oc1..u/aa:bb",algorithm="rsa-sha256",headers="date \(request-target\) host",signature="(.+)"$`).FindStringSubmatch(m.Headers["authorization"])
	if sig == nil || m.Headers["host"] != host || m.Headers["uri"] != "ws://"+r.Host+r.RequestURI {
		t.Errorf("%v", m.Headers)
		return
	}
	raw, _ := base64.StdEncoding.DecodeString(sig[1])
	sum := sha256.Sum256([]byte("date: " + m.Headers["date"] + "\n(request-target): get " + r.RequestURI + "\nhost: " + host))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], raw); err != nil {
		t.Error(err)
	}
}

// server is a counterpart that checks the login and misbehaves.
func server(t *testing.T, temper *prove.Temper, public *rsa.PublicKey) *prove.Server {
	return prove.Near(t, temper, func(ctx context.Context, c *websocket.Conn, r *http.Request, fault prove.Fault, after int) {
		if r.RequestURI != "/ws/transcribe/stream?isAckEnabled=false&partialSilenceThresholdInMs=500&finalSilenceThresholdInMs=500&languageCode=pt-BR&encoding=audio%2Fraw%3Brate%3D16000" ||
			r.Header.Get("Content-Type") != "audio/raw;rate=16000" {
			t.Errorf("%s %v", r.RequestURI, r.Header)
		}
		_, b, err := c.Read(ctx)
		if err != nil {
			return
		}
		checkLogin(t, b, r, public)
		_ = c.Write(ctx, websocket.MessageText, []byte(`{"event":"CONNECT","sessionId":"s"}`))
		ear := prove.Ear{}
		say := func(heard []prove.Heard) {
			for _, h := range heard {
				text, _ := json.Marshal(" " + h.Text)
				_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil,
					`{"event":"RESULT","sessionId":"s","transcriptions":[{"transcription":%s,"isFinal":%v,"startTimeInMs":%d,"endTimeInMs":%d,"confidence":0.93,"trailingSilence":500,"tokens":[]}]}`,
					text, h.Final, h.Start.Milliseconds(), h.End.Milliseconds()))
			}
		}
		for n := 0; ; n++ {
			kind, b, err := c.Read(ctx)
			if err != nil || !prove.Misbehave(ctx, c, fault, after, n) {
				return
			}
			if kind == websocket.MessageText {
				if string(b) != `{"event":"SEND_FINAL_RESULT"}` {
					t.Errorf("%s", b)
				}
				say(ear.Finish())
				continue
			}
			heard := ear.Hear(b)
			if len(heard) > 0 && heard[len(heard)-1].Final { // empty ones happen
				heard = append(heard, prove.Heard{Final: true, Start: heard[len(heard)-1].End, End: heard[len(heard)-1].End})
			}
			say(heard)
			if n%50 == 49 {
				_ = c.Write(ctx, websocket.MessageText, []byte(`{"event":"ERROR","code":"spoken words","message":"spoken words"}`))
				return
			}
		}
	})
}

// TestT34_Oracle: the socket is refused and lost at random, and the service reports errors by itself;
// no final is lost or doubled.
func TestT34_Oracle(t *testing.T) {
	path, public := profile(t)
	synctest.Test(t, func(t *testing.T) {
		temper := prove.Moody(prove.Drops(12), prove.Refuse, prove.Garbage, prove.Drop, prove.Late)
		s := server(t, temper, public)
		service, err := New(Options{URL: s.URL, Compartment: "ocid1.compartment.oc1..x", ConfigFile: path, Transport: s.Via})
		if err != nil {
			t.Fatal(err)
		}
		prove.Listen(t, service, 8*prove.Drops(12), recognize.Options{Who: recognize.Who{ID: "a", Language: "pt-BR"}}, temper)
		if s.Most.Load() != 1 {
			t.Errorf("%d connections at once", s.Most.Load())
		}
	})
}

func TestMessages(t *testing.T) {
	for in, want := range map[string]string{
		`{"event":"RESULT","transcriptions":[{"transcription":" hello world","isFinal":true,"startTimeInMs":120,"endTimeInMs":980}]}`: "hello world true 120ms 980ms 1",
		`{"event":"RESULT","transcriptions":[]}`: "", `{"event":"ACKAUDIO"}`: "", `{"event":"NEW"}`: "",
		`{"event":"ERROR","code":401,"message":"spoken words"}`:      "error the speech service does not know us: it reports error 401: see transcription.oracle.config_file and compartment, and the policies of that",
		`{"event":"ERROR","code":"spoken","message":"spoken words"}`: "error the service reports an error",
		`[]`: "error the service sent a message that is none",
	} {
		results, _, err := (&dialect{}).Heard([]byte(in))
		got := ""
		for _, r := range results {
			got = fmt.Sprint(r.Text, " ", r.Final, " ", r.Start, " ", r.End, " ", r.Confidence)
		}
		if err != nil {
			got = "error " + err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestConfiguration(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "compartment") {
		t.Error(err)
	}
	path, _ := profile(t)
	for _, c := range []struct{ file, profile, want string }{
		{filepath.Join(t.TempDir(), "none"), "", "cannot be read"},
		{path, "OTHER", "has no tenancy"},
		{path, "NONE", "has no tenancy"},
	} {
		s, err := New(Options{URL: "wss://localhost", Compartment: "c", ConfigFile: c.file, Profile: c.profile})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(t.Context(), recognize.Who{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.profile, err)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "key.pem"), []byte("topsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readLogin(path, "DEFAULT"); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
	s, _ := New(Options{URL: "wss://realtime.aiservice.us-ashburn-1.oci.oraclecloud.com", Compartment: "c"})
	if u, err := s.address("en-US"); err != nil || !strings.HasPrefix(u.String(), "wss://realtime.aiservice.us-ashburn-1.oci.oraclecloud.com:443/ws/transcribe/stream?isAckEnabled=false") {
		t.Error(u, err)
	}
}
