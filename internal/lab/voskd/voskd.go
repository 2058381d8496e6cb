package voskd

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"jigasi/internal/audio"

	"github.com/coder/websocket"
)

const (
	rate     = 16000
	loud     = 45 // -dBov; softer is silence
	pause    = 500 * rate / 1000
	leadIn   = 300 * rate / 1000
	decoding = 30 * time.Second
)

// A Server listens until Close.
type Server struct {
	URL  string // ws://
	dir  string
	http *http.Server
	done chan struct{}
}

// Start starts a server on a free port; dir is for sound on its way to the engine.
func Start(dir string) (*Server, error) {
	if _, err := exec.LookPath("pocketsphinx_continuous"); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "ws://" + l.Addr().String(), dir: dir, done: make(chan struct{})}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 5 * time.Second}
	go func() { defer close(s.done); _ = s.http.Serve(l) }()
	return s, nil
}

// Close stops the server.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.done
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 20)
	if err := s.session(r.Context(), c); err != nil {
		_ = c.Close(websocket.StatusInternalError, "")
	}
}

// session answers each message of sound with one of its own, as the server of Vosk does.
func (s *Server) session(ctx context.Context, c *websocket.Conn) error {
	var speech []int16
	silent, spoken := 0, false
	for {
		kind, b, err := c.Read(ctx)
		if err != nil {
			return nil
		}
		answer := map[string]any{"partial": ""}
		switch {
		case kind == websocket.MessageText && bytes.Contains(b, []byte("config")):
			var config struct {
				Config struct {
					Rate float64 `json:"sample_rate"`
				} `json:"config"`
			}
			if json.Unmarshal(b, &config) != nil || config.Config.Rate != rate {
				return errors.New("only 16000 Hz")
			}
			continue
		case kind == websocket.MessageText && string(b) == `{"eof" : 1}`:
			text := ""
			if spoken {
				if text, err = s.decode(ctx, speech); err != nil {
					return err
				}
			}
			return write(ctx, c, map[string]any{"text": text})
		case kind == websocket.MessageText:
			return errors.New("no message of this protocol")
		}
		for ; len(b) >= 640; b = b[640:] {
			pcm := make([]int16, 320)
			for i := range pcm {
				pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
			}
			speech = append(speech, pcm...)
			if audio.Level(pcm) < loud {
				silent, spoken = 0, true
			} else if silent += len(pcm); !spoken && len(speech) > leadIn {
				speech = speech[len(speech)-leadIn:]
			}
		}
		if spoken && silent >= pause {
			text, err := s.decode(ctx, speech)
			if err != nil {
				return err
			}
			answer = map[string]any{"text": text}
			speech, spoken = nil, false
		}
		if err := write(ctx, c, answer); err != nil {
			return err
		}
	}
}

func write(ctx context.Context, c *websocket.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Write(ctx, websocket.MessageText, b)
}

// decode lets the engine hear an utterance.
func (s *Server) decode(ctx context.Context, pcm []int16) (string, error) {
	f, err := os.CreateTemp(s.dir, "*.wav")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(audio.WriteWAV(f, pcm, rate), f.Close()); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, decoding)
	defer cancel()
	out, err := exec.CommandContext(ctx, "pocketsphinx_continuous", "-infile", f.Name(), "-logfn", filepath.Join(s.dir, "engine.log")).Output()
	if err != nil {
		return "", fmt.Errorf("the engine: %w", err)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}
