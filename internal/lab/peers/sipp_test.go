//go:build lab

package peers

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"jigasi/internal/config"
)

// sipp runs a scenario against the gateway and gives its output.
func sipp(t *testing.T, g *gateway, scenario string, args ...string) {
	t.Helper()
	base := []string{g.sip, "-sf", filepath.Join("testdata", scenario), "-i", "127.0.0.1", "-p", fmt.Sprint(freePorts(t, 1)), "-nostdin", "-timeout", "120s", "-timeout_error"}
	out, err := exec.Command(need(t, "sipp"), append(base, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("sipp %s: %v\n%s", scenario, err, out[max(0, len(out)-3000):])
	}
}

func TestT58_SippCalls(t *testing.T) {
	g := start(t, nil)
	g.Join("alpha", 620)
	g.Join("alpha", 880)
	sipp(t, g, "uac.xml", "-s", "room", "-m", "5", "-r", "5")
	sipp(t, g, "uac_late_offer.xml", "-s", "room", "-m", "2", "-r", "2")
	sipp(t, g, "uac_cancel.xml", "-s", "room", "-m", "3", "-r", "3")
	eventually(t, 5*time.Second, "no call is left", func() bool { return len(g.app.Calls()) == 0 })
}

func TestSippOverTCP(t *testing.T) {
	g := start(t, nil)
	g.Join("alpha", 620)
	g.Join("alpha", 880)
	g.sip = g.app.SIPAddrs()[1].String()
	sipp(t, g, "uac.xml", "-s", "room", "-m", "3", "-r", "3", "-t", "t1")
}

// left is what a process holds: goroutines, and files, which sockets are.
func left(t *testing.T) (goroutines, files int) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(open)
}

// ends tells by the metrics how many calls ended by each cause.
func ends(t *testing.T, g *gateway) map[string]int {
	t.Helper()
	res, err := http.Get("http://" + g.app.AdminAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	out := map[string]int{}
	for _, m := range regexp.MustCompile(`jigasi_calls_ended_total\{cause="(\w+)"\} (\d+)`).FindAllStringSubmatch(string(text), -1) {
		out[m[1]], _ = strconv.Atoi(m[2])
	}
	return out
}

// TestT50_ThousandCallsLeaveNothing: 1000 calls at 20 a second, none fails, nothing is left.
func TestT50_ThousandCallsLeaveNothing(t *testing.T) {
	g := start(t, func(cfg *config.Config) { cfg.Admin.Port = freePorts(t, 1) })
	g.Join("alpha", 620)
	g.Join("alpha", 880)
	sipp(t, g, "uac.xml", "-s", "room", "-m", "20", "-r", "20") // warm
	idle := func() bool { return len(g.app.Calls()) == 0 && g.app.PortsInUse() == 0 }
	eventually(t, 20*time.Second, "no call is left of the first", idle)
	time.Sleep(2 * time.Second)
	goroutines, files := left(t)
	sipp(t, g, "uac.xml", "-s", "room", "-m", "1000", "-r", "20", "-l", "200")
	eventually(t, 20*time.Second, "no call is left", idle)
	eventually(t, 45*time.Second, "goroutines and files are back where they were", func() bool {
		n, f := left(t)
		return n <= goroutines+2 && f <= files
	})
	if got := ends(t, g); got["normal"] != 1020 || len(got) != 1 {
		t.Errorf("the calls ended so: %v", got)
	}
	eventually(t, 5*time.Second, "the room is as it was", func() bool { return len(g.XMPP.Room("alpha").Nicks()) == 3 })
	n, f := left(t)
	t.Logf("goroutines before %d, after %d; files before %d, after %d", goroutines, n, files, f)
}
