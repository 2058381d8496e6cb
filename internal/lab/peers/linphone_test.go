//go:build lab

package peers

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// linphone is a linphonec that runs, told what to do over its standard input.
type linphone struct {
	t    *testing.T
	in   io.WriteCloser
	dir  string
	hz   float64
	rate int // of the recording
	port int

	mu   sync.Mutex
	said []string
}

// startLinphone starts a phone that says a tone by a sound file and writes what it hears to another.
func startLinphone(t *testing.T, transport, codec, encryption string, hz float64) *linphone {
	t.Helper()
	l := &linphone{t: t, dir: t.TempDir(), hz: hz, rate: 8000}
	if codec == "opus" {
		l.rate = 48000
	}
	writeTone(t, filepath.Join(l.dir, "tone.wav"), hz, 8000, 1)
	port, media := freePorts(t, 1), freePorts(t, 2)
	l.port = port
	ports := map[string]int{"udp": -1, "tcp": -1, "tls": -1}
	ports[transport] = port
	conf := fill(t, l.dir, "linphonerc", map[string]string{
		"UDP": fmt.Sprint(ports["udp"]), "TCP": fmt.Sprint(ports["tcp"]), "ENCRYPTION": encryption, "MANDATORY": fmt.Sprint(b2i(encryption != "none")), "MEDIA": fmt.Sprint(media),
		"PCMU": fmt.Sprint(b2i(codec == "PCMU")), "PCMA": fmt.Sprint(b2i(codec == "PCMA")), "OPUS": fmt.Sprint(b2i(codec == "opus")),
	})
	for _, d := range []string{".local/share/linphone", ".config/linphone"} {
		if err := os.MkdirAll(filepath.Join(l.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(need(t, "linphonec"), "-c", conf)
	cmd.Env = append(os.Environ(), "HOME="+l.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if l.in, err = cmd.StdinPipe(); err != nil {
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
		for lines := bufio.NewScanner(out); lines.Scan(); {
			l.mu.Lock()
			l.said = append(l.said, lines.Text())
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_, _ = io.WriteString(l.in, "quit\n")
		late := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		<-read
		_ = cmd.Wait()
		late.Stop()
		if t.Failed() {
			t.Logf("linphonec said:\n%s", l.all())
		}
	})
	l.do("soundcard use files")
	l.do("play " + filepath.Join(l.dir, "tone.wav"))
	l.do("record " + filepath.Join(l.dir, "heard.wav"))
	return l
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// do gives a command.
func (l *linphone) do(line string) {
	l.t.Helper()
	if _, err := io.WriteString(l.in, line+"\n"); err != nil {
		l.t.Fatal(err)
	}
}

func (l *linphone) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.said, "\n")
}

// says waits until linphonec has said some words.
func (l *linphone) says(words string) {
	l.t.Helper()
	eventually(l.t, 20*time.Second, "linphonec says "+words, func() bool { return strings.Contains(l.all(), words) })
}

// hears is how loud a tone is in the last second of the recording, whose header is written when it ends.
func (l *linphone) hears(hz float64) float64 {
	b, err := os.ReadFile(filepath.Join(l.dir, "heard.wav"))
	if err != nil || len(b) < 44 {
		return -120
	}
	pcm := make([]int16, (len(b)-44)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[44+2*i:]))
	}
	return level(pcm, l.rate, hz)
}

// sayEachOther waits until linphone and the people hear each other, and checks that it does not hear itself.
func (l *linphone) sayEachOther(people []*bot.Bot) {
	l.t.Helper()
	for _, p := range people {
		eventually(l.t, 20*time.Second, "a person hears linphone", func() bool {
			_, ok := voice(p, l.hz)
			return ok
		})
	}
	// Where the machine is busy its recording has gaps, which take some of the level away.
	eventually(l.t, 30*time.Second, "linphone hears both", func() bool { return l.hears(620) > toneLevel-6 && l.hears(880) > toneLevel-6 })
	if l.t.Failed() {
		l.t.Logf("linphone hears 620 Hz at %.1f, 880 Hz at %.1f dBov", l.hears(620), l.hears(880))
	}
	eventually(l.t, 20*time.Second, "linphone does not hear itself", func() bool { return l.hears(l.hz) < toneLevel-25 })
}

// TestT58_Linphone: a phone of another make (belle-sip, mediastreamer) calls and is called, hears and is heard, is told keys
// and sends some, and holds.
func TestT58_Linphone(t *testing.T) {
	for _, c := range []struct{ transport, codec, encryption string }{{"udp", "PCMA", "none"}, {"tcp", "opus", "srtp"}} {
		t.Run(c.codec+" over "+c.transport, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(cfg *config.Config) {
				inAlpha(cfg)
				inBrewery(cfg)
				cfg.Meeting.Mute, cfg.Media.SRTP = true, "optional"
			})
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			l := startLinphone(t, c.transport, c.codec, c.encryption, 440)
			l.do("call " + g.target(c.transport, "room"))
			l.says("connected")
			l.sayEachOther(people)
			l.keys(people[0])
			l.holds(people[0], g.app.Calls()[0].Occupant.Resource)
			l.do("transfer sip:elsewhere@127.0.0.1")
			l.says("transfer")
			l.do("*6")
			eventually(t, 20*time.Second, "*6 mutes", func() bool { return loudest(people[0], 440) < -60 })
			l.do("*6")
			eventually(t, 20*time.Second, "*6 unmutes", hears(people[0], 440))
			l.do("terminate")
			ended(t, g)

			l.do("autoanswer enable")
			l.says("Auto answer enabled")
			reads(t, people[0], g.dial(t, fmt.Sprintf("sip:linphone@%s;transport=%s", addr(l.port), c.transport)), "Connected")
			people[0].Forget()
			l.sayEachOther(people)
			g.app.HangupAll()
			ended(t, g)
		})
	}
}

// keys has a person press some.
func (l *linphone) keys(p *bot.Bot) {
	l.t.Helper()
	for _, key := range "05#" {
		p.Press(key)
		l.says("Receiving tone " + string(key))
	}
}

// holds has linphone hold and resume the call.
func (l *linphone) holds(p *bot.Bot, nick string) {
	l.t.Helper()
	l.do("pause")
	reads(l.t, p, nick, "Remotely On Hold")
	eventually(l.t, 20*time.Second, "nothing is heard of linphone while it holds", func() bool {
		for _, v := range p.Hears() {
			if v.Owner == nick && v.Since < 300*time.Millisecond && v.Level() < 60 {
				return false
			}
		}
		return true
	})
	l.do("resume")
	reads(l.t, p, nick, "Connected")
	eventually(l.t, 20*time.Second, "linphone is heard again", hears(p, l.hz))
}
