// Package bench measures what the gateway costs, and judges it by what the work costs at least.
//
// The gateway is the program as it ships, alone on one processor. On the other are the phones, the
// bridge, the focus and the XMPP server of this package. In the gaps, with all silent, the bare codec
// and crypto work of the same packets is measured on the gateway's processor: the floor. Only the
// ratio to it means anything on a machine that others use as well. Packets are counted where they
// arrive, and do not count unless the right voice is heard in them.
//
// A Run owns all goroutines and processes that it starts, and ends them.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"jigasi/internal/codec"
)

// Options of a run.
type Options struct {
	Binary string        // the gateway
	CPU    int           // its processor, and the floor's; the caller is bound to another (Pin)
	Built  bool          // by Build: it is removed in the end
	Page   string        // to write the figures to; "" means none
	Calls  []int         // loads; nil means what fits the machine
	Load   time.Duration // length of a phase; 0 means 15 s
	Limit  time.Duration // of all; 0 means 7 min
	Out    io.Writer     // of progress and figures
}

// The parts of a phase.
const (
	floorLong  = 4 * time.Second
	settle     = 2 * time.Second
	calmDown   = 6 * time.Second // after many calls have begun at once: jitter buffers go back
	maxLate    = 3.0             // ms, of the generator, in 99 of 100 slots
	maxHoles   = 0.01            // of packets
	headroom   = 1.4             // what a call is expected to cost, in floors, to choose the loads
	silentLong = 5 * time.Second
)

// A run is one measurement.
type run struct {
	opt      Options
	dir      string
	deadline time.Time
	world    *world
	floor    *floor
	gateway  *gateway
	last     cost // the floor measured last

	phases  []phase
	floors  []cost
	memory  [][2]float64 // calls, KiB
	offsets [2]int       // of the codecs alone, samples at 8 kHz
	answers []float64    // ms from INVITE to 200
	sounds  [2][]float64 // ms from INVITE to the first sound at the bridge, at the phone
	idle    phase        // all calls silent
	threads int
	voided  int
}

// Run measures and prints. The last line is R.
func Run(ctx context.Context, o Options) error {
	return start(ctx, o, func(ctx context.Context, r *run) error {
		if err := r.all(ctx); err != nil {
			return err
		}
		return r.report()
	})
}

// start makes the world and the gateway, warms them up, measures a floor, and has measure do the rest.
func start(ctx context.Context, o Options, measure func(context.Context, *run) error) error {
	if !strings.Contains(codec.OpusBuild(), "libopus") {
		return errors.New("bench: build with -tags libopus: a floor of another codec would flatter the gateway")
	}
	if o.Load == 0 {
		o.Load = 15 * time.Second
	}
	if o.Limit == 0 {
		o.Limit = 7 * time.Minute
	}
	dir, err := os.MkdirTemp("", "jigasi-bench")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer remove(dir)
	if o.Built {
		defer remove(filepath.Dir(o.Binary))
	}
	runtime.GOMAXPROCS(4) // the floor has a thread on another processor
	r := &run{opt: o, dir: dir, deadline: time.Now().Add(o.Limit)}
	if err := r.open(); err != nil {
		return errors.Join(err, r.close())
	}
	if err = r.warm(ctx); err == nil {
		err = measure(ctx, r)
	}
	if closed := r.close(); err == nil || closed != nil && strings.Contains(closed.Error(), "by itself") {
		err = errors.Join(err, closed)
	}
	return err
}

// remove is of temporary files: the system removes what is left.
func remove(dir string) { _ = os.RemoveAll(dir) }

func (r *run) say(format string, a ...any) { fmt.Fprintf(r.opt.Out, format+"\n", a...) }

func (r *run) open() error {
	s, err := newSounds(voices)
	if err != nil {
		return err
	}
	if r.offsets[0], err = codecDelay(s.phoneProbe, true); err != nil {
		return err
	}
	if r.offsets[1], err = codecDelay(s.speakerProbe, false); err != nil {
		return err
	}
	if r.floor, err = newFloor(s, floorCalls); err != nil {
		return err
	}
	ip, err := machineIP()
	if err != nil {
		return err
	}
	if r.world, err = newWorld(s, ip); err != nil {
		return err
	}
	r.gateway, err = startGateway(r.opt.CPU, r.opt.Binary, r.dir, r.world.xmpp.Addr())
	return err
}

func (r *run) close() error {
	if r.world != nil {
		r.world.close()
	}
	if r.floor != nil {
		r.floor.close()
	}
	if r.gateway != nil {
		return r.gateway.stop()
	}
	return nil
}

// warm makes now what is made once.
func (r *run) warm(ctx context.Context) error {
	r.world.gen.talk(true)
	if err := r.world.grow(ctx, r.gateway.sip, 2); err != nil {
		return err
	}
	if err := r.world.shrink(ctx, 0); err != nil {
		return err
	}
	return r.measureFloor(ctx)
}

