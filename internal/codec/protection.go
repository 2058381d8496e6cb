package codec

// A Protection decides from the reports of a far end whether an Opus encoder repeats its packets in
// those that follow (in-band FEC). That costs a third more of the encoder and bits that the sound lacks,
// so it is done only while packets are lost.
type Protection struct {
	on   bool
	loss int // percent that the encoder was told
	calm int // reports in a row that tell of no loss
}

const (
	protectFrom = 5 // of 256: 2 %
	calmBelow   = 2 // of 256
	calmReports = 3
)

// Reported takes the share of packets lost, of 256. changed says that OpusEncoder.SetFEC is to be
// called with the other two.
func (p *Protection) Reported(lost uint8) (on bool, loss int, changed bool) {
	percent := max(5, min(25, int(lost)*100/256))
	switch {
	case lost >= protectFrom:
		p.calm = 0
		changed = !p.on || percent > p.loss+4 || percent < p.loss-4
	case !p.on:
	case lost < calmBelow:
		if p.calm++; p.calm >= calmReports {
			*p = Protection{}
			return false, 0, true
		}
	default:
		p.calm = 0
	}
	if changed {
		p.on, p.loss = true, percent
	}
	return p.on, p.loss, changed
}
