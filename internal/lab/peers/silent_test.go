//go:build lab

package peers

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// droppedMedia is how often a phone fell silent, as the statistics have it.
func droppedMedia(t *testing.T, g *gateway) float64 {
	t.Helper()
	res, err := http.Get("http://" + g.app.AdminAddr() + "/about/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var stats map[string]any
	if err := json.Unmarshal(b, &stats); err != nil {
		t.Fatal(err)
	}
	return stats["total_count_dropped_media"].(float64)
}

// TestSippFallsSilent: sipp stops its sound, of which it sends no reports either, and goes on signalling. It is hung up with the
// reason that Jigasi gave, where that is wanted; else the call stays up, and the sound that comes again is heard.
func TestSippFallsSilent(t *testing.T) {
	const stop = `<nop><action><exec rtp_stream="pause"/></action></nop>`
	sound := encoded(t, "PCMU", 440)
	silent := func(t *testing.T, hangup bool) (*gateway, *bot.Bot) {
		g := start(t, func(cfg *config.Config) {
			cfg.Media.Silence, cfg.Media.HangSilent, cfg.Admin.Port = 3*time.Second, hangup, freePorts(t, 1)
		})
		p := g.Join("alpha", 620)
		g.Join("alpha", 880)
		return g, p
	}
	t.Run("and is hung up", func(t *testing.T) {
		t.Parallel()
		g, p := silent(t, true)
		run := newScene("alpha").up().says(sound, 0, "PCMU/8000").pause(4000).raw(stop).
			recv(`request="BYE" rrs="true" timeout="30000"`, "Reason: SIP;cause=408;text=.Stopped receiving media.").reply("200 OK", "").begin(t, g)
		eventually(t, 20*time.Second, "the person hears sipp", hears(p, 440))
		run.finish(t)
		ended(t, g)
		if n := droppedMedia(t, g); n != 1 {
			t.Errorf("counted %v times", n)
		}
	})
	t.Run("and stays up", func(t *testing.T) {
		t.Parallel()
		g, p := silent(t, false)
		run := newScene("alpha").up().says(sound, 0, "PCMU/8000").pause(4000).raw(stop).pause(8000).
			raw(`<nop><action><exec rtp_stream="resume"/></action></nop>`).asked("BYE", "200 OK").begin(t, g)
		eventually(t, 20*time.Second, "the person hears sipp", hears(p, 440))
		eventually(t, 20*time.Second, "the silence is counted", func() bool { return droppedMedia(t, g) == 1 && !hears(p, 440)() })
		eventually(t, 20*time.Second, "the person hears sipp again", hears(p, 440))
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
}
