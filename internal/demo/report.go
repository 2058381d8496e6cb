package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"jigasi/internal/audio"
	"jigasi/internal/lab/bot"
)

// A tone is heard above heardAt and absent below absentAt, in dBov; each says -20.
const (
	heardAt  = -26
	absentAt = -45
)

// report is what came of the call; it is call.json.
type report struct {
	Good     bool     `json:"good"`
	Reasons  []string `json:"reasons,omitempty"`
	Timeline []step   `json:"timeline"`
	Codec    string   `json:"codec"`
	End      string   `json:"end_cause"`
	Hearing  []pair   `json:"hearing"`
	Phone    stream   `json:"phone_heard"`
	Room     stream   `json:"room_heard"`
}

// pair is one party hearing another.
type pair struct {
	Who    string  `json:"who"`
	Whom   string  `json:"whom"`
	Hz     int     `json:"hz"`
	Level  float64 `json:"level_dbov"`
	Wanted bool    `json:"wanted"`
	Good   bool    `json:"good"`
}

// stream is what one side heard in numbers.
type stream struct {
	Packets int     `json:"packets"`
	Lost    int     `json:"lost"`
	GapMS   float64 `json:"longest_gap_ms"`
	Level   int     `json:"level_dbov"`
}

// judge measures who hears whom.
func (s *session) judge() report {
	r := report{Good: true, Timeline: s.line.all(), Codec: "PCMU", End: "normal"}
	nick := s.nick()
	parties := []struct {
		name string
		hz   int
		tone func(hz float64) float64
	}{
		{"phone", phoneTone, s.phone.Tone},
		{"Anna", annaTone, total(s.anna)},
		{"Ben", benTone, total(s.ben)},
	}
	for _, who := range parties {
		for _, whom := range parties {
			p := pair{Who: who.name, Whom: whom.name, Hz: whom.hz, Level: who.tone(float64(whom.hz)), Wanted: who.name != whom.name}
			p.Good = p.Wanted && p.Level > heardAt || !p.Wanted && p.Level < absentAt
			if !p.Good {
				r.Good = false
				r.Reasons = append(r.Reasons, p.String())
			}
			r.Hearing = append(r.Hearing, p)
		}
	}
	n, gap := s.phone.Packets()
	r.Phone = stream{Packets: n, GapMS: float64(gap.Microseconds()) / 1000, Level: -int(s.phone.Level())}
	if v, ok := s.anna.Hears()[nick]; ok {
		r.Room = stream{Packets: v.Packets, Lost: v.Lost(), GapMS: float64(v.Gap.Microseconds()) / 1000, Level: -int(v.Level())}
	}
	return r
}

func (p pair) String() string {
	switch {
	case p.Wanted && !p.Good:
		return fmt.Sprintf("%s does not hear %s (%d Hz at %.0f dBov)", p.Who, p.Whom, p.Hz, p.Level)
	case !p.Wanted && !p.Good:
		return fmt.Sprintf("%s hears itself (%d Hz at %.0f dBov)", p.Who, p.Hz, p.Level)
	}
	return fmt.Sprintf("%s hears %s", p.Who, p.Whom)
}

// total is the loudest a bot hears a frequency from anybody.
func total(b *bot.Bot) func(hz float64) float64 {
	return func(hz float64) float64 {
		best := -120.0
		for _, v := range b.Hears() {
			best = max(best, v.Tone(hz))
		}
		return best
	}
}

// write puts the sound and the report into a folder.
func (s *session) write(dir string, r report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeWAV(filepath.Join(dir, "phone-heard.wav"), s.phone.Heard(), 8000); err != nil {
		return err
	}
	var room []int16
	if v, ok := s.anna.Hears()[s.nick()]; ok {
		room = v.PCM()
	}
	if err := writeWAV(filepath.Join(dir, "room-heard.wav"), room, 48000); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "call.json"), append(b, '\n'), 0o644)
}

func writeWAV(path string, pcm []int16, rate int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := audio.WriteWAV(f, pcm, rate); err != nil {
		return err
	}
	return f.Close()
}
