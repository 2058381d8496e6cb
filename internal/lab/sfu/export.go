package sfu

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/rtp"
)

// An Export is the bridge's own feed of a conference to a transcriber, as a real bridge was seen to send it: keys
// twice, numbers as strings, what was said while the socket opened as a burst, no message when a source ends.
type Export struct {
	out  chan string
	end  chan struct{}
	done chan struct{}
	once sync.Once

	mu      sync.Mutex
	n       int // messages with a number
	sources map[uint32]*exported
	results []Result
	pongs   int
	err     error
}

type exported struct {
	tag    string
	offset int64
	first  uint32 // timestamp
}

// A Result is what a transcriber sends back.
type Result struct {
	Event, Type string
	Interim     bool                    `json:"is_interim"`
	Participant struct{ ID string }     `json:"participant"`
	Transcript  []struct{ Text string } `json:"transcript"`
}

const opusType = 111

// Export begins to send a conference to a URL, until Close.
func (b *Bridge) Export(conference, url string, header http.Header) *Export {
	x := &Export{out: make(chan string, 2000), end: make(chan struct{}), done: make(chan struct{}), sources: map[uint32]*exported{}}
	b.mu.Lock()
	if b.exports == nil {
		b.exports = map[string]*Export{}
	}
	b.exports[conference] = x
	b.mu.Unlock()
	go x.run(url, header)
	return x
}

// Results are what has come back so far.
func (x *Export) Results() []Result {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]Result(nil), x.results...)
}

// Close ends the session as a bridge does, and says what went wrong before, a ping without its pong for one.
func (x *Export) Close() error {
	x.once.Do(func() { close(x.end) })
	<-x.done
	return x.err
}

// packet takes what somebody says.
func (x *Export) packet(endpoint string, plain []byte) {
	var p rtp.Packet
	if p.Unmarshal(plain) != nil || p.PayloadType != opusType {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.sources[p.SSRC]
	if s == nil {
		s = &exported{tag: endpoint + "-a0", offset: int64(340 + 14000*len(x.sources)), first: p.Timestamp}
		x.sources[p.SSRC] = s
		x.n++
		x.say(fmt.Sprintf(`{"event":"start","sequenceNumber":"%d","start":{"tag":%q,"mediaFormat":{"encoding":"opus","sampleRate":48000,"channels":2,"parameters":{"useinbandfec":"1","minptime":"10"}},"customParameters":{"endpointId":%q}},"event":"start"}`, x.n, s.tag, endpoint))
	}
	x.n++
	at := s.offset + int64(p.Timestamp-s.first)
	x.say(fmt.Sprintf(`{"event":"media","sequenceNumber":"%d","media":{"tag":%q,"chunk":"%d","timestamp":"%d","payload":%q,"audioLevel":20,"vad":true},"event":"media"}`,
		x.n, s.tag, p.SequenceNumber, at, base64.StdEncoding.EncodeToString(p.Payload)))
}

func (x *Export) say(text string) {
	select {
	case x.out <- text:
	default: // nobody takes it
	}
}

func (x *Export) run(url string, header http.Header) {
	defer close(x.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		x.err = err
		return
	}
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { _ = c.CloseNow() }()
	reader.Go(func() { x.read(ctx, c) })
	send := func(text string) {
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil && x.err == nil {
			x.err = err
		}
	}
	send(`{"event":"info","application":"jitsi-videobridge","version":"2.3.SNAPSHOT"}`)
	ping := time.NewTicker(time.Second)
	defer ping.Stop()
	for id := 0; x.err == nil; {
		select {
		case text := <-x.out:
			send(text)
		case <-ping.C:
			x.mu.Lock()
			missing := id - x.pongs
			x.mu.Unlock()
			if missing > 3 {
				x.err = fmt.Errorf("%d pings without a pong", missing)
			}
			id++
			send(fmt.Sprintf(`{"event":"ping","id":%d,"event":"ping"}`, id))
		case <-x.end:
			send(`{"event":"SessionEndEvent","event":"session-end"}`)
			_ = c.Close(websocket.StatusGoingAway, "")
			return
		}
	}
}

func (x *Export) read(ctx context.Context, c *websocket.Conn) {
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			return
		}
		var r Result
		if json.Unmarshal(text, &r) != nil {
			continue
		}
		x.mu.Lock()
		switch r.Event {
		case "pong":
			x.pongs++
		case "transcription-result":
			x.results = append(x.results, r)
		}
		x.mu.Unlock()
	}
}
