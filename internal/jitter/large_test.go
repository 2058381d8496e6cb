package jitter_test

import (
	"bytes"
	"testing"
	"time"

	"jigasi/internal/jitter"
)

// TestLargePayloads: whatever their sizes, payloads come out as they went in, also those that are held while the first
// large one comes.
func TestLargePayloads(t *testing.T) {
	b := jitter.New(jitter.Options{})
	now, sizes := time.Unix(0, 0), []int{80, 256, 1, 257, 800, 80, 256, 799, 801, 3}
	for i, size := range sizes {
		b.Push(uint16(i), uint32(i*960), bytes.Repeat([]byte{byte(i + 1)}, size), now)
	}
	buf := make([]byte, 1500)
	var got [][]byte
	for range 3 * len(sizes) {
		if p, v, _ := b.Pull(buf); v == jitter.Packet {
			got = append(got, bytes.Clone(p))
		}
	}
	for i, size := range sizes {
		if size > 800 { // too large to be sound
			continue
		}
		if len(got) == 0 {
			t.Fatalf("packet %d is missing", i)
		}
		if want := bytes.Repeat([]byte{byte(i + 1)}, size); !bytes.Equal(got[0], want) {
			t.Errorf("packet %d of %d bytes came out as %d bytes that begin with %v", i, size, len(got[0]), got[0][:1])
		}
		got = got[1:]
	}
	if s := b.Stats(); s.Dropped != 1 {
		t.Errorf("%d packets were dropped", s.Dropped)
	}
}