func (r *run) all(ctx context.Context) error {
	counts := r.opt.Calls
	if counts == nil {
		counts = loads(r.last, headroom)
	}
	r.say("loads: %v calls; opus: %s", counts, codec.OpusBuild())
	half := len(counts)
	for i, n := range schedule(counts) {
		if i >= half && time.Until(r.deadline) < r.opt.Load+20*time.Second {
			break
		}
		phases := 1
		if n == slices.Max(counts) { // what R is of: a phase may be off by a tenth
			phases = 3
		}
		if err := r.load(ctx, n, phases, i < half); err != nil {
			return err
		}
		if i == half-1 {
			if err := r.silence(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) measureFloor(ctx context.Context) error {
	r.world.gen.talk(false)
	if err := wait(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	c, err := r.floor.measure(ctx, r.opt.CPU, floorLong)
	if err != nil {
		return err
	}
	r.last = c
	r.floors = append(r.floors, c)
	r.say("  floor: %.1f us a call and 20 ms (%.1f to the bridge, %.1f to the phone)", us(c.both()), us(c.up), us(c.down))
	return nil
}

// load brings the calls to n and measures until so many phases count, or there is no more time.
func (r *run) load(ctx context.Context, n, phases int, up bool) error {
	r.world.gen.talk(true)
	if up {
		began := len(r.world.calls)
		if err := r.world.grow(ctx, r.gateway.sip, n); err != nil {
			return err
		}
		r.setups(began)
		if err := wait(ctx, calmDown); err != nil {
			return err
		}
	} else if err := r.world.shrink(ctx, n); err != nil {
		return err
	}
	for phases > 0 {
		p, err := r.phase(ctx)
		if err != nil {
			return err
		}
		if p.void == "" {
			phases--
		} else {
			r.voided++
		}
		if time.Until(r.deadline) < 2*r.opt.Load {
			break
		}
	}
	if up {
		kib, err := r.gateway.memory()
		if err != nil {
			return err
		}
		r.memory = append(r.memory, [2]float64{float64(n), float64(kib)})
	}
	return nil
}

// setups notes how long the calls from began on took.
func (r *run) setups(began int) {
	r.world.gen.do(func() {
		for _, c := range r.world.gen.calls[began:] {
			r.answers = append(r.answers, ms(c.answer))
			r.sounds[0] = append(r.sounds[0], ms(c.toBridge.first.Sub(c.began)))
			r.sounds[1] = append(r.sounds[1], ms(c.toPhone.first.Sub(c.began)))
		}
	})
}

// phase measures the calls that are there, all talking, and the floor after it.
func (r *run) phase(ctx context.Context) (phase, error) {
	before := r.last
	r.world.gen.talk(true)
	if err := wait(ctx, settle); err != nil {
		return phase{}, err
	}
	r.world.gen.lateness()
	p, s, err := r.watch(ctx, r.opt.Load)
	if err != nil {
		return p, err
	}
	late := percentile(r.world.gen.lateness(), 0.99)
	wrong := r.listen(&p, s)
	if err := r.measureFloor(ctx); err != nil {
		return p, err
	}
	var agree bool
	p.floor, agree = between(before, r.last)
	switch {
	case wrong != "":
		p.void = wrong
	case late > maxLate:
		p.void = fmt.Sprintf("the generator was %.1f ms late", late)
	case !agree:
		p.void = "the floors before and after differ by more than a quarter"
	}
	r.phases = append(r.phases, p)
	note := ""
	if p.void != "" {
		note = ", void: " + p.void
	}
	r.say("%d calls: R=%.2f, %.0f %% of a core, machine %.0f %%, latency p95 %.1f and %.1f ms%s",
		p.calls, p.ratio(), 100*p.core(), 100*p.machine, percentile(p.delays[0], 0.95), percentile(p.delays[1], 0.95), note)
	return p, r.world.failed()
}

// watch looks at the gateway and the wire for so long.
func (r *run) watch(ctx context.Context, long time.Duration) (phase, sums, error) {
	p := phase{calls: len(r.world.calls)}
	s0 := r.world.gen.sums()
	u0, err := r.gateway.usage()
	if err != nil {
		return p, sums{}, err
	}
	if err := wait(ctx, long); err != nil {
		return p, sums{}, err
	}
	s1 := r.world.gen.sums()
	u1, err := r.gateway.usage()
	if err != nil {
		return p, sums{}, err
	}
	p.length, p.cpu, p.switches = u1.at.Sub(u0.at), u1.cpu-u0.cpu, u1.switches-u0.switches
	p.machine = (u1.machine - u0.machine) / p.length.Seconds() / 2
	d := sums{
		phone: s1.phone - s0.phone, speaker: s1.speaker - s0.speaker, toPhone: s1.toPhone - s0.toPhone, toBridge: s1.toBridge - s0.toBridge,
		holesUp: s1.holesUp - s0.holesUp, holesDown: s1.holesDown - s0.holesDown,
	}
	p.up, p.down = d.toBridge, min(d.speaker, d.toPhone)
	r.threads = max(r.threads, r.gateway.threads())
	return p, d, nil
}

// silence measures the calls that are there, with nobody speaking.
func (r *run) silence(ctx context.Context, n int) error {
	var err error
	r.idle, _, err = r.watch(ctx, silentLong)
	if err == nil {
		r.say("%d silent calls: %.1f %% of a core", n, 100*r.idle.core())
	}
	return err
}

func us(d time.Duration) float64 { return float64(d) / 1e3 }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
