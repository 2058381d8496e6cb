package bench

import (
	"fmt"
	"math"
	"math/rand/v2"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

// The sound of the benchmark is made, not recorded: something that an encoder has as much work
// with as with speech, and under it a sine that says whose it is.
const (
	loopSeconds = 8
	voices      = 8 // different pilots; neighbors always differ

	speechDBov = -27.0
	pilotDBov  = -24.0

	pulseEvery = 1.0   // seconds
	pulseLong  = 0.010 // seconds
	pulseDBov  = -12.0
)

// pilot is the sine of a voice, in Hz: whole periods in a loop, apart from each other.
func pilot(voice int, phone bool) float64 {
	hz := 437.5 + 250*float64(voice%voices)
	if phone {
		hz += 125
	}
	return hz
}

// pulseHz is the sine of the probe's pulses.
func pulseHz(phone bool) float64 {
	if phone {
		return 1300
	}
	return 1000
}

// speech is a loop like speech: pitch that wanders, three formants that move, syllables, and hiss
// between them. The same seed is the same sound at any rate.
func speech(rate int, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 1))
	n := loopSeconds * rate
	out := make([]float64, n)
	type resonance struct{ a1, a2, y1, y2 float64 }
	var f [3]resonance
	phase, energy := 0.0, 0.0
	for start := 0.0; start < loopSeconds; {
		long := 0.12 + 0.15*r.Float64()
		pitch := 95 + 110*r.Float64()
		formants := [3]float64{300 + 500*r.Float64(), 900 + 1200*r.Float64(), 2300 + 600*r.Float64()}
		hiss := r.Float64() < 0.25
		noise := rand.New(rand.NewPCG(seed, uint64(start*1000)))
		for k := range f {
			width := math.Exp(-math.Pi * (60 + 40*float64(k)) / float64(rate))
			f[k].a1, f[k].a2 = 2*width*math.Cos(2*math.Pi*formants[k]/float64(rate)), -width*width
		}
		from, to := int(start*float64(rate)), min(n, int((start+long)*float64(rate)))
		for i := from; i < to; i++ {
			at := float64(i-from) / float64(to-from)
			env := math.Pow(math.Sin(math.Pi*at), 0.7)
			phase += pitch * (1 + 0.12*math.Sin(5*at)) / float64(rate)
			source := 0.0
			if phase >= 1 {
				phase--
				source = 8000 / float64(rate) * 10
			}
			source += 0.06 * noise.NormFloat64()
			if hiss {
				source = 0.5 * noise.NormFloat64()
			}
			y := 0.0
			for k := range f {
				v := source + f[k].a1*f[k].y1 + f[k].a2*f[k].y2
				f[k].y1, f[k].y2 = v, f[k].y1
				y += v / float64(1+k)
			}
			out[i] = env * y
			energy += out[i] * out[i]
		}
		start += long
	}
	gain := 32768 * math.Pow(10, speechDBov/20) / math.Sqrt(energy/float64(n))
	pcm := make([]int16, n)
	for i, v := range out {
		pcm[i] = int16(max(-20000, min(20000, gain*v)))
	}
	return pcm
}

// notch takes some 40 Hz around a frequency out of pcm, so that no vowel is taken for a pilot.
func notch(pcm []int16, hz float64, rate int) {
	const width = 40
	r, c := math.Exp(-math.Pi*width/float64(rate)), 2*math.Cos(2*math.Pi*hz/float64(rate))
	var x1, x2, y1, y2 float64
	for i, v := range pcm {
		x := float64(v)
		y := x - c*x1 + x2 + r*c*y1 - r*r*y2
		x1, x2, y1, y2 = x, x1, y, y1
		pcm[i] = int16(max(-20000, min(20000, y)))
	}
}

// voicePCM is a voice's loop: speech with its pilot.
func voicePCM(voice int, phone bool, rate int) []int16 {
	seed := uint64(voice%voices) + 1
	if phone {
		seed += 100
	}
	pcm := speech(rate, seed)
	for v := range voices {
		notch(pcm, pilot(v, phone), rate)
	}
	sine := make([]int16, len(pcm))
	audio.NewTone(pilot(voice, phone), rate, pilotDBov).Fill(sine)
	audio.Add(pcm, sine)
	return pcm
}

// probePCM is a probe's loop: faint noise, so that nobody takes it for silence, and a pulse each second.
func probePCM(phone bool, rate int) []int16 {
	r := rand.New(rand.NewPCG(7, 7))
	pcm := make([]int16, loopSeconds*rate)
	amp := 32768 * math.Pow(10, -50.0/20)
	for i := range pcm {
		pcm[i] = int16(amp * r.NormFloat64())
	}
	long := int(pulseLong * float64(rate))
	for s := 0.5; s < loopSeconds; s += pulseEvery {
		sine := make([]int16, long)
		audio.NewTone(pulseHz(phone), rate, pulseDBov).Fill(sine)
		audio.Add(pcm[int(s*float64(rate)):][:long], sine)
	}
	return pcm
}

// stillPCM is the noise of a room in which nobody speaks.
func stillPCM(rate int) []int16 {
	r := rand.New(rand.NewPCG(8, 8))
	pcm := make([]int16, loopSeconds*rate)
	amp := 32768 * math.Pow(10, -70.0/20)
	for i := range pcm {
		pcm[i] = int16(amp * r.NormFloat64())
	}
	return pcm
}

// packets are the loop of a voice as payloads of 20 ms.
type packets [][]byte

// phonePackets are PCMU, as a phone sends.
func phonePackets(pcm []int16) packets {
	g := codec.NewPCMU()
	var out packets
	for ; len(pcm) >= 160; pcm = pcm[160:] {
		b := make([]byte, 160)
		if n, err := g.Encode(b, pcm[:160]); err == nil {
			out = append(out, b[:n])
		}
	}
	return out
}

// speakerPackets are Opus as a browser sends: 48 kHz, 32 kbit/s, with FEC.
func speakerPackets(pcm []int16) (packets, error) {
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 48000, Bitrate: 32000, Complexity: 9, FEC: true, Loss: 1})
	if err != nil {
		return nil, err
	}
	var out packets
	buf := make([]byte, codec.MaxOpus)
	for ; len(pcm) >= 960; pcm = pcm[960:] {
		n, err := enc.Encode(buf, pcm[:960])
		if err != nil {
			return nil, fmt.Errorf("bench: encoding the speakers: %w", err)
		}
		out = append(out, append([]byte(nil), buf[:n]...))
	}
	return out, nil
}

// sounds are all voices, encoded once.
type sounds struct {
	phone, speaker           []packets // by voice
	phoneProbe, speakerProbe packets
	still                    packets // of a phone where nobody speaks
}

// newSounds makes so many voices.
func newSounds(count int) (*sounds, error) {
	s := &sounds{phoneProbe: phonePackets(probePCM(true, 8000)), still: phonePackets(stillPCM(8000))}
	var err error
	if s.speakerProbe, err = speakerPackets(probePCM(false, 48000)); err != nil {
		return nil, err
	}
	for v := range count {
		p, err := speakerPackets(voicePCM(v, false, 48000))
		if err != nil {
			return nil, err
		}
		s.phone, s.speaker = append(s.phone, phonePackets(voicePCM(v, true, 8000))), append(s.speaker, p)
	}
	return s, nil
}
