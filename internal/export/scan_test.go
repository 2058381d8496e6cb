package export

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestScannerReadsTheBridge: sound as a real bridge sends it is read by the scanner itself, and says what parse says.
func TestScannerReadsTheBridge(t *testing.T) {
	t.Parallel()
	var s scanner
	var sound []byte
	n := 0
	for _, text := range captured(t, "media.txt") {
		want, err := parse([]byte(whole(text)))
		if err != nil {
			t.Fatal(err)
		}
		got, out, ok := s.media([]byte(whole(text)), sound)
		if ok != (want.kind == media) {
			t.Errorf("by itself: %v: %.60s", ok, text)
		}
		if ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		if ok {
			n++
		}
		sound = out
	}
	if n < 60 || len(s.tags) != 3 {
		t.Errorf("%d messages of %d tags", n, len(s.tags))
	}
}

// plain is a message of which %s is the part that differs.
const plain = `{"event":"media","media":{"tag":"a-a0","chunk":"1","timestamp":"2","payload":"AAEC",%s"vad":true}}`

// TestScannerLeavesToParse: what is not plain is read by parse, and comes to the same.
func TestScannerLeavesToParse(t *testing.T) {
	t.Parallel()
	for text, plainly := range map[string]bool{
		fmt.Sprintf(plain, ""):                                                                       true,
		fmt.Sprintf(plain, `"chunk":-7,"chunk":"0012",`):                                             true,
		fmt.Sprintf(plain, `"x":null,"y":false,"z":"","":12,`):                                       true,
		fmt.Sprintf(plain, `"payload":"",`):                                                          false,
		fmt.Sprintf(plain, `"payload":"AA=A",`):                                                      false,
		fmt.Sprintf(plain, `"payload":"====",`):                                                      false,
		fmt.Sprintf(plain, `"payload":"AA==",`):                                                      true,
		fmt.Sprintf(plain, `"payload":"AAE`+"\n\n\n\n"+`C",`):                                        false,
		fmt.Sprintf(plain, `"payload":"AAE\n\n\n\nC",`):                                              false,
		fmt.Sprintf(plain, `"payload":null,`):                                                        false,
		fmt.Sprintf(plain, `"payload":[1,2],`):                                                       false,
		fmt.Sprintf(plain, `"tag":"\u0062",`):                                                        false,
		fmt.Sprintf(plain, `"tag":"`+strings.Repeat("b", maxTag)+`",`):                               true,
		fmt.Sprintf(plain, `"tag":"b`+strings.Repeat("b", maxTag)+`",`):                              false,
		fmt.Sprintf(plain, `"tag":"é",`):                                                             false,
		fmt.Sprintf(plain, `"tag":7,`):                                                               false,
		fmt.Sprintf(plain, `"chunk":1.0,`):                                                           false,
		fmt.Sprintf(plain, `"chunk":007,`):                                                           false,
		fmt.Sprintf(plain, `"chunk":-,`):                                                             false,
		fmt.Sprintf(plain, `"chunk":"+7",`):                                                          false,
		fmt.Sprintf(plain, `"chunk":"9223372036854775807",`):                                         false,
		fmt.Sprintf(plain, `"chunk":"9223372036854775808",`):                                         false,
		fmt.Sprintf(plain, `"timestamp":"70368744177665",`):                                          false,
		fmt.Sprintf(plain, `"timestamp":"-70368744177664",`):                                         true,
		fmt.Sprintf(plain, `"t":{"a":1},`):                                                           false,
		fmt.Sprintf(plain, ` `):                                                                      false,
		fmt.Sprintf(plain, `,`):                                                                      false,
		fmt.Sprintf(plain, "") + " ":                                                                 false,
		fmt.Sprintf(plain, "") + "}":                                                                 false,
		fmt.Sprintf(plain, "")[:60]:                                                                  false,
		`{"event":"media","media":{}}`:                                                               false,
		`{"event":"x","media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"},"event":"media"}`: true,
		`{"event":"media","media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"},"event":"ping","id":1}`:    false,
		`{"event":"media","media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"},"media":null}`:             false,
		`{"event":"media","media":{"tag":"a"},"media":{"tag":"b","chunk":1,"timestamp":2,"payload":"AAEC"}}`:      false,
		`{"media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"}}`:                                          false,
		`{"event":"media","media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"},"x":tru}`:                  false,
		`{"event":"media","media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"},"x":truex}`:                false,
		`{"event":"media","Media":1,"media":{"tag":"a","Tag":"b","chunk":1,"timestamp":2,"payload":"AAEC"}}`:      true,
		`{"event":"media","media":{"tag":"a","chunk":1,"timestamp":2,"payload":"AAEC"},"event":"media","e":"x",}`: false,
	} {
		var s scanner
		if _, _, ok := s.media([]byte(text), nil); ok != plainly {
			t.Errorf("by itself: %v: %s", ok, text)
		}
		sameAsParse(t, []byte(text))
	}
}

// sameAsParse compares what the scanner makes of a message with what parse does, behind other sound.
func sameAsParse(t *testing.T, text []byte) {
	t.Helper()
	var s scanner
	before := []byte{1, 2, 3}
	want, wrong := parse(text)
	got, sound, err := s.read(text, before)
	if err != wrong || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %+v, %v; want %+v, %v", text, got, err, want, wrong)
	}
	if !bytes.HasPrefix(sound, before) {
		t.Errorf("%q: the sound before it is %v", text, sound)
	}
}

// TestReadingAllocatesNothing: a packet, once its speaker is known and the batch has its size.
func TestReadingAllocatesNothing(t *testing.T) {
	sock := newSocket(nil, "")
	m := &meeting{over: make(chan struct{}), in: make(chan event, 1)}
	r := &reader{s: &Server{}, sock: sock, m: m}
	message := []byte(strings.Replace(fmt.Sprintf(plain, ""), "AAEC", strings.Repeat("AAEC", 40), 1))
	turn := func() {
		for range 20 {
			r.text = append(r.text[:0], message...)
			r.hear(websocket.MessageText)
		}
		r.flush()
		e := <-m.in
		if len(e.batch.messages) != 20 {
			t.Fatalf("%d messages", len(e.batch.messages))
		}
		sock.free <- e.batch
	}
	for range batches {
		turn()
	}
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations for 20 packets", n)
	}
}
