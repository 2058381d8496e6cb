package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/sfu"
)

// oldStats are the fields of /about/stats, as the program before us had them.
var oldStats = strings.Fields(`conferences participants stress_level conference_sizes threads current_timestamp graceful_shutdown
	total_conferences_completed total_participants total_conference_seconds total_calls_with_dropped_media total_count_dropped_media
	total_calls_with_connection_failed total_calls_with_sip_call_waiting total_calls_with_sip_call_reconnected total_calls_with_jvb_migrate
	total_calls_jvb_no_media total_calls_no_heartbeat_response total_transcriber_g_requests total_transcriber_g_minutes
	total_transcriber_ggl_millis total_transcriber_oci_millis total_transcriber_wsp_millis total_transcriber_vsk_millis
	total_transcriber_started total_transcriber_stopped total_transcriber_failed total_transcriber_connection_errors
	total_transcriber_connection_retries total_transcriber_no_result_errors total_transcriber_send_errors total_transcriber_session_creation_errors`)

// oldGauges are those of them that are gauges in /metrics; two are not there at all.
var oldGauges = map[string]bool{
	"conferences": true, "participants": true, "stress_level": true, "threads": true, "graceful_shutdown": true, "total_transcriber_g_minutes": true,
	"total_transcriber_ggl_millis": true, "total_transcriber_oci_millis": true, "total_transcriber_wsp_millis": true, "total_transcriber_vsk_millis": true,
}

// ourMetrics are what operators ask for beside those, with the labels that say which.
var ourMetrics = []string{
	`jigasi_sip_requests_total{code="200",direction="in",method="INVITE"}`, `jigasi_calls_active{account="",direction="in"}`, `jigasi_calls_active{account="",direction="out"}`,
	`jigasi_calls_total{account="",cause="normal",direction="in",result="talked"}`, `jigasi_call_setup_seconds_bucket{stage="joining",le=`, `jigasi_call_setup_seconds_sum{stage="answering"}`,
	`jigasi_call_duration_seconds_count`, `jigasi_rtp_packets_total{direction="in",leg="phone"}`, `jigasi_rtp_packets_total{direction="out",leg="meeting"}`,
	`jigasi_rtp_lost_total{leg="phone"}`, `jigasi_rtp_jitter_seconds_bucket{le=`, `jigasi_rtp_one_way_calls_total`, `jigasi_lobby_wait_seconds_count`,
	`jigasi_xmpp_connected{brewery="one"} 1`, `jigasi_brewery_joined{brewery="one"} 1`, `jigasi_stress_level`, `jigasi_build_info{`, `jigasi_check_up{check="brewery"}`,
	`jigasi_panics_total`, `jigasi_calls`, `jigasi_rtp_ports_in_use`, `jigasi_clock_late_total`, `jigasi_overloaded`,
	`jigasi_sip_dropped_total{reason="malformed"}`, `go_goroutines`, `process_open_fds`,
}

func get(t *testing.T, url, accept string) (kind, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Header.Get("Content-Type"), string(b)
}

// stats are those of /about/stats.
func (m *meeting) stats(t *testing.T) map[string]any {
	t.Helper()
	_, body := get(t, "http://"+m.app.AdminAddr()+"/about/stats", "")
	var stats map[string]any
	if err := json.Unmarshal([]byte(body), &stats); err != nil {
		t.Fatal(err)
	}
	return stats
}

// TestFailedLoginsAreCounted: a call whose login fails is told so, and counted once.
func TestFailedLoginsAreCounted(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port = ports.Free(t)
		c.XMPP.Server = fmt.Sprintf("127.0.0.1:%d", ports.Free(t)) // nobody listens there
	})
	if p, why := m.tryCall(t, "alpha", 440, "PCMU"); p != nil || why.Status != 503 {
		t.Errorf("the call is answered, or ends by %v", why)
	}
	eventually(t, 15*time.Second, "it is counted", func() bool { return m.stats(t)["total_calls_with_connection_failed"] == 1. })
}

// TestStatisticsByName: after a call that was moved to another bridge, every name that monitoring relies on is there, in
// /about/stats, in both text forms of /metrics and in JSON, and what the call was counts.
func TestStatisticsByName(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port = ports.Free(t)
		withBrewery(c)
	})
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	p, heard := connected(t, m)
	b, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.Focus.Move("alpha", b)
	p.deaf()
	eventually(t, 30*time.Second, "everybody hears everybody again", heard)
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
	url, stats := "http://"+m.app.AdminAddr(), m.stats(t)
	for _, name := range oldStats {
		if _, ok := stats[name]; !ok {
			t.Errorf("/about/stats has no %s", name)
		}
	}
	if len(stats) != len(oldStats) {
		t.Errorf("/about/stats has %d fields, want %d", len(stats), len(oldStats))
	}
	for name, want := range map[string]float64{
		"total_conferences_completed": 1, "total_participants": 2, "total_calls_with_sip_call_waiting": 1, "total_calls_with_sip_call_reconnected": 1,
		"total_calls_jvb_no_media": 0, "total_count_dropped_media": 0,
	} {
		if stats[name] != want {
			t.Errorf("%s is %v, want %v", name, stats[name], want)
		}
	}
	_, open := get(t, url+"/metrics", "application/openmetrics-text")
	_, text := get(t, url+"/metrics", "text/plain")
	_, flat := get(t, url+"/metrics", "application/json")
	var values map[string]float64
	if err := json.Unmarshal([]byte(flat), &values); err != nil {
		t.Fatal(err)
	}
	for _, name := range oldStats {
		if name == "conference_sizes" || name == "current_timestamp" {
			continue
		}
		kind := "gauge"
		if !oldGauges[name] {
			kind, name = "counter", name+"_total"
		}
		if _, ok := values[name]; !ok {
			t.Errorf("/metrics in JSON has no %s", name)
		}
		if !strings.Contains(text, "# TYPE jitsi_jigasi_"+name+" "+kind+"\n") || !strings.Contains(text, "\njitsi_jigasi_"+name+" ") {
			t.Errorf("/metrics has no %s jitsi_jigasi_%s", kind, name)
		}
		if !strings.Contains(open, "\njitsi_jigasi_"+name+" ") {
			t.Errorf("/metrics as OpenMetrics has no jitsi_jigasi_%s", name)
		}
	}
	for _, name := range ourMetrics {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
