//go:build lab

package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/lab/phone"
)

// cache is where install.sh unpacks what the browser needs.
const cache = "../../../.cache/lab"

// browser is a person in a real Chromium with lib-jitsi-meet.
type browser struct {
	stdin io.WriteCloser

	mu    sync.Mutex
	state browserState
	line  []byte // the same, as it was told
	said  bytes.Buffer
}

// browserState is what the page tells.
type browserState struct {
	Joined, Left, Leads, Moderated bool
	Failed, Recording, Ended       string
	People                         map[string]browserPerson
	Waiting                        map[string]string // in the lobby: name by id
	Allowed                        []string          // to unmute: ids
	Rooms                          map[string]browserRoom
}

type browserPerson struct {
	Name, Status, JID string
	Muted, Hand       bool
	Tones             map[string]float64 // by Hz, in dBov
}

// browserRoom is a breakout room, or the main room beside them.
type browserRoom struct {
	Name, JID    string
	IsMainRoom   bool
	Participants map[string]struct{ JID string }
}

// site serves the page.
func site(t *testing.T) string {
	t.Helper()
	return serve(t, map[string]string{
		"/": "testdata/browser.html", "/jquery.js": cache + "/jquery/package/dist/jquery.min.js",
		"/lib-jitsi-meet.js": cache + "/lib-jitsi-meet/package/lib-jitsi-meet.min.js",
	})
}

