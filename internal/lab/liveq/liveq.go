// Package liveq is the visitor queue service of the lab: who waits for a meeting subscribes to it, by STOMP over a WebSocket,
// and is told when it is live. It is written from the specification.
package liveq

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
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// KeyID names the key that the service knows.
const KeyID = "lab/key"

// A Server listens until Close. Its methods are safe for concurrent use.
type Server struct {
	http *httptest.Server
	key  *rsa.PrivateKey

	mu     sync.Mutex
	beat   string // heart-beat of CONNECTED
	closed bool   // nobody is let in
	topics map[string]map[*websocket.Conn]bool
	beats  int
	joins  int
}

// Start starts a service.
func Start() (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	s := &Server{key: key, beat: "15000,15000", topics: map[string]map[*websocket.Conn]bool{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s, nil
}

// URL is where it listens.
func (s *Server) URL() string { return "ws" + strings.TrimPrefix(s.http.URL, "http") + "/queue" }

// Key writes the private key to a file.
func (s *Server) Key(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// Close stops the service.
func (s *Server) Close() {
	s.Drop()
	s.http.Close()
}

// SetBeat is what the service says of heart-beats from now on: how often it sends and wants them, in ms.
func (s *Server) SetBeat(sends, wants int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat = fmt.Sprintf("%d,%d", sends, wants)
}

// Refuse has nobody let in from now on, or again.
func (s *Server) Refuse(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = on
}

// Drop cuts all connections.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conns := range s.topics {
		for c := range conns {
			_ = c.CloseNow()
		}
	}
}

// Waiting is how many wait for a room.
func (s *Server) Waiting(room string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.topics["/secured/conference/visitor/topic."+room])
}

// Joins is how many have ever come, and Beats how many heart-beats.
func (s *Server) Joins() (joins, beats int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joins, s.beats
}

// Say tells all who wait for a room.
func (s *Server) Say(room, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.topics["/secured/conference/visitor/topic."+room] {
		_ = c.Write(context.Background(), websocket.MessageText, []byte("MESSAGE\nsubscription:1\ncontent-type:application/json\n\n"+body+"\x00"))
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow() //nolint:errcheck // the end of a connection is no news
	topic := ""
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.topics[topic], c)
	}()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if kind == websocket.MessageBinary {
			s.mu.Lock()
			s.beats++
			s.mu.Unlock()
			continue
		}
		head, _, _ := strings.Cut(string(b), "\n\n")
		lines := strings.Split(head, "\n")
		header := map[string]string{}
		for _, l := range lines[1:] {
			name, v, _ := strings.Cut(l, ":")
			header[name] = v
		}
		switch lines[0] {
		case "CONNECT":
			answer := s.admit(header["Authorization"])
			if c.Write(r.Context(), websocket.MessageText, []byte(answer)) != nil || strings.HasPrefix(answer, "ERROR") {
				return
			}
		case "SUBSCRIBE":
			topic = header["destination"]
			s.subscribe(topic, c)
		}
	}
}

func (s *Server) subscribe(topic string, c *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[topic] == nil {
		s.topics[topic] = map[*websocket.Conn]bool{}
	}
	s.topics[topic][c] = true
	s.joins++
}

// admit answers a CONNECT by its token.
func (s *Server) admit(auth string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.believes(auth) {
		return "ERROR\nmessage:no\n\n\x00"
	}
	return "CONNECTED\nversion:1.2\nheart-beat:" + s.beat + "\n\n\x00"
}

// believes reports whether a token is signed by the key, and says what it has to.
func (s *Server) believes(auth string) bool {
	parts := strings.Split(strings.TrimPrefix(auth, "Bearer "), ".")
	if len(parts) != 3 || !strings.HasPrefix(auth, "Bearer ") {
		return false
	}
	dec := base64.RawURLEncoding
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	sig, err := dec.DecodeString(parts[2])
	if err != nil || rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		return false
	}
	var head struct{ Alg, Kid string }
	var claims struct {
		Aud, Iss string
		Iat, Exp int64
	}
	h, _ := dec.DecodeString(parts[0])
	b, _ := dec.DecodeString(parts[1])
	return json.Unmarshal(h, &head) == nil && json.Unmarshal(b, &claims) == nil &&
		head.Alg == "RS256" && head.Kid == KeyID && claims.Aud == "jitsi" && claims.Iss == "jitsi" && claims.Exp-claims.Iat == 300
}
