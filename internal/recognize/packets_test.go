package recognize

import (
	"encoding/binary"
	"testing"
)

// TestPackets: what is older than the last sixteen seconds is forgotten, and found no more.
func TestPackets(t *testing.T) {
	var p packets
	for i := range 3 * maxPackets {
		p.keep(int64(i)*frame, binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	if at, opus, ok := p.from(0); !ok || at != 2*maxPackets*frame || binary.BigEndian.Uint32(opus) != 2*maxPackets {
		t.Errorf("%d %v %v", at, opus, ok)
	}
	if _, _, ok := p.from(3 * maxPackets * frame); ok {
		t.Error("a packet that has not come")
	}
	pos := int64(2*maxPackets-1)*frame - 100 // 100 samples, one forgotten, two whole, and half of one
	got := p.pieces(nil, pos, make([]byte, 2*(100+3*frame+frame/2)))
	if len(got) != 4 || len(got[0].pcm) != 2*(100+frame) || got[1].opus == nil || got[2].opus == nil || len(got[3].pcm) != frame {
		t.Errorf("%d pieces, %+v", len(got), got)
	}
}
