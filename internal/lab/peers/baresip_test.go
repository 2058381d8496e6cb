//go:build lab

package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/audio"
)

// softphone is how a baresip is set up.
type softphone struct {
	user      string // default phone
	domain    string // of its address; default 127.0.0.1
	transport string // udp (default), tcp, tls
	account   string // more account parameters, each with a semicolon before it
	codec     string // PCMU (default), PCMA, G722, opus
	srtp      string // "", srtp (optional), srtp-mand
	hz        float64
	ip        string // default 127.0.0.1
	ca        string // authorities of TLS
	cert      string // own certificate and key of TLS
	manual    bool   // rings until told; otherwise it answers by itself
	config    string // more lines of the configuration
}

// baresip is a running one, steered over its control connection.
type baresip struct {
	t    *testing.T
	opt  softphone
	dir  string
	port int // of SIP; TLS is the next

	mu      sync.Mutex
	ctl     net.Conn
	events  []baresipEvent
	answers map[string]chan baresipAnswer
	token   int
}

type baresipEvent struct {
	Type  string `json:"type"`
	Param string `json:"param"`
	Peer  string `json:"peeruri"`
}

type baresipAnswer struct {
	OK   bool   `json:"ok"`
	Data string `json:"data"`
}

// rateOf is the rate of the sound files that baresip wants for a codec, and how many channels.
func rateOf(codec string) (rate, channels int) {
	switch codec {
	case "G722":
		return 16000, 1
	case "opus":
		return 48000, 2
	}
	return 8000, 1
}

// toneLevel is how loud every phone and person of the tests is, in dBov.
const toneLevel = -20

// startBaresip starts a phone that says a tone by a sound file and writes what it hears to another.
func startBaresip(t *testing.T, o softphone) *baresip {
	t.Helper()
	need(t, "baresip")
	def := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	def(&o.user, "phone")
	def(&o.ip, "127.0.0.1")
	def(&o.domain, o.ip)
	def(&o.codec, "PCMU")
	def(&o.transport, "udp")
	b := &baresip{t: t, opt: o, dir: t.TempDir(), answers: map[string]chan baresipAnswer{}}
	rate, channels := rateOf(o.codec)
	writeTone(t, filepath.Join(b.dir, "tone.wav"), o.hz, rate, channels)
	host := o.domain
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	account := fmt.Sprintf("<sip:%s@%s;transport=%s>;audio_codecs=%s/%d/%d%s", o.user, host, o.transport, o.codec, rate, channels, o.account)
	if !strings.Contains(o.account, "regint") {
		account += ";regint=0"
	}
	if o.srtp != "" {
		account += ";mediaenc=" + o.srtp
	}
	if !o.manual {
		account += ";answermode=auto"
	}
	for name, text := range map[string]string{"accounts": account + "\n", "contacts": "\n"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.port = freePorts(t, 2)
	ctl, low := freePorts(t, 1), freePorts(t, 20)
	listen := net.JoinHostPort(o.ip, strconv.Itoa(b.port))
	more := o.config
	if o.ca != "" {
		more += "sip_cafile " + o.ca + "\n"
	}
	if o.cert != "" {
		more += "sip_certificate " + o.cert + "\n"
	}
	fill(t, b.dir, "baresip.config", map[string]string{
		"LISTEN": listen, "NET": o.ip, "DIR": b.dir, "CONTROL": "127.0.0.1:" + strconv.Itoa(ctl), "RTP": fmt.Sprintf("%d-%d", low, low+19), "MORE": more,
	})
	if err := os.Rename(filepath.Join(b.dir, "baresip.config"), filepath.Join(b.dir, "config")); err != nil {
		t.Fatal(err)
	}
	child(t, "baresip", "-f", b.dir)
	b.control("127.0.0.1:" + strconv.Itoa(ctl))
	return b
}

// writeTone writes a minute and a half of a tone.
func writeTone(t *testing.T, file string, hz float64, rate, channels int) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := make([]int16, 90*rate)
	if hz > 0 {
		audio.NewTone(hz, rate, toneLevel).Fill(one)
	}
	pcm := make([]int16, 0, channels*len(one))
	for _, v := range one {
		for range channels {
			pcm = append(pcm, v)
		}
	}
	if err := audio.WriteWAV(f, pcm, rate); err != nil {
		t.Fatal(err)
	}
	if channels == 2 { // the header of two channels: their number, bytes a second and a frame
		head := []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0}
		for i := range 4 {
			head[2+i] = byte(rate >> (8 * i))
			head[6+i] = byte(4 * rate >> (8 * i))
		}
		if _, err := f.WriteAt(head, 22); err != nil {
			t.Fatal(err)
		}
	}
}

