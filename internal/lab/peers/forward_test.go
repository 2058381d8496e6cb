//go:build lab

package peers

import (
	"testing"
	"time"

	"jigasi/internal/config"
)

// TestT58_BaresipIsForwarded: a phone that plays the stream that came last hears one speaker after the other unmixed, each under
// an SSRC of his own, and is heard.
func TestT58_BaresipIsForwarded(t *testing.T) {
	t.Parallel()
	for _, srtp := range []string{"", "srtp-mand"} {
		t.Run("srtp "+srtp, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(cfg *config.Config) {
				inAlpha(cfg)
				cfg.Media.SRTP = "optional"
				cfg.SIP.Accounts = append(cfg.SIP.Accounts, config.SIPAccount{ID: "ivr", URI: "ivr@127.0.0.1", Forward: true})
			})
			one, two := g.Join("alpha", 620), g.Join("alpha", 880)
			two.Hush(true)
			b := startBaresip(t, softphone{codec: "opus", srtp: srtp, hz: 440})
			b.do("dial", g.target("udp", "ivr"))
			b.await("CALL_ESTABLISHED")
			eventually(t, 20*time.Second, "the phone hears who speaks", func() bool { return plays(b, 620) && !plays(b, 880) })
			eventually(t, 20*time.Second, "both hear the phone", func() bool { return hears(one, 440)() && hears(two, 440)() })
			one.Hush(true)
			two.Hush(false)
			eventually(t, 20*time.Second, "the phone hears who speaks now", func() bool { return plays(b, 880) && !plays(b, 620) })
			b.do("hangup", "")
			eventually(t, 20*time.Second, "the call is over", func() bool { return len(g.app.Calls()) == 0 })
			forwarded := int64(0)
			for _, c := range g.app.Exchange().Ended() {
				d, _ := g.app.Exchange().Detail(c.ID)
				for _, f := range d.Phone.Facts {
					if f.Key == "forwarded" {
						forwarded = f.Value.Int64()
					}
				}
			}
			if forwarded < 50 {
				t.Errorf("%d packets were forwarded", forwarded)
			}
		})
	}
}

// plays reports whether a phone plays a tone.
func plays(b *baresip, hz float64) bool {
	pcm, rate := b.heard()
	return near(level(pcm, rate, hz))
}
