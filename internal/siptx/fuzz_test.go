package siptx

import (
	"bufio"
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

func seeds(f *testing.F) {
	files, _ := filepath.Glob("testdata/rfc4475/*.dat")
	for _, file := range files {
		f.Add(torture(f, "rfc4475/"+filepath.Base(file)), uint16(40))
	}
	for _, m := range rfc5118 {
		f.Add([]byte(m.raw), uint16(100))
	}
}

// What is read from a datagram and written again reads the same, and quickly.
func FuzzDatagram(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte, _ uint16) {
		if len(b) > maxDatagram {
			return
		}
		start := time.Now()
		m, h, err := parse(b)
		if took := time.Since(start); took > 20*time.Second { // a loaded machine may stand still, a loop of ours does not end
			t.Fatalf("%d bytes took %v", len(b), took)
		}
		if err != nil {
			if w, ok := errors.AsType[flaw](err); ok {
				h.refusal(w)
			}
			return
		}
		for _, name := range once {
			if n := len(m.GetHeaders(name)); n != 1 {
				t.Fatalf("%d %s", n, name)
			}
		}
		if req, ok := m.(*sip.Request); ok {
			serverKey(req, req.Method)
			res := Respond(req, 200, "tag")
			if bytes.ContainsAny([]byte(Value(res, "Call-ID")), "\r\n") {
				t.Fatal("a line end went through")
			}
		}
		again, err := Parse([]byte(text(m)))
		if err != nil {
			return // what the library writes is not always as legal as what it read: nothing is taken then
		}
		if again.CSeq().Value() != m.CSeq().Value() || again.CallID().Value() != m.CallID().Value() ||
			Param(again.Via().Params, "branch") != Param(m.Via().Params, "branch") || !bytes.Equal(again.Body(), m.Body()) {
			t.Fatalf("reads differently when written again:\n%s\n%s", text(m), text(again))
		}
	})
}

// A stream reads the same however it is cut.
func FuzzStream(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		if len(b) > maxStream {
			return
		}
		whole, halves := bufio.NewReaderSize(bytes.NewReader(b), 4096), bufio.NewReaderSize(cut(b, int(at)%(len(b)+1)), 16)
		for range 50 {
			raw, ping, err := readMessage(whole)
			raw2, ping2, err2 := readMessage(halves)
			if !bytes.Equal(raw, raw2) || ping != ping2 || (err == nil) != (err2 == nil) {
				t.Fatalf("cut at %d: %q %v, whole: %q %v", at, raw2, err2, raw, err)
			}
			if err != nil {
				return
			}
			m, err := Parse(raw)
			if m2, err2 := Parse(raw2); (err == nil) != (err2 == nil) || err == nil && text(m) != text(m2) {
				t.Fatal("one message, two readings")
			}
		}
	})
}
