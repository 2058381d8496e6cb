package prompt

import (
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/media"
)

// apart is a meeting that forwards: its Pull is silent where the puller takes the speakers apart.
type apart struct{ packets int }

func (a *apart) Pull(c *media.Chunk)    { clear(c.PCM) }
func (*apart) Push(*media.Chunk)        {}
func (a *apart) Forward(k media.Packet) { a.packets++ }

type taker struct{ media.Apart }

// TestPromptsBesideForwardedPackets: what is told is sound of our own, and packets pass by it both ways.
func TestPromptsBesideForwardedPackets(t *testing.T) {
	lib, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	p, m := NewPlayer(lib, "en"), &apart{}
	over := p.Over(m)
	f, ok := over.(media.Forwarder)
	if !ok {
		t.Fatal("a meeting that takes packets takes none under a voice")
	}
	f.Forward(media.Packet{})
	if m.packets != 1 {
		t.Error("a packet of the phone is lost")
	}
	if _, ok := p.Over(&meeting{}).(media.Forwarder); ok {
		t.Error("a meeting that takes no packets is said to")
	}
	pull := func() *media.Chunk {
		var c media.Chunk
		c.Reset(media.Full, make([]int16, media.Full/50), false)
		c.Apart = taker{}
		over.Pull(&c)
		return &c
	}
	if c := pull(); c.Voice || c.Apart == nil {
		t.Errorf("voice %v before anything is told", c.Voice)
	}
	p.Play(Muted, nil)
	loud := false
	for range 20 {
		c := pull()
		loud = loud || audio.Level(c.PCM) < 60
		if !c.Voice || c.Apart == nil {
			t.Fatal("what is told is not said to be a voice, or takes the speakers away")
		}
	}
	if !loud {
		t.Error("nothing is told")
	}
}