// serve serves files by their paths.
func serve(t *testing.T, files map[string]string) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, file := range files {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: run make lab-install", err)
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// browse has a person in Chromium join, saying hz, and listening for tones.
func browse(t *testing.T, service, room string, hz float64, tones ...float64) *browser {
	t.Helper()
	return browseAt(t, site(t), service, room, hz, tones...)
}

// browseAt opens a page, which joins at a service.
func browseAt(t *testing.T, page, service, room string, hz float64, tones ...float64) *browser {
	t.Helper()
	var wav bytes.Buffer
	pcm := make([]int16, 10*48000)
	audio.NewTone(hz, 48000, -20).Fill(pcm)
	if err := audio.WriteWAV(&wav, pcm, 48000); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "says.wav")
	if err := os.WriteFile(file, wav.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return browseSaying(t, page, service, room, file, tones...)
}

// browseSaying opens a page, which joins at a service and says a WAV file again and again.
func browseSaying(t *testing.T, page, service, room, file string, tones ...float64) *browser {
	t.Helper()
	playwright, err := filepath.Abs(cache + "/playwright-core/package/index.mjs")
	if err != nil {
		t.Fatal(err)
	}
	arg, err := json.Marshal(map[string]any{
		"playwright": playwright, "chromium": need(t, "chromium"), "page": page, "service": service, "room": room, "wav": file, "tones": tones,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{}
	cmd := exec.Command(need(t, "node"), "testdata/browser.mjs", string(arg))
	cmd.Stderr = (*sayings)(b)
	if b.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var s browserState
			if json.Unmarshal(lines.Bytes(), &s) == nil {
				b.mu.Lock()
				b.state, b.line = s, bytes.Clone(lines.Bytes())
				b.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = b.stdin.Close() // which closes the browser
		late := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		<-read
		_ = cmd.Wait()
		late.Stop()
		if t.Failed() {
			t.Logf("the browser's last state: %+v\nand said:\n%s", b.now(), b.said.String())
		}
	})
	return b
}

// sayings collects what the page logs.
type sayings browser

func (s *sayings) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said.Len() < 64<<10 {
		s.said.Write(p)
	}
	return len(p), nil
}

// run has the page run a line of script.
func (b *browser) run(t *testing.T, script string) {
	t.Helper()
	if _, err := io.WriteString(b.stdin, script+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (b *browser) now() browserState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// TestChromiumAndAPhoneHearEachOther: a person in a browser, one of the lab and a phone in one
// room; each hears exactly the others, the browser sees the phone, and leaves it alone in peace.
func TestChromiumAndAPhoneHearEachOther(t *testing.T) {
	m := meet(t, "")
	c := m.join(t, "alpha", 620)
	b := browse(t, "ws://"+addr(m.ports["HTTP"])+"/xmpp-websocket", "alpha", 1000, 440, 620, 1000)
	eventually(t, 60*time.Second, "the browser joins", func() bool { return b.now().Joined })
	eventually(t, 30*time.Second, "the browser is heard", func() bool { return hears(c.Bot, 1000)() })
	g := gatewayAt(t, m, nil)
	p := phoneIn(t, g, "alpha", 440)
	eventually(t, 30*time.Second, "the phone hears the browser and the person", func() bool { return p.Tone(1000) > -26 && p.Tone(620) > -26 })
	seat := occupant(t, g).Resource
	eventually(t, 30*time.Second, "the browser hears the phone, and the person", func() bool {
		s := b.now()
		return s.People[seat].Tones["440"] > -26 && s.People[c.Nick()].Tones["620"] > -26
	})
	eventually(t, 10*time.Second, "the browser shows the phone's name and status", func() bool {
		s := b.now().People[seat]
		return s.Name == "Phone" && s.Status == "Connected"
	})
	eventually(t, 10*time.Second, "the browser hears nobody but who speaks", func() bool {
		s := b.now()
		return len(s.People) == 2 && s.People[seat].Tones["620"] < -45 && s.People[seat].Tones["1000"] < -45 && s.Failed == ""
	})
	eventually(t, 10*time.Second, "the phone does not hear itself", func() bool { return p.Tone(440) < -45 })
	b.run(t, "lab.keys('12#')")
	eventually(t, 20*time.Second, "the keys pressed in the browser reach the phone", func() bool { return p.Digits() == "12#" })
	second := phoneIn(t, g, "alpha", 500)
	eventually(t, 30*time.Second, "the browser sees another phone", func() bool { return len(b.now().People) == 3 })
	hangup(t, second)
	eventually(t, 20*time.Second, "the browser sees it go", func() bool { return len(b.now().People) == 2 })
	b.run(t, "lab.leave()")
	eventually(t, 20*time.Second, "the browser is gone, and the phone hears the other", func() bool {
		return b.now().Left && p.Tone(1000) < -60 && p.Tone(620) > -26 && hears(c.Bot, 440)()
	})
	hangup(t, p)
	gone(t, g, p)
}

// TestChromiumHasAPhoneCalled: a moderator in a browser has a number called, hears it, and mutes it.
func TestChromiumHasAPhoneCalled(t *testing.T) {
	m := meet(t, "")
	g := gatewayAt(t, m, func(c *config.Config) {
		c.Meeting.Mute = true
		brewing(c)
	})
	l := line(t, phone.Options{Tone: 440, Log: logger()})
	b := browse(t, "ws://"+addr(m.ports["HTTP"])+"/xmpp-websocket", "alpha", 1000, 440)
	eventually(t, 60*time.Second, "the browser joins", func() bool { return b.now().Joined })
	brewed(t, m, g)
	b.run(t, "lab.dial("+strconv.Quote(l.URI())+")")
	var p *phone.Phone
	select {
	case p = <-l.Calls():
	case <-time.After(30 * time.Second):
		t.Fatal("nobody is called")
	}
	eventually(t, 30*time.Second, "they hear each other", func() bool {
		if len(g.Calls()) != 1 {
			return false
		}
		seen := b.now().People[occupant(t, g).Resource]
		return seen.Tones["440"] > -26 && seen.Status == "Connected" && !seen.Muted && p.Tone(1000) > -26
	})
	at := occupant(t, g).Resource
	b.run(t, "lab.mute("+strconv.Quote(at)+")")
	eventually(t, 20*time.Second, "the browser sees the phone muted, and hears it no more", func() bool {
		seen := b.now().People[at]
		return seen.Muted && seen.Tones["440"] < -60 && p.Tone(1000) > -26
	})
	hangup(t, p)
	gone(t, g, p)
	eventually(t, 20*time.Second, "the browser is alone", func() bool { return len(b.now().People) == 0 && b.now().Failed == "" })
}
