package bench

import (
	"math"
	"slices"
	"time"
)

// percentile is the value that a share of q (0..1) of all does not exceed; 0 without values.
func percentile(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return s[max(0, min(len(s)-1, int(math.Ceil(q*float64(len(s))))-1))]
}

func median(all []float64) float64 {
	if n := len(all); n > 0 && n%2 == 0 {
		s := slices.Sorted(slices.Values(all))
		return (s[n/2-1] + s[n/2]) / 2
	}
	return percentile(all, 0.5)
}

// line is y = offset + slope*x with the least squares of error. Without two different x it is flat.
func line(x, y []float64) (slope, offset float64) {
	var mx, my float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(x))
	}
	var xx, xy float64
	for i := range x {
		xx, xy = xx+(x[i]-mx)*(x[i]-mx), xy+(x[i]-mx)*(y[i]-my)
	}
	if xx == 0 {
		return 0, my
	}
	return xy / xx, my - xy/xx*mx
}

// cost is what the bare work of one packet takes.
type cost struct {
	up   time.Duration // phone's packet in, encoded, encrypted, to the bridge
	down time.Duration // speaker's packet in, decrypted, decoded, to the phone
}

func (c cost) both() time.Duration { return c.up + c.down }

// between is the floor of a phase that lies between two measurements of it, and whether they agree
// well enough: not more than a quarter apart.
func between(a, b cost) (cost, bool) {
	low, high := min(a.both(), b.both()), max(a.both(), b.both())
	return cost{(a.up + b.up) / 2, (a.down + b.down) / 2}, low > 0 && float64(high) <= 1.25*float64(low)
}

// A phase is a time of constant load and what was seen in it.
type phase struct {
	calls    int
	length   time.Duration
	cpu      time.Duration // of the gateway
	switches int           // its voluntary context switches
	machine  float64       // share of all processors' time that was used by anybody
	up, down int           // packets that the stand-ins saw: got by the bridge, sent by the speakers
	floor    cost
	delays   [2][]float64 // ms: to the bridge, to the phone
	void     string       // why it does not count
}

// bare is the time that the operations on the wire take at least.
func (p phase) bare() time.Duration {
	return time.Duration(p.up)*p.floor.up + time.Duration(p.down)*p.floor.down
}

// ratio is the gateway's time in units of the bare work.
func (p phase) ratio() float64 {
	if p.bare() == 0 {
		return 0
	}
	return float64(p.cpu) / float64(p.bare())
}

// core is the share of one processor that the gateway used.
func (p phase) core() float64 { return float64(p.cpu) / float64(p.length) }

// slope is how much of the gateway's time grows with the bare work, and the share of a core that does
// not: what calls cost that nobody speaks in.
func slope(all []phase) (ratio, idle float64) {
	var x, y []float64
	for _, p := range all {
		x, y = append(x, float64(p.bare())/float64(p.length)), append(y, p.core())
	}
	return line(x, y)
}

// schedule is the order of loads: up and down again (A B C C B A), so that a drift of the machine
// hits all alike.
func schedule(loads []int) []int {
	out := slices.Clone(loads)
	for i := len(loads) - 1; i >= 0; i-- {
		out = append(out, loads[i])
	}
	return out
}

// loads are the numbers of calls for a quarter, a half and three quarters of a core, if a call takes
// so many times its floor.
func loads(floor cost, factor float64) []int {
	whole := float64(20*time.Millisecond) / (factor * float64(floor.both()))
	var out []int
	for _, share := range []float64{0.25, 0.5, 0.75} {
		out = append(out, max(2, int(math.Round(share*whole))))
	}
	return out
}
