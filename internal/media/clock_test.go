package media_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/media"
)

func TestClockCallsEachOncePerTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := media.NewClock(nil)
		defer c.Close()
		var counts [7]int
		var removes []func()
		for i := range counts {
			removes = append(removes, c.Add(func() { counts[i]++ }))
		}
		time.Sleep(2*time.Second + media.Tick)
		synctest.Wait()
		for _, remove := range removes {
			remove()
		}
		for i, n := range counts {
			if n < 99 || n > 102 {
				t.Errorf("function %d was called %d times in 2 s, want 100", i, n)
			}
		}
		was := counts
		time.Sleep(time.Second)
		if counts != was {
			t.Error("a removed function was called")
		}
	})
}

func TestT33_PanicStopsOneFunctionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var panics, others atomic.Int32
		c := media.NewClock(func(any, []byte) { panics.Add(1) })
		defer c.Close()
		for range 10 {
			c.Add(func() { others.Add(1) })
		}
		remove := c.Add(func() { panic("defect") })
		time.Sleep(time.Second + media.Tick)
		synctest.Wait()
		if panics.Load() != 1 || others.Load() < 490 {
			t.Errorf("%d panics, %d other calls, want 1 and 500", panics.Load(), others.Load())
		}
		remove()
	})
}

func TestClockAllocatesNothing(t *testing.T) {
	c := media.NewClock(nil)
	defer c.Close()
	fired := make(chan struct{}, 1)
	for range 50 {
		c.Add(func() {
			select {
			case fired <- struct{}{}:
			default:
			}
		})
	}
	if n := testing.AllocsPerRun(20, func() { <-fired }); n > 0.5 {
		t.Errorf("%v allocations per tick", n)
	}
}
