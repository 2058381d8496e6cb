// Package prove is what the tests of speech services share: a voice whose words can be heard
// without a recognizer, an ear that hears them, a temper that makes a counterpart misbehave, and
// the proof that no final is lost or doubled whatever happens.
//
// A word is 300 ms of one constant value, which survives resampling; three words with short pauses
// are an utterance, and a longer pause follows.
package prove

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	rate      = 16000
	wordLen   = 300 * rate / 1000
	shortLen  = 100 * rate / 1000
	longLen   = 500 * rate / 1000
	wordStep  = 50
	firstStep = 2000
	words     = 500 // that differ
	perBreath = 3
)

// Say is the sound of n utterances, at 16 kHz.
func Say(n int) []int16 {
	out := make([]int16, n*(perBreath*(wordLen+shortLen)-shortLen+longLen))
	rest := out
	for i := range n * perBreath {
		for k := range wordLen {
			rest[k] = int16(firstStep + wordStep*(i%words))
		}
		rest = rest[wordLen+shortLen:]
		if i%perBreath == perBreath-1 {
			rest = rest[longLen-shortLen:]
		}
	}
	return out
}

// Script is what n utterances say, one a line.
func Script(n int) []string {
	var out []string
	for i := range n {
		var line []string
		for k := range perBreath {
			line = append(line, fmt.Sprintf("w%d", (i*perBreath+k)%words))
		}
		out = append(out, strings.Join(line, " "))
	}
	return out
}

// Heard is what an ear has heard. Start and End are in its own sound.
type Heard struct {
	Text       string
	Final      bool
	Start, End time.Duration
}

// An Ear hears words in one stream of 16-bit little-endian sound at Rate.
type Ear struct {
	Rate  int           // in Hz; 0 is 16000
	Gain  float64       // of the filters before it; 0 is 1
	Pause time.Duration // that ends an utterance; 0 is 300 ms

	samples int64 // heard
	block   []int16
	run     []int // values of the blocks of this word
	said    []string
	start   int64
	end     int64
	silent  int64
}

// Hear takes sound and gives what is new: the words so far, or with Final an utterance.
func (e *Ear) Hear(pcm []byte) []Heard {
	var out []Heard
	block := e.rate() / 100
	for ; len(pcm) > 1; pcm = pcm[2:] {
		e.block = append(e.block, int16(binary.LittleEndian.Uint16(pcm)))
		if len(e.block) == block {
			out = append(out, e.hear()...)
		}
	}
	return out
}

// Finish gives what is left at the end of the sound.
func (e *Ear) Finish() []Heard {
	e.word()
	return e.utterance()
}

// Listened is how much sound there was.
func (e *Ear) Listened() time.Duration { return e.at(e.samples) }

func (e *Ear) rate() int {
	return cmp.Or(e.Rate, rate)
}

func (e *Ear) at(n int64) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(e.rate())
}

func (e *Ear) hear() []Heard {
	sum := 0
	for _, v := range e.block {
		sum += int(v)
	}
	value := sum / len(e.block)
	e.samples += int64(len(e.block))
	e.block = e.block[:0]
	if value >= firstStep*3/4 {
		if len(e.run) == 0 && len(e.said) == 0 {
			e.start = e.samples - int64(e.rate()/100)
		}
		e.run, e.silent, e.end = append(e.run, value), 0, e.samples
		return nil
	}
	e.silent += int64(e.rate() / 100)
	if e.word() {
		return []Heard{{Text: strings.Join(e.said, " "), Start: e.at(e.start), End: e.at(e.end)}}
	}
	if e.at(e.silent) >= cmp.Or(e.Pause, 300*time.Millisecond) {
		return e.utterance()
	}
	return nil
}

// word ends a word.
func (e *Ear) word() bool {
	if len(e.run) < 3 {
		e.run = nil
		return false
	}
	slices.Sort(e.run)
	value := int(math.Round(float64(e.run[len(e.run)/2]) / cmp.Or(e.Gain, 1)))
	e.said = append(e.said, fmt.Sprintf("w%d", (value-firstStep+wordStep/2)/wordStep))
	e.run = nil
	return true
}

func (e *Ear) utterance() []Heard {
	if len(e.said) == 0 {
		return nil
	}
	text := strings.Join(e.said, " ")
	e.said = nil
	return []Heard{{text, true, e.at(e.start), e.at(e.end)}}
}

// A Fault is what a counterpart does wrong.
type Fault uint8

// The faults.
const (
	None    Fault = iota
	Refuse        // does not accept the stream: 503, or a closed door
	Stall         // accepts, and says nothing any more
	Garbage       // says what nobody understands
	Drop          // hangs up without a word
	Half          // hangs up right after what it heard was said, or instead of saying it
	Late          // accepts late, and then hangs up without a word
	faults
)

// A Temper decides how a counterpart misbehaves, connection by connection, until it has had enough.
type Temper struct {
	mu   sync.Mutex
	rnd  *rand.Rand
	left int
	kind []Fault
	had  map[Fault]int
}

// Moody is a Temper for n faults of some kinds, in a fixed order; none is all kinds.
func Moody(n int, kinds ...Fault) *Temper {
	if len(kinds) == 0 {
		for f := Refuse; f < faults; f++ {
			kinds = append(kinds, f)
		}
	}
	return &Temper{rnd: rand.New(rand.NewPCG(3, uint64(n))), left: n, kind: kinds, had: map[Fault]int{}}
}

// Next is the fault of the next connection, and after how many frames it comes.
func (t *Temper) Next(frames int) (Fault, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == 0 {
		return None, 0
	}
	t.left--
	f := t.kind[t.rnd.IntN(len(t.kind))]
	t.had[f]++
	return f, t.rnd.IntN(frames)
}

// Left is how many faults are still to come.
func (t *Temper) Left() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left
}

// Drops is how many faults a test makes: few, or with JIGASI_SOAK a thousand.
func Drops(few int) int {
	if os.Getenv("JIGASI_SOAK") != "" {
		return 1000
	}
	return few
}
