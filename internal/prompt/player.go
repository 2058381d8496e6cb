package prompt

import (
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
)

const (
	maxQueue = 16
	// A phone whose meeting is away hears the hold sound after holdAfter and then each holdEvery.
	holdAfter = 3 * time.Second
	holdEvery = 10 * time.Second
	// duck is by how many bits the meeting is softer under a voice.
	duck = 2
)

// A Player plays sounds to one phone, one after the other. Its methods are safe for concurrent use
// and do not block.
type Player struct {
	lib  *Library
	lang string
	busy atomic.Bool // something is queued: Pull needs the lock

	mu    sync.Mutex
	queue []item
	at    int // samples of queue[0] that have been played
	up    audio.Tripler
	away  int  // ticks without a meeting
	had   bool // there was one
	wide  [media.Wide / 50]int16
	full  [media.Full / 50]int16
}

type item struct {
	pcm  []int16
	done func()
	key  bool // the tones of one
}

// NewPlayer makes a player for a phone that speaks lang.
func NewPlayer(lib *Library, lang string) *Player { return &Player{lib: lib, lang: Match(lang)} }

// Play queues a sound. done, which may be nil, is called when it has been played, on the clock's
// goroutine: it must not block. A sound that is not there or does not fit the queue is done at once.
func (p *Player) Play(s Sound, done func()) {
	pcm := p.lib.clip(p.lang, s)
	p.mu.Lock()
	ok := pcm != nil && len(p.queue) < maxQueue
	if ok {
		p.queue = append(p.queue, item{pcm: pcm, done: done})
		p.busy.Store(true)
	}
	p.mu.Unlock()
	if !ok && done != nil {
		done()
	}
}

// Over lays what is played over port. A nil port is a meeting that is away: silence, and
// the hold sound now and then.
func (p *Player) Over(port media.Port) media.Port {
	if port != nil {
		p.mu.Lock()
		p.away, p.had = 0, true
		p.mu.Unlock()
	}
	if f, ok := port.(media.Forwarder); ok {
		return &forwarding{over{p, port}, f}
	}
	return &over{p, port}
}

type over struct {
	p    *Player
	port media.Port
}

// forwarding is over a port that takes packets as they are too.
type forwarding struct {
	over
	media.Forwarder
}

// Push implements media.Sink.
func (o *over) Push(c *media.Chunk) {
	if o.port != nil {
		o.port.Push(c)
	}
}

// Pull implements media.Source.
func (o *over) Pull(c *media.Chunk) {
	if o.port == nil {
		clear(c.PCM)
		c.Voice = false
		o.p.waiting()
	} else if o.p.busy.Load() {
		c.AcceptOpus, c.Coder = false, nil
		o.port.Pull(c)
		for i := range c.PCM {
			c.PCM[i] >>= duck
		}
	} else {
		o.port.Pull(c)
		return
	}
	if o.p.busy.Load() {
		o.p.lay(c)
	}
}

// waiting counts a tick without a meeting.
func (p *Player) waiting() {
	p.mu.Lock()
	p.away++
	due, lost := len(p.queue) == 0 && p.away >= int(holdAfter/media.Tick), p.had
	if due {
		p.away, p.had = int((holdAfter-holdEvery)/media.Tick), false
	}
	p.mu.Unlock()
	if due {
		p.Play(Hold, nil)
		if lost {
			p.Play(Reconnecting, nil)
		}
	}
}

// lay adds 20 ms of what is played to c.
func (p *Player) lay(c *media.Chunk) {
	p.mu.Lock()
	done := p.take()
	p.mu.Unlock()
	pcm := p.wide[:]
	if c.Rate == media.Full {
		p.up.Run(p.full[:], p.wide[:])
		pcm = p.full[:]
	}
	audio.Add(c.PCM, pcm)
	c.Voice, c.Measured = true, false
	if done != nil {
		done()
	}
}

// take fills wide with the next 20 ms, and gives what to call if a sound has ended with it.
func (p *Player) take() (done func()) {
	clear(p.wide[:])
	if len(p.queue) == 0 {
		return nil
	}
	first := p.queue[0]
	p.at += copy(p.wide[:], first.pcm[p.at:])
	if p.at < len(first.pcm) {
		return nil
	}
	copy(p.queue, p.queue[1:])
	p.queue[len(p.queue)-1] = item{}
	p.queue = p.queue[:len(p.queue)-1]
	p.at = 0
	p.busy.Store(len(p.queue) > 0)
	return first.done
}
