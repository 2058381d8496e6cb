package meetleg

import (
	"testing"

	"jigasi/internal/codec"
	"jigasi/internal/conference"
)

// TestComingBackBringsAnotherStream: a browser takes no stream again that went with its owner, so who comes back to a room, from a
// breakout room or after its connection was lost, comes with another one; a session that only moves to another bridge keeps it.
func TestComingBackBringsAnotherStream(t *testing.T) {
	l := &Leg{nick: "n", ssrc: 7, voice: newVoice(codec.OpusOptions{}, 7, false)}
	first := l.source(&conference.Offer{Nick: "n", Seat: 1})
	if first.SSRC != 7 || first.Name != "n-a0" || first.MSID != "n-audio-0-1 n-track-0" {
		t.Errorf("begins with %+v", first)
	}
	if moved := l.source(&conference.Offer{Nick: "n", Seat: 1}); moved != first {
		t.Errorf("on another bridge %+v", moved)
	}
	back := l.source(&conference.Offer{Nick: "n", Seat: 2})
	if back.SSRC == first.SSRC || back.MSID == first.MSID || back.Name != first.Name {
		t.Errorf("comes back with %+v", back)
	}
	if other := l.source(&conference.Offer{Nick: "m", Seat: 3}); other.Name != "m-a0" || other.SSRC == back.SSRC {
		t.Errorf("by another name %+v", other)
	}
}
