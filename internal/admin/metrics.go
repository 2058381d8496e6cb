package admin

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/xlog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// A Kind says how a Sample behaves.
type Kind uint8

// The kinds.
const (
	Gauge     Kind = iota // goes up and down
	Counter               // only grows; its name ends in _total
	Histogram             // Buckets and Sum
)

// A Sample is one value of one metric of our own, jigasi_... Units are base
// units, and stand at the end of the name. Labels have few values.
type Sample struct {
	Name, Help string
	Kind       Kind
	Labels     []Label
	Value      float64
	Buckets    []Bucket // ascending and cumulative, without infinity
	Count      uint64   // of all observations
	Sum        float64
}

// A Label is a dimension of a Sample.
type Label struct{ Name, Value string }

// A Bucket counts the observations up to a bound.
type Bucket struct {
	Bound float64
	Count uint64
}

// collector makes Prometheus metrics of what Options gives, at each scrape.
type collector struct {
	s       *Server
	started time.Time
}

func (s *Server) newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s, time.Now()}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe gives nothing: the metrics are what the sources give.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks the sources.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	if c.s.opt.Stats != nil {
		st := c.s.opt.Stats()
		for _, d := range definitions {
			s := Sample{Name: "jitsi_jigasi_" + d.name, Help: d.help, Value: d.get(&st)}
			if d.counter {
				s.Kind, s.Name = Counter, s.Name+"_total"
			}
			c.emit(ch, s)
		}
	}
	c.emit(ch, Sample{
		Name: "jigasi_build_info", Help: "What is running; always 1.", Value: 1,
		Labels: []Label{{"version", c.s.opt.Version}, {"build", c.s.opt.Build}},
	})
	for code, n := range c.s.answers.all() {
		c.emit(ch, Sample{
			Name: "jigasi_http_requests_total", Help: "Requests to this interface, by the status of their answer.", Kind: Counter, Value: float64(n),
			Labels: []Label{{"code", strconv.Itoa(code)}},
		})
	}
	for _, check := range c.s.opt.Checks {
		c.emit(ch, Sample{
			Name: "jigasi_check_up", Help: "Whether a dependency works.", Value: one(check.Err() == nil),
			Labels: []Label{{"check", check.Name}},
		})
	}
	for _, source := range c.s.opt.Metrics {
		for _, s := range source() {
			c.emit(ch, s)
		}
	}
}

// emit leaves a sample out that Prometheus would not take.
func (c collector) emit(ch chan<- prometheus.Metric, s Sample) {
	var names, values []string
	for _, l := range s.Labels {
		names, values = append(names, l.Name), append(values, strings.ToValidUTF8(l.Value, "?"))
	}
	desc := prometheus.NewDesc(s.Name, s.Help, names, nil)
	var m prometheus.Metric
	var err error
	switch s.Kind {
	case Counter:
		m, err = prometheus.NewConstMetricWithCreatedTimestamp(desc, prometheus.CounterValue, s.Value, c.started, values...)
	case Histogram:
		buckets := map[float64]uint64{}
		for _, b := range s.Buckets {
			buckets[b.Bound] = b.Count
		}
		m, err = prometheus.NewConstHistogram(desc, s.Count, s.Sum, buckets, values...)
	default:
		m, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, s.Value, values...)
	}
	if err != nil {
		c.s.log.Error("metric left out", "metric", s.Name, xlog.Err, err)
		return
	}
	ch <- m
}

const (
	openMetrics = "application/openmetrics-text"
	plainText   = "text/plain"
	jsonText    = "application/json"
)

// metrics serves the page in the form that is asked for.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	form := negotiate(r.Header.Get("Accept"))
	families, err := s.registry.Gather()
	if err != nil {
		s.log.Error("metrics are not complete", xlog.Err, err)
	}
	var page bytes.Buffer
	kind := ""
	switch form {
	case openMetrics:
		kind = openMetrics + "; version=1.0.0; charset=utf-8"
		for _, f := range families {
			_, err = expfmt.MetricFamilyToOpenMetrics(&page, f, expfmt.WithCreatedLines())
			s.incomplete(err)
		}
		_, err = expfmt.FinalizeOpenMetrics(&page)
		s.incomplete(err)
	case plainText:
		kind = plainText + "; version=0.0.4; charset=utf-8"
		for _, f := range families {
			_, err = expfmt.MetricFamilyToText(&page, f)
			s.incomplete(err)
		}
	case jsonText:
		kind = jsonText + ";charset=utf-8"
		s.incomplete(json.NewEncoder(&page).Encode(flat(families)))
	default:
		w.WriteHeader(http.StatusInternalServerError) // what Jigasi says
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	_, _ = w.Write(page.Bytes()) // the client has gone
}

func (s *Server) incomplete(err error) {
	if err != nil {
		s.log.Error("metrics are not complete", xlog.Err, err)
	}
}

// flat is the form that Jigasi has in JSON: its own metrics, without the prefix.
func flat(families []*dto.MetricFamily) map[string]float64 {
	out := map[string]float64{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "jitsi_jigasi_")
		if !ours || len(f.GetMetric()) == 0 {
			continue
		}
		m := f.GetMetric()[0]
		out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return out
}

// negotiate is the best form that Accept allows, "" for none; without Accept it
// is OpenMetrics.
func negotiate(accept string) string {
	if strings.TrimSpace(accept) == "" {
		return openMetrics
	}
	best, quality := "", 0.0
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if v, err := strconv.ParseFloat(params["q"], 64); err == nil {
			q = v
		}
		switch kind {
		case "*/*", "application/*":
			kind = openMetrics
		case "text/*":
			kind = plainText
		case openMetrics, plainText, jsonText:
		default:
			continue
		}
		if q > quality {
			best, quality = kind, q
		}
	}
	return best
}
