package bench

import (
	"math"
	"testing"
	"time"

	"jigasi/internal/audio"
)

func TestPulsesAreFoundToTheMillisecond(t *testing.T) {
	pcm := probePCM(true, 8000)
	got := pulses(pcm, pulseHz(true))
	if len(got) != loopSeconds {
		t.Fatalf("%d pulses, want %d", len(got), loopSeconds)
	}
	for i, at := range got {
		if want := 4000 + 8000*i; math.Abs(float64(at-want)) > 8 {
			t.Errorf("pulse %d at sample %d, want %d", i, at, want)
		}
	}
	if n := len(pulses(pcm, pulseHz(false)+700)); n != 0 {
		t.Errorf("%d pulses of another pitch", n)
	}
}

func TestDelaysAreThoseOfTheWay(t *testing.T) {
	pcm := probePCM(false, 8000)
	start := time.Unix(1000, 0)
	sent, arrived := make([]time.Time, len(pcm)/160), make([]time.Time, len(pcm)/160)
	for i := range sent {
		sent[i] = start.Add(time.Duration(i) * 20 * time.Millisecond)
		arrived[i] = sent[i].Add(33 * time.Millisecond)
	}
	got := delays(pcm, pulseHz(false), arrived, sent, 0)
	if len(got) != loopSeconds {
		t.Fatalf("%d delays", len(got))
	}
	for _, ms := range got {
		if math.Abs(ms-33) > 1 {
			t.Errorf("a delay of %.1f ms, want 33", ms)
		}
	}
}

func TestCodecDelayIsThatOfOpus(t *testing.T) {
	t.Parallel()
	s, err := speakerPackets(probePCM(false, 48000))
	if err != nil {
		t.Fatal(err)
	}
	down, err := codecDelay(s, false)
	if err != nil || down < 20 || down > 120 { // 6.5 ms of the encoder, 1 ms of the filter
		t.Errorf("from the speaker: %d samples, %v", down, err)
	}
	up, err := codecDelay(phonePackets(probePCM(true, 8000)), true)
	if err != nil || up < 20 || up > 120 {
		t.Errorf("from the phone: %d samples, %v", up, err)
	}
}

// TestPilotsAreHeardThroughTheCodecs: the judgment passes what only the codecs have touched, and
// nothing else.
func TestPilotsAreHeardThroughTheCodecs(t *testing.T) {
	t.Parallel()
	for voice := range voices {
		pcm := voicePCM(voice, true, 8000)
		if level := audio.Level(pcm); level < 15 || level > 30 {
			t.Errorf("voice %d is at -%d dBov", voice, level)
		}
		through, err := throughOpus(phonePackets(pcm))
		if err != nil {
			t.Fatal(err)
		}
		for at := 4000; at < 56000; at += 2000 {
			if why := hearsPilot(through[at:at+8000], voice, true); why != "" {
				t.Errorf("voice %d at %d s: %s", voice, at/8000, why)
			}
		}
		if hearsPilot(through[8000:16000], voice+1, true) == "" {
			t.Errorf("voice %d passes for another", voice)
		}
	}
	if hearsPilot(make([]int16, 8000), 0, true) == "" {
		t.Error("silence passes")
	}
}
