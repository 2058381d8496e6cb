package export

import (
	"slices"
	"testing"

	"jigasi/internal/codec"
)

// TestExportOfRed: some clients send each packet once more in the next (RED), and the bridge passes on what came. They are heard
// as the others; what is no such packet is counted.
func TestExportOfRed(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	b := connect(t, url(s, "m"), nil)
	b.send(`{"event":"start","start":{"tag":"a-a0","mediaFormat":{"encoding":"red","sampleRate":48000,"channels":2},"customParameters":{"endpointId":"a"}}}`)
	k := b.talker("a-a0", 340)
	var before []byte
	k.wrap = func(packet []byte) []byte {
		head := []byte{111}
		if before != nil { // 960 earlier
			n := len(before)
			head = append([]byte{0x80 | 111, 960 >> 6, 960&63<<2&0xff | byte(n>>8), byte(n)}, append(head, before...)...)
		}
		before = slices.Clone(packet)
		return append(head, packet...)
	}
	k.say(saying(script(1, 2)...))
	eventually(t, "both", func() bool { return len(b.finals("a")) == 2 })
	if got := b.finals("a"); !slices.Equal(got, script(1, 2)) || s.Counts().Damaged.Load() != 0 {
		t.Errorf("%q, %d damaged", got, s.Counts().Damaged.Load())
	}
	for _, bad := range [][]byte{{0x80 | 111}, {0x80 | 111, 0, 0, 5, 111, 1, 2}, {0x80, 0, 0, 1, 0x80, 0, 0, 1}, {111}} {
		if got := primary(bad); got != nil {
			t.Errorf("%x: %x", bad, got)
		}
		b.media("a-a0", 1000, 960000, bad)
	}
	eventually(t, "the count", func() bool { return s.Counts().Damaged.Load() == 4 })
	if got := primary(append([]byte{111}, make([]byte, codec.MaxOpus)...)); len(got) != codec.MaxOpus {
		t.Error(len(got))
	}
}
