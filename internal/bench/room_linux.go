package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// roomPhones is how many phones are in the room, and in as many silent rooms.
const roomPhones = 35

// RunRoom measures what many phones in one room cost in which three people speak, in units of what as many
// phones in rooms of their own cost in which nobody does. The last line is that ratio.
func RunRoom(ctx context.Context, o Options) error {
	return start(ctx, o, func(ctx context.Context, r *run) error {
		var all [2][]phase // silent, crowded
		for _, crowded := range []bool{false, true, true, false} {
			p, err := r.scene(ctx, crowded)
			if err != nil {
				return err
			}
			if p.void == "" {
				all[count(crowded)] = append(all[count(crowded)], p)
			}
		}
		return r.reportRoom(all)
	})
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// scene brings the phones up, in one room or in one each, measures them, and hangs up.
func (r *run) scene(ctx context.Context, crowded bool) (phase, error) {
	r.world.quiet, r.world.crowd = true, crowded
	defer func() { r.world.quiet, r.world.crowd = false, false }()
	people := newCrowd(r.world.sounds)
	speak := func(on bool) {
		r.world.gen.do(func() {
			if r.world.gen.on, r.world.gen.crowd = on, nil; on && crowded {
				r.world.gen.crowd = people
			}
		})
	}
	speak(true)
	if err := r.world.grow(ctx, r.gateway.sip, roomPhones); err != nil {
		return phase{}, err
	}
	if err := wait(ctx, calmDown); err != nil {
		return phase{}, err
	}
	for {
		before := r.last
		speak(true)
		if err := wait(ctx, settle); err != nil {
			return phase{}, err
		}
		r.world.gen.lateness()
		p, s, err := r.watch(ctx, r.opt.Load)
		if err != nil {
			return p, err
		}
		p.void = r.judgeScene(p, s, crowded)
		speak(false)
		if err := r.measureFloor(ctx); err != nil {
			return p, err
		}
		var agree bool
		if p.floor, agree = between(before, r.last); !agree && p.void == "" {
			p.void = "the floors before and after differ by more than a quarter"
		}
		r.say("%s: %.1f %% of a core, %.2f floors, machine %.0f %% %s", place(crowded), 100*p.core(), p.floors(), 100*p.machine, void(p))
		if p.void == "" || time.Until(r.deadline) < 4*(r.opt.Load+20*time.Second) {
			return p, r.world.shrink(ctx, 0)
		}
	}
}

func place(crowded bool) string {
	if crowded {
		return fmt.Sprintf("%d phones in one room, %d people speaking", roomPhones, crowdSpeakers)
	}
	return fmt.Sprintf("%d phones in %d silent rooms", roomPhones, roomPhones)
}

// floors is what a phase costs in units of the bare work of one call.
func (p phase) floors() float64 {
	return float64(p.cpu) / float64(p.length) * float64(20*time.Millisecond) / float64(p.floor.both())
}

// judgeScene says what is wrong.
func (r *run) judgeScene(p phase, d sums, crowded bool) string {
	late := percentile(r.world.gen.lateness(), 0.99)
	want := float64(p.calls) * 50 * p.length.Seconds()
	if late > maxLate {
		return fmt.Sprintf("the generator was %.1f ms late", late)
	}
	if share := float64(d.toPhone) / want; share < 0.99 || share > 1.01 || float64(d.holesDown) > maxHoles*want {
		return fmt.Sprintf("%.1f %% of the packets came to the phones, %d are missing", 100*share, d.holesDown)
	}
	for _, c := range r.world.gen.copies() {
		if why := c.judgeCrowd(crowded); why != "" {
			return fmt.Sprintf("call %d: %s", c.index, why)
		}
	}
	return ""
}

func (r *run) reportRoom(all [2][]phase) error {
	var cost [2]float64
	var text strings.Builder
	fmt.Fprintf(&text, "Measured %s.\n\n| | core | machine | floors of a call |\n|---|--:|--:|--:|\n", time.Now().UTC().Format(time.DateOnly))
	for i, list := range all {
		if len(list) == 0 {
			return fmt.Errorf("bench: no measurement of %s counts: this machine is too busy", place(i == 1))
		}
		var each []float64
		for _, p := range list {
			each = append(each, p.floors())
			fmt.Fprintf(&text, "| %s | %.1f %% | %.0f %% | %.2f |\n", place(i == 1), 100*p.core(), 100*p.machine, p.floors())
		}
		cost[i] = median(each)
	}
	fmt.Fprintf(&text, "| **the one in units of the other** (aim: 3) | | | **%.2f** |\n", cost[1]/cost[0])
	r.say("\n%s", text.String())
	if r.opt.Page != "" {
		if err := writePage(r.opt.Page, roomBegin, roomEnd, text.String()); err != nil {
			return err
		}
	}
	r.say("ROOM=%.2f", cost[1]/cost[0])
	return nil
}
