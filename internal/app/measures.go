package app

import (
	"log/slog"
	"slices"
	"sync"

	"jigasi/internal/admin"
	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/exchange"
)

// A histogram counts values by bounds. It is safe for concurrent use.
type histogram struct {
	mu     sync.Mutex
	bounds []float64
	counts []uint64 // at most each bound, not cumulative
	n      uint64
	sum    float64
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]uint64, len(bounds))}
}

func (h *histogram) observe(v float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i, _ := slices.BinarySearch(h.bounds, v); i < len(h.bounds) {
		h.counts[i]++
	}
	h.n++
	h.sum += v
}

func (h *histogram) sample(name, help string, labels ...admin.Label) admin.Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := admin.Sample{Name: name, Help: help, Kind: admin.Histogram, Labels: labels, Count: h.n, Sum: h.sum}
	below := uint64(0)
	for i, b := range h.bounds {
		below += h.counts[i]
		s.Buckets = append(s.Buckets, admin.Bucket{Bound: b, Count: below})
	}
	return s
}

// measures are of calls that have ended.
type measures struct {
	stages   map[string]*histogram // how long each stage of a call took to set up
	duration *histogram            // sound both ways
	jitter   *histogram            // of the phone's packets, at the end

	mu      sync.Mutex
	ended   map[ending]int64
	packets map[flow]int64
	lost    map[string]int64 // by leg
	dropped map[drop]int64
	oneWay  int64
}

type ending struct {
	account, direction, result string
	cause                      cause.Code
}

type flow struct{ leg, direction string }

type drop struct{ leg, reason string }

// droppedBy are the facts of a leg that are packets which were not taken, and why.
var droppedBy = map[string]string{"bad": "damaged", "foreign": "foreign", "dropped": "late", "late": "late"}

// reasons are what droppedBy leads to: two facts may have the same.
var reasons = []string{"damaged", "foreign", "late"}

func newMeasures() *measures {
	m := &measures{
		stages: map[string]*histogram{}, duration: newHistogram(10, 30, 60, 300, 900, 1800, 3600, 7200, 14400), jitter: newHistogram(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
		ended: map[ending]int64{}, packets: map[flow]int64{}, lost: map[string]int64{}, dropped: map[drop]int64{},
	}
	for _, stage := range stages {
		m.stages[stage] = newHistogram(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
	}
	return m
}

// stages are the parts of setting a call up: the meeting is joined, people let the phone in or come, both sides are
// connected.
var stages = []string{call.Joining.String(), call.Waiting.String(), call.Answering.String()}

// take takes what is known of a call at its end.
func (m *measures) take(d exchange.Detail) {
	for stage, took := range map[string]float64{stages[0]: d.Joining.Seconds(), stages[1]: d.Waiting.Seconds(), stages[2]: d.Answering.Seconds()} {
		if took > 0 {
			m.stages[stage].observe(took)
		}
	}
	e := ending{account: d.Account, direction: direction(d.Outgoing), result: "failed", cause: d.Cause.Code}
	phone, seat := numbers(d.Phone.Facts), numbers(d.Seat.Facts)
	if d.Talking > 0 {
		e.result = "talked"
		m.duration.observe(d.Talking.Seconds())
		if phone["received"] > 0 {
			m.jitter.observe(phone["jitter_ms"] / 1000)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[e]++
	for leg, f := range map[string]map[string]float64{"phone": phone, "meeting": seat} {
		m.packets[flow{leg, "in"}] += int64(f["received"])
		m.packets[flow{leg, "out"}] += int64(f["sent"])
		m.lost[leg] += int64(f["lost"])
		for fact, reason := range droppedBy {
			m.dropped[drop{leg, reason}] += int64(f[fact])
		}
	}
	if d.Talking > 0 && (phone["received"] == 0) != (phone["sent"] == 0) {
		m.oneWay++
	}
}

func direction(outgoing bool) string {
	if outgoing {
		return "out"
	}
	return "in"
}

// numbers are the facts of a leg that are numbers.
func numbers(facts []slog.Attr) map[string]float64 {
	out := map[string]float64{}
	for _, a := range facts {
		switch a.Value.Kind() {
		case slog.KindInt64:
			out[a.Key] = float64(a.Value.Int64())
		case slog.KindFloat64:
			out[a.Key] = a.Value.Float64()
		}
	}
	return out
}

func (m *measures) samples() []admin.Sample {
	out := []admin.Sample{
		m.duration.sample("jigasi_call_duration_seconds", "How long there was sound both ways, of calls that have ended."),
		m.jitter.sample("jigasi_rtp_jitter_seconds", "Jitter of what phones sent, of calls that have ended."),
		m.stages[stages[1]].sample("jigasi_lobby_wait_seconds", "How long calls waited for people: in a lobby, for a password, alone."),
	}
	for _, stage := range stages {
		out = append(out, m.stages[stage].sample("jigasi_call_setup_seconds", "How long a stage of setting a call up took.", label("stage", stage)))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out = append(out, count("jigasi_rtp_one_way_calls_total", "Calls that had sound in one direction only: look at NAT and firewalls.", m.oneWay))
	for e, n := range m.ended {
		out = append(out, count("jigasi_calls_total", "Calls that have ended.", n, label("account", e.account), label("direction", e.direction), label("result", e.result), label("cause", e.cause.String())))
	}
	for _, leg := range []string{"phone", "meeting"} {
		for _, way := range []string{"in", "out"} {
			out = append(out, count("jigasi_rtp_packets_total", "Packets of calls that have ended.", m.packets[flow{leg, way}], label("leg", leg), label("direction", way)))
		}
		for _, why := range reasons {
			out = append(out, count("jigasi_rtp_dropped_total", "Packets that were not taken, of calls that have ended, by reason.", m.dropped[drop{leg, why}], label("leg", leg), label("reason", why)))
		}
		out = append(out, count("jigasi_rtp_lost_total", "Packets that never came, of calls that have ended.", m.lost[leg], label("leg", leg)))
	}
	return out
}
