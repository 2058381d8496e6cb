package demo

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

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

// party is who takes part in the verdict.
type party struct {
	name string
	hz   float64
	nick string         // endpoint id
	hear func() hearing // what it hears
}

// hearing gives the level of a frequency from one participant, or from all where that cannot be told.
type hearing func(nick string, hz float64) float64

// anybody is the nick for all together.
const anybody = ""

// judge measures who hears whom, while they talk.
func (s *session) judge() report {
	r := report{Good: true}
	parties := []party{
		{"phone", phoneTone, s.nick, func() hearing { return func(_ string, hz float64) float64 { return s.phone.Tone(hz) } }},
		{"Anna", annaTone, s.anna.Nick(), func() hearing { return ears(s.anna) }},
		{"Ben", benTone, s.ben.Nick(), func() hearing { return ears(s.ben) }},
	}
	for _, who := range parties {
		hear := who.hear()
		for _, whom := range parties {
			p := pair{Who: who.name, Whom: whom.name, Hz: int(whom.hz), Wanted: who.name != whom.name}
			if p.Wanted {
				p.Level = hear(whom.nick, whom.hz)
				p.Good = p.Level > heardAt
			} else {
				p.Level = hear(anybody, whom.hz)
				p.Good = p.Level < absentAt
			}
			p.Level = math.Round(p.Level*10) / 10
			if !p.Good {
				r.Reasons = append(r.Reasons, p.String())
			}
			r.Hearing = append(r.Hearing, p)
		}
		if who.name == "phone" {
			continue
		}
		for _, other := range parties[1:] { // the gateway must not say again what others said
			if db := hear(s.nick, other.hz); db >= absentAt {
				r.Reasons = append(r.Reasons, fmt.Sprintf("%s hears %s from the phone (%.0f dBov)", who.name, other.name, db))
			}
		}
	}
	r.Good = len(r.Reasons) == 0
	t := s.phone.Traffic()
	r.Phone = stream{Packets: t.Packets, Lost: t.Lost, GapMS: ms(t.Gap), Level: -int(s.phone.Level())}
	if v, ok := s.anna.Hears()[s.nick]; ok {
		s.inRoom = v.PCM()
		r.Room = stream{Packets: v.Packets, Lost: v.Lost(), GapMS: ms(v.Gap), Level: -int(v.Level())}
	}
	return r
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (p pair) String() string {
	switch {
	case p.Wanted && !p.Good:
		return fmt.Sprintf("%s does not hear %s (%d Hz at %.0f dBov)", p.Who, p.Whom, p.Hz, p.Level)
	case !p.Wanted && !p.Good:
		return fmt.Sprintf("%s hears itself (%d Hz at %.0f dBov)", p.Who, p.Hz, p.Level)
	}
	return fmt.Sprintf("%s hears %s", p.Who, p.Whom)
}

// ears is what a person hears now.
func ears(b *bot.Bot) hearing {
	voices := b.Hears()
	return func(nick string, hz float64) float64 {
		if nick != anybody {
			v, ok := voices[nick]
			if !ok || v.Since > time.Second {
				return -120
			}
			return v.Tone(hz)
		}
		best := -120.0
		for _, v := range voices {
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
	if err := writeWAV(filepath.Join(dir, "room-heard.wav"), s.inRoom, 48000); err != nil {
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
