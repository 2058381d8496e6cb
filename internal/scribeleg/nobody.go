package scribeleg

import (
	"context"
	"sync"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
)

// Nobody is the phone of a transcriber: it picks up at once, hears nothing, and hangs up when it is told why.
type Nobody struct {
	events chan leg.Event
	mu     sync.Mutex
	up     bool
	over   bool
}

// NewNobody makes one.
func NewNobody() *Nobody { return &Nobody{events: make(chan leg.Event, 2)} }

// Events implements leg.Leg.
func (n *Nobody) Events() <-chan leg.Event { return n.events }

// Answer implements leg.Leg.
func (n *Nobody) Answer() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.up && !n.over {
		n.up = true
		n.events <- leg.Event{Phase: leg.Up}
	}
}

// Send implements leg.Leg.
func (n *Nobody) Send(s leg.Signal) {
	if f, ok := s.(leg.Farewell); ok {
		n.end(f.Why)
	}
}

// Report implements leg.Leg.
func (n *Nobody) Report() leg.Report { return leg.Report{} }

// Hangup implements leg.Leg.
func (n *Nobody) Hangup(_ context.Context, why cause.Cause) error {
	n.end(why)
	return nil
}

// Connect implements leg.Phone.
func (n *Nobody) Connect(media.Port) {}

func (n *Nobody) end(why cause.Cause) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over {
		n.over = true
		n.events <- leg.Event{Phase: leg.Over, Why: why}
		close(n.events)
	}
}

// silence is the sound of a seat that nobody listens to.
type silence struct{}

// Pull implements media.Source.
func (silence) Pull(*media.Chunk) {}

// Push implements media.Sink.
func (silence) Push(*media.Chunk) {}
