package export

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/recognize"
)

// pair is a line that is fed, and that is soon waited for, and who feeds it. rests counts how often all had been read.
func pair(t *testing.T) (l *line, far net.Conn, rests *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	near, err := (&lines{Listener: ln, began: time.Now(), rests: 8}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	l, rests = near.(*line), &atomic.Int64{}
	l.feed(func() { rests.Add(1) })
	t.Cleanup(func() { far.Close(); l.Close() })
	return l, far, rests
}

// TestLineLosesNothing: whatever comes, in pieces of all sizes, is read in its order, then the end.
func TestLineLosesNothing(t *testing.T) {
	t.Parallel()
	l, far, rests := pair(t)
	want := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{7})
	_, _ = rng.Read(want)
	go func() {
		defer far.Close()
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+int(rng.Uint64()%20000))
			if _, err := far.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	got, err := io.ReadAll(l)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if rests.Load() == 0 {
		t.Error("nobody was told of a rest")
	}
}

// TestLineOfSilence: who speaks after a long silence is heard, once and again, and who is told so is told before.
func TestLineOfSilence(t *testing.T) {
	t.Parallel()
	l, far, rests := pair(t)
	buf := make([]byte, 10)
	for n := range 2 {
		before := rests.Load()
		read := make(chan string, 1)
		go func() {
			k, err := l.Read(buf)
			read <- fmt.Sprint(string(buf[:k]), err)
		}()
		eventually(t, "a rest", func() bool { return rests.Load() > before })
		if n == 0 {
			eventually(t, "it is waited for", l.waited)
		}
		if _, err := far.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got != "hello<nil>" {
			t.Errorf("%q", got)
		}
	}
}

// TestLineIsClosed: who waits is not left waiting.
func TestLineIsClosed(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{false, true} {
		l, _, rests := pair(t)
		read := make(chan error, 1)
		go func() {
			_, err := l.Read(make([]byte, 10))
			read <- err
		}()
		eventually(t, "a rest", func() bool { return rests.Load() > 0 })
		if long {
			eventually(t, "it is waited for", l.waited)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		_ = l.Close() // again harms nobody
	}
}

// deaf is a speech service that takes all and says nothing.
type deaf struct{}

func (deaf) Needs() recognize.Needs { return recognize.Needs{Patience: time.Hour} }
func (deaf) Open(context.Context, recognize.Who) (recognize.Stream, error) {
	return &deafStream{results: make(chan recognize.Result)}, nil
}

type deafStream struct {
	results chan recognize.Result
	once    sync.Once
}

func (*deafStream) Write([]byte) error                 { return nil }
func (d *deafStream) Results() <-chan recognize.Result { return d.results }
func (d *deafStream) CloseSend() error                 { d.Close(); return nil }
func (d *deafStream) Close()                           { d.once.Do(func() { close(d.results) }) }
func (*deafStream) Err() error                         { return nil }

// frames are what a bridge sends of so many speakers and packets, as bytes of the socket.
func frames(t *testing.T, speakers, from, to int) []byte {
	t.Helper()
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 16000, Bitrate: 32000})
	if err != nil {
		t.Fatal(err)
	}
	pcm, packet := saying("w3 w5")[:320], make([]byte, codec.MaxOpus)
	n, err := enc.Encode(packet, pcm)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for k := from; k < to; k++ {
		for who := range speakers {
			text := fmt.Sprintf(`{"event":"media","sequenceNumber":"%d","media":{"tag":"0000000%d-a0","chunk":"%d","timestamp":"%d","payload":%q,"audioLevel":20,"vad":true},"event":"media"}`,
				k, who, k, 960*k, base64.StdEncoding.EncodeToString(packet[:n]))
			out = append(out, 0x81, 0xfe)
			out = binary.BigEndian.AppendUint16(out, uint16(len(text)))
			out = append(append(out, 0, 0, 0, 0), text...)
		}
	}
	return out
}

// TestFromSocketToServiceNothingIsAllocated: once who speaks is known, a packet costs no memory on its whole way.
func TestFromSocketToServiceNothingIsAllocated(t *testing.T) {
	const speakers, warm, n = 5, 60, 400
	s := begin(t, Options{Service: func(string) recognize.Service { return deaf{} }})
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /transcribe/m HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
	play := func(sound []byte, upTo int64) {
		if _, err := c.Write(sound); err != nil {
			t.Fatal(err)
		}
		words := &s.Counts().Scribe.Words
		for range 4000 {
			if words.SentMS.Load() >= upTo*20*speakers-200*speakers {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("%d ms came to the service", words.SentMS.Load())
	}
	play(frames(t, speakers, 0, warm), warm)
	least := ^uint64(0) // what else runs in this process may allocate
	for k := range 3 {
		sound := frames(t, speakers, warm+k*n, warm+(k+1)*n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		play(sound, int64(warm+(k+1)*n))
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	if least > speakers*n/50 {
		t.Errorf("%d allocations for %d packets", least, speakers*n)
	}
}
