package xmpp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"jigasi/internal/stanza"
)

const (
	nsBody  = "http://jabber.org/protocol/httpbind"
	nsXBOSH = "urn:xmpp:xbosh"

	boshWait    = 60 * time.Second // how long the server may hold a request
	boshFlights = 2                // requests under way; the server holds one of them
	boshBatch   = 64               // stanzas in one request
	boshTries   = 2                // of one request whose connection fails
)

// boshStream is XEP-0124 and 0206: stanzas in the bodies of HTTP requests and
// answers. Its loop owns the session; each request under way has a goroutine.
type boshStream struct {
	url    string
	lim    stanza.Limits
	secure bool
	http   *http.Client

	ctx     context.Context
	cancel  context.CancelFunc
	stopped chan struct{} // closed when the loop and its requests are gone

	opens  chan string // domain of a stream to start, or to restart
	out    chan []byte
	ending chan struct{} // closed by end
	once   sync.Once
	in     chan inbound // closed by the loop, after err is set
	err    error

	// The loop's own.
	rid     uint64
	sid     string
	flights []chan flight // oldest first: answers count in this order
	posting sync.WaitGroup
}

// A flight is what came of one request.
type flight struct {
	body []byte
	err  error
}

func newBOSH(o *Options) (stream, error) {
	client, secure, err := webClient(o, "https", "http")
	if err != nil {
		return nil, err
	}
	b := &boshStream{
		url: o.URL, lim: o.Limits, secure: secure, http: client,
		stopped: make(chan struct{}), ending: make(chan struct{}),
		opens: make(chan string), out: make(chan []byte, boshBatch), in: make(chan inbound, boshBatch),
		rid: rand.Uint64N(1 << 50), // stays below 2^53 for any session (XEP-0124, 14.2)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	go b.loop()
	return b, nil
}

func (b *boshStream) encrypted() bool { return b.secure }

func (b *boshStream) open(domain string) error {
	select {
	case b.opens <- domain:
		return nil
	case <-b.stopped:
		return b.err
	}
}

func (b *boshStream) read() (*stanza.Elem, int, error) {
	got, ok := <-b.in
	if !ok {
		return nil, 0, b.err
	}
	return got.e, got.size, got.err
}

func (b *boshStream) write(p []byte) error {
	late := time.NewTimer(writeLimit)
	defer late.Stop()
	select {
	case b.out <- p:
		return nil
	case <-b.stopped:
		return b.err
	case <-late.C:
		return fmt.Errorf("%w: BOSH", ErrSlow)
	}
}

func (b *boshStream) appendTo(p []byte, e *stanza.Elem) []byte { return appendAlone(p, e) }

func (b *boshStream) end(ctx context.Context) error {
	b.once.Do(func() { close(b.ending) })
	select {
	case <-b.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *boshStream) drop() {
	b.cancel()
	<-b.stopped
}

// loop keeps one request waiting at the server, and a second for what is to be said.
func (b *boshStream) loop() {
	defer close(b.stopped)
	defer close(b.in)
	b.err = b.run()
	b.cancel()
	b.posting.Wait()
	b.http.CloseIdleConnections()
}

func (b *boshStream) run() error {
	for {
		if len(b.flights) == 0 && b.sid != "" {
			b.post("", nil)
		}
		var out <-chan []byte
		var opens <-chan string
		var landed <-chan flight
		if len(b.flights) < boshFlights {
			out, opens = b.out, b.opens
		}
		if len(b.flights) > 0 {
			landed = b.flights[0]
		}
		select {
		case domain := <-opens:
			b.start(domain)
		case p := <-out:
			b.post("", b.batch(p))
		case f := <-landed:
			b.flights = b.flights[1:]
			if err := b.land(f); err != nil {
				return err
			}
		case <-b.ending:
			return b.terminate()
		case <-b.ctx.Done():
			return ErrClosed
		}
	}
}

// batch adds what else waits.
func (b *boshStream) batch(p []byte) []byte {
	for range boshBatch {
		select {
		case more := <-b.out:
			p = append(p, more...)
			continue
		default:
		}
		break
	}
	return p
}

func (b *boshStream) start(domain string) {
	to := stanza.New("", "x", "to", domain).String()
	attrs := to[len("<x") : len(to)-len("/>")]
	if b.sid != "" {
		b.post(attrs+" xml:lang='en' xmpp:restart='true' xmlns:xmpp='"+nsXBOSH+"'", nil)
		return
	}
	b.post(attrs+" wait='"+strconv.Itoa(int(boshWait/time.Second))+"' hold='1' ver='1.6' content='text/xml; charset=utf-8'"+
		" xml:lang='en' xmpp:version='1.0' xmlns:xmpp='"+nsXBOSH+"'", nil)
}

// terminate says the last words and waits for the answer.
func (b *boshStream) terminate() error {
	select {
	case p := <-b.out:
		b.post(" type='terminate'", b.batch(p))
	default:
		b.post(" type='terminate'", nil)
	}
	for len(b.flights) > 0 {
		select {
		case f := <-b.flights[0]:
			b.flights = b.flights[1:]
			if err := b.land(f); err != nil {
				return err
			}
		case <-b.ctx.Done():
			return ErrClosed
		}
	}
	return io.EOF
}

// post sends a <body/> on a goroutine of its own.
func (b *boshStream) post(attrs string, payload []byte) {
	b.rid++
	var body bytes.Buffer
	body.WriteString("<body xmlns='" + nsBody + "' rid='" + strconv.FormatUint(b.rid, 10) + "'")
	if b.sid != "" {
		sid := stanza.New("", "x", "sid", b.sid).String()
		body.WriteString(sid[len("<x") : len(sid)-len("/>")])
	}
	body.WriteString(attrs)
	if len(payload) == 0 {
		body.WriteString("/>")
	} else {
		body.WriteByte('>')
		body.Write(payload)
		body.WriteString("</body>")
	}
	done := make(chan flight, 1)
	b.flights = append(b.flights, done)
	b.posting.Go(func() { done <- b.fly(body.Bytes()) })
}

// fly sends one request; a server takes one with a rid that it knows for the same.
func (b *boshStream) fly(body []byte) (f flight) {
	for range boshTries {
		if f = b.request(body); f.err == nil || b.ctx.Err() != nil {
			return f
		}
		if _, final := errors.AsType[httpError](f.err); final {
			return f
		}
	}
	return f
}

// An httpError is a status that ends the session (XEP-0124, 17.1).
type httpError struct{ status int }

func (e httpError) Error() string { return "BOSH: HTTP status " + strconv.Itoa(e.status) }

func (b *boshStream) request(body []byte) flight {
	ctx, cancel := context.WithTimeout(b.ctx, boshWait+writeLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, bytes.NewReader(body))
	if err != nil {
		return flight{err: hideURL(err)}
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	resp, err := b.http.Do(req)
	if err != nil {
		return flight{err: fmt.Errorf("BOSH: %w", hideURL(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return flight{err: httpError{resp.StatusCode}}
	}
	limit := answerLimit(b.lim)
	got, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(got)) > limit {
		return flight{err: &stanza.LimitError{What: "bytes"}}
	}
	return flight{body: got, err: err}
}

// land hands on the stanzas of one answer.
func (b *boshStream) land(f flight) error {
	if f.err != nil {
		return f.err
	}
	r := stanza.NewReader(bytes.NewReader(f.body), b.lim)
	body, err := r.Header()
	if err != nil {
		return err
	}
	if !body.Is(nsBody, "body") {
		return fmt.Errorf("%w: no BOSH body", ErrProtocol)
	}
	if b.sid == "" {
		if b.sid = body.Get("sid"); b.sid == "" && body.Get("type") != "terminate" {
			return fmt.Errorf("%w: BOSH session without sid", ErrProtocol)
		}
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		lim, _ := errors.AsType[*stanza.LimitError](err)
		if err != nil && (lim == nil || !lim.Skipped) {
			return err
		}
		select {
		case b.in <- inbound{e: e, size: r.Size(), err: err}:
		case <-b.ctx.Done():
			return ErrClosed
		}
	}
	switch condition := body.Get("condition"); {
	case body.Get("type") != "terminate":
		return nil
	case condition == "":
		return io.EOF
	default:
		return &StreamError{Condition: condition}
	}
}
