package app_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/config"
	"jigasi/internal/lab/ports"

	"github.com/coder/websocket"
)

// TestFeedNeedsNothingElse: a gateway with no account at a SIP server, no XMPP server and no brewery takes what a bridge
// sends, and gives the words back.
func TestFeedNeedsNothingElse(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.SIP.Enabled, cfg.Admin.Port = false, ports.Free(t)
	cfg.Transcription.Vosk.URL, cfg.Transcription.Directory, cfg.Transcription.Export.Port = tones(t, 440).URL, t.TempDir(), ports.Free(t)
	a, err := app.New(cfg, app.Options{Version: "test", Loopback: true, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	defer func() {
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	c, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/transcribe/alone", cfg.Transcription.Export.Port), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 16000, Bitrate: 32000})
	if err != nil {
		t.Fatal(err)
	}
	tone, pcm, packet := audio.NewTone(440, 16000, -12), make([]int16, 320), make([]byte, codec.MaxOpus)
	for k := range 150 {
		tone.Fill(pcm)
		n, err := enc.Encode(packet, pcm)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"event":"media","sequenceNumber":"%d","media":{"tag":"0a1b2c3d-a0","chunk":"%d","timestamp":"%d","payload":%q,"audioLevel":20,"vad":true},"event":"media"}`,
			k, k, 960*k, base64.StdEncoding.EncodeToString(packet[:n]))
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"tone440"`) && strings.Contains(string(text), "0a1b2c3d") {
			return
		}
	}
}
