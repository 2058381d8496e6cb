package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"jigasi/internal/lab/ports"
)

// registrar is a SIP registrar over TCP that can go away and come back. It lets everybody in who has an
// answer to its challenge, whatever that is.
type registrar struct {
	t    *testing.T
	addr string

	mu     sync.Mutex
	lis    net.Listener
	conns  []net.Conn
	done   sync.WaitGroup
	proofs atomic.Int32 // Authorization headers that came
}

func newRegistrar(t *testing.T) *registrar {
	t.Helper()
	r := &registrar{t: t, addr: fmt.Sprintf("127.0.0.1:%d", ports.Free(t))} // nobody else gets it while it is away
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *registrar) start() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.lis, r.addr = l, l.Addr().String()
	r.mu.Unlock()
	r.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			r.done.Go(func() { r.serve(c) })
		}
	})
}

func (r *registrar) stop() {
	r.mu.Lock()
	_ = r.lis.Close()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.done.Wait()
}

func (r *registrar) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		answer, err := r.answer(in)
		if err != nil {
			return
		}
		fmt.Fprint(c, answer)
	}
}

// answer reads one message and gives what is answered; "" is nothing.
func (r *registrar) answer(from *bufio.Reader) (string, error) {
	in := textproto.NewReader(from)
	first, err := in.ReadLine()
	if err != nil || first == "" { // a keep-alive
		return "", err
	}
	h, err := in.ReadMIMEHeader()
	if err != nil || strings.HasPrefix(first, "ACK") {
		return "", err
	}
	status := "200 OK"
	extra := "Contact: " + h.Get("Contact") + "\r\nExpires: 600\r\n"
	switch {
	case strings.HasPrefix(first, "INVITE"):
		status, extra = "486 Busy Here", ""
	case !strings.HasPrefix(first, "REGISTER"):
		extra = ""
	case h.Get("Authorization") != "":
		r.proofs.Add(1)
	case strings.HasPrefix(first, "REGISTER"):
		status, extra = "401 Unauthorized", "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n\", algorithm=MD5\r\n"
	}
	to := h.Get("To")
	if !strings.Contains(to, "tag=") {
		to += ";tag=r"
	}
	return fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: 0\r\n\r\n",
		status, h.Get("Via"), h.Get("From"), to, h.Get("Call-Id"), h.Get("Cseq"), extra), nil
}

// quietRegistrar is one over UDP, which can fall silent.
type quietRegistrar struct {
	registrar
	silent atomic.Bool
}

func newQuietRegistrar(t *testing.T) *quietRegistrar {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &quietRegistrar{registrar: registrar{t: t, addr: c.LocalAddr().String()}}
	r.done.Go(func() {
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			answer, err := r.answer(bufio.NewReader(bytes.NewReader(b[:n])))
			if err == nil && answer != "" && !r.silent.Load() {
				_, _ = c.WriteTo([]byte(answer), from)
			}
		}
	})
	t.Cleanup(func() { _ = c.Close(); r.done.Wait() })
	return r
}
