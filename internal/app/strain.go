package app

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/media"
)

// strain watches the clock once a second. Its goroutine ends with close.
type strain struct {
	text atomic.Pointer[string] // why no calls are taken; nil: they are
	quit chan struct{}
	done sync.WaitGroup
}

// why is "" as long as calls are taken.
func (s *strain) why() string {
	if t := s.text.Load(); t != nil {
		return *t
	}
	return ""
}

func (s *strain) start(limit float64, clock func() media.Stats, calls func() int, changed func(), log *slog.Logger) {
	s.quit = make(chan struct{})
	if limit <= 0 {
		return
	}
	s.done.Go(func() {
		judge := media.Strain{Limit: limit}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
			over := judge.Judge(clock(), calls())
			switch was := s.text.Load() != nil; {
			case over && !was:
				text := fmt.Sprintf("this machine is too busy for another call: %.0f %% of the clock's turns are missed; give it fewer calls (limits.calls) or more CPU", 100*judge.Missed())
				s.text.Store(&text)
				log.Warn("new calls are refused", "why", text)
				changed()
			case !over && was:
				s.text.Store(nil)
				log.Info("new calls are taken again")
				changed()
			}
		}
	})
}

func (s *strain) close() {
	close(s.quit)
	s.done.Wait()
}
