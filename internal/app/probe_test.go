package app_test

import (
	"net/http"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
)

// TestTestCalls: health is red until a test call was answered and heard, and red where nobody answers.
func TestTestCalls(t *testing.T) {
	t.Parallel()
	for status, good := range map[int]bool{200: true, 486: false} {
		uri, _, _ := phones(t, newHandsets(t, portRange(t)-12000, 200), status)
		m := start(t, lab.Options{}, func(c *config.Config) {
			c.Admin.Port = ports.Free(t)
			c.Health.SIPURI = uri
		})
		url := "http://" + m.app.AdminAddr() + "/about/health"
		if good {
			eventually(t, 20*time.Second, "health is good", func() bool { return rest(t, "GET", url, "", nil) == http.StatusOK })
			eventually(t, 20*time.Second, "nothing is left of the call", func() bool { return m.app.PortsInUse() == 0 })
			continue
		}
		var why struct{ Reason string }
		eventually(t, 20*time.Second, "health says why", func() bool {
			return rest(t, "GET", url, "", &why) == http.StatusInternalServerError && why.Reason != "no test call has been made yet"
		})
	}
}
