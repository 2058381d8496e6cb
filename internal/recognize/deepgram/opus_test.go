package deepgram

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
)

// TestOpusAsItCame: each packet of a browser gets to Deepgram as it is, in order, also those that are said again after
// a lost stream; sound that did not come as Opus is encoded between them, so that times stay right.
func TestOpusAsItCame(t *testing.T) { synctest.Test(t, opusAsItCame) }

func opusAsItCame(t *testing.T) {
	var mu sync.Mutex
	var streams [][][]byte
	s := prove.Near(t, nil, func(ctx context.Context, c *websocket.Conn, r *http.Request, _ prove.Fault, _ int) {
		if q := r.URL.Query(); q.Get("encoding") != "opus" || q.Get("sample_rate") != "48000" {
			t.Errorf("%v", q)
		}
		mu.Lock()
		k := len(streams)
		streams = append(streams, nil)
		mu.Unlock()
		for n := 1; ; n++ {
			kind, b, err := c.Read(ctx)
			if err != nil || k == 0 && n == 60 { // hangs up in the middle
				return
			}
			if kind == websocket.MessageText {
				_ = c.Write(ctx, websocket.MessageText, []byte(`{"type":"Metadata"}`))
				return
			}
			mu.Lock()
			streams[k] = append(streams[k], bytes.Clone(b))
			mu.Unlock()
			if n%25 == 0 {
				_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"type":"Results","start":0,"duration":%f,"is_final":true,"channel":{"alternatives":[{"transcript":"x"}]}}`, float64(n)*.02))
			}
		}
	})
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 48000, Bitrate: 32000, Complexity: 1})
	if err != nil {
		t.Fatal(err)
	}
	service := New(Options{URL: s.URL, Key: key, Opus: true, Transport: s.Via})
	var counts recognize.Counts
	v := recognize.Listen(t.Context(), recognize.Options{Service: service, Emit: func(recognize.Said) {}, Counts: &counts, FirstDelay: 5 * time.Millisecond})
	wide, pcm, buf := make([]int16, 960), make([]int16, 320), make([]byte, codec.MaxOpus)
	var sent [][]byte // nil: not as Opus
	clock := time.Now()
	for i := range 200 {
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		audio.NewTone(float64(300+5*i), 48000, -20).Fill(wide)
		audio.NewTone(float64(300+5*i), 16000, -20).Fill(pcm)
		n, err := enc.Encode(buf, wide)
		if err != nil {
			t.Fatal(err)
		}
		packet := bytes.Clone(buf[:n])
		if i%10 == 7 { // it was lost, and covered
			packet = nil
		}
		sent = append(sent, packet)
		v.PushOpus(pcm, packet, clock)
		clock = clock.Add(20 * time.Millisecond)
	}
	v.End()
	<-v.Done()
	mu.Lock()
	defer mu.Unlock()
	if len(streams) != 2 || len(streams[0]) != 59 {
		t.Fatalf("%d streams, the first of %d packets", len(streams), len(streams[0]))
	}
	for k, from := range []int{0, 50} { // fifty were covered by a final
		for i, got := range streams[k] {
			want := sent[from+i]
			if want != nil && !bytes.Equal(got, want) {
				t.Fatalf("stream %d, packet %d is not that of the browser", k, i)
			}
			if samples, _, ok := codec.OpusInspect(got); !ok || samples != 960 {
				t.Errorf("stream %d, packet %d of %d samples", k, i, samples)
			}
		}
	}
	if n := len(streams[1]); n != 150 || counts.DroppedMS.Load() != 0 {
		t.Errorf("%d packets after the loss, %d ms dropped", n, counts.DroppedMS.Load())
	}
}