// control opens the control connection, when baresip has started.
func (b *baresip) control(addr string) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			b.ctl = c
			break
		}
		if time.Now().After(end) {
			b.t.Fatalf("baresip does not start: %v", err)
		}
	}
	done := make(chan struct{})
	b.t.Cleanup(func() {
		// It hangs up before it ends, and closes the connection when it has.
		_, _ = fmt.Fprint(b.ctl, `32:{"command":"quit","token":"end"},`)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			b.t.Error("baresip does not end when told to")
		}
		b.ctl.Close()
		<-done
	})
	go func() {
		defer close(done)
		b.listen(bufio.NewReader(b.ctl))
	}()
}

// listen reads netstrings of JSON: events, and answers to commands.
func (b *baresip) listen(r *bufio.Reader) {
	for {
		size, err := r.ReadString(':')
		n, bad := strconv.Atoi(strings.TrimSuffix(size, ":"))
		if err != nil || bad != nil {
			return
		}
		raw := make([]byte, n+1)
		if _, err := io.ReadFull(r, raw); err != nil {
			return
		}
		var m struct {
			Response bool   `json:"response"`
			Token    string `json:"token"`
			baresipEvent
			baresipAnswer
		}
		if json.Unmarshal(raw[:n], &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.Response {
			if c := b.answers[m.Token]; c != nil {
				c <- m.baresipAnswer
			}
		} else {
			b.events = append(b.events, m.baresipEvent)
		}
		b.mu.Unlock()
	}
}

// do gives a command and waits for its answer.
func (b *baresip) do(command, params string) string {
	b.t.Helper()
	b.mu.Lock()
	b.token++
	token := strconv.Itoa(b.token)
	c := make(chan baresipAnswer, 1)
	b.answers[token] = c
	b.mu.Unlock()
	raw, err := json.Marshal(map[string]string{"command": command, "params": params, "token": token})
	if err == nil {
		_, err = fmt.Fprintf(b.ctl, "%d:%s,", len(raw), raw)
	}
	if err != nil {
		b.t.Fatalf("baresip %s: %v", command, err)
	}
	select {
	case a := <-c:
		return a.Data
	case <-time.After(20 * time.Second):
		b.t.Fatalf("baresip does not answer to %s", command)
		return ""
	}
}

// uri is where the phone is called.
func (b *baresip) uri() string {
	port := b.port
	if b.opt.transport == "tls" {
		port++
	}
	return "sip:" + b.opt.user + "@" + net.JoinHostPort(b.opt.ip, strconv.Itoa(port)) + ";transport=" + b.opt.transport
}

// saw gives the parameter of the last event of a type.
func (b *baresip) saw(kind string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.events) - 1; i >= 0; i-- {
		if b.events[i].Type == kind {
			return b.events[i].Param, true
		}
	}
	return "", false
}

// await waits for an event of a type and gives its parameter.
func (b *baresip) await(kind string) string {
	b.t.Helper()
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if param, ok := b.saw(kind); ok {
			return param
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("baresip never told %s; it told %v", kind, b.events)
	return ""
}

// call dials the gateway and waits until it has answered.
func (b *baresip) call(g *gateway) {
	b.t.Helper()
	b.do("dial", g.target(b.opt.transport, "room"))
	b.await("CALL_ESTABLISHED")
}

// heard is what the phone has decoded so far, of its latest call, and the rate.
func (b *baresip) heard() ([]int16, int) {
	files, _ := filepath.Glob(filepath.Join(b.dir, "dump-*dec.wav")) // the pattern is a good one
	if len(files) == 0 {
		return nil, 8000
	}
	return readWAV(files[len(files)-1])
}

// forget forgets the events so far.
func (b *baresip) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = nil
}
