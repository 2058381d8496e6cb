package bench

import (
	"fmt"
	"slices"
	"time"
)

// listen judges what came out of the gateway, and takes the delays of the probes. It says what is
// wrong.
func (r *run) listen(p *phase, d sums) string {
	want := float64(p.calls) * 50 * p.length.Seconds()
	for what, n := range map[string]int{"phone": d.toPhone, "bridge": d.toBridge} {
		if share := float64(n) / want; share < 0.99 || share > 1.01 {
			return fmt.Sprintf("%.1f %% of the packets came to the %s", 100*share, what)
		}
	}
	if float64(d.holesUp) > maxHoles*want || float64(d.holesDown) > maxHoles*want {
		return fmt.Sprintf("%d packets to the bridge and %d to the phones are missing", d.holesUp, d.holesDown)
	}
	for _, c := range r.world.gen.copies() {
		var why string
		if c.probe {
			why = r.probes(p, c)
		} else {
			why = c.judge()
		}
		if why != "" {
			return fmt.Sprintf("call %d, %s", c.index, why)
		}
	}
	return ""
}

// copies are the calls as they are now, while packets go on coming.
func (g *generator) copies() (calls []*call) {
	g.do(func() {
		for _, c := range g.calls {
			k := *c
			k.toPhone.recent, k.toBridge.recent = slices.Clone(c.toPhone.recent), slices.Clone(c.toBridge.recent)
			k.phone.when, k.speaker.when = slices.Clone(c.phone.when), slices.Clone(c.speaker.when)
			calls = append(calls, &k)
		}
	})
	return calls
}

// judge listens to the last second of both directions.
func (c *call) judge() string {
	for _, d := range []struct {
		who    string
		stream *stream
		phone  bool // who spoke
	}{{"at the phone", &c.toPhone, false}, {"at the bridge", &c.toBridge, true}} {
		pcm, err := sound(payloads(d.stream.last(keepPackets)), d.phone)
		if err != nil {
			return err.Error()
		}
		if why := hearsPilot(pcm[len(pcm)/4:], c.voice, d.phone); why != "" {
			return d.who + ": " + why
		}
	}
	return ""
}

// probes takes the delays of a probe in this phase.
func (r *run) probes(p *phase, c *call) string {
	n := int(50 * p.length.Seconds())
	for i, d := range []struct {
		stream *stream
		talker *talker
		phone  bool
	}{{&c.toBridge, &c.phone, true}, {&c.toPhone, &c.speaker, false}} {
		// Only as far back as it is known when packets were sent.
		list := d.stream.last(min(n, len(d.talker.loop)-100))
		pcm, err := sound(payloads(list), d.phone)
		if err != nil {
			return err.Error()
		}
		var arrived []time.Time
		for _, h := range list {
			arrived = append(arrived, h.at)
		}
		got := delays(pcm, pulseHz(d.phone), arrived, d.talker.when, r.offsets[i])
		if len(got) < len(list)/50-2 {
			return fmt.Sprintf("%d pulses of %d came", len(got), len(list)/50)
		}
		p.delays[i] = append(p.delays[i], got...)
	}
	return ""
}

func payloads(list []heard) [][]byte {
	out := make([][]byte, 0, len(list))
	for i := range list {
		out = append(out, list[i].payload[:list[i].size])
	}
	return out
}
