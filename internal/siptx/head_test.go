package siptx

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emiago/sipgo/sip"
)

func torture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cut gives its content in two reads.
func cut(b []byte, at int) io.Reader {
	return io.MultiReader(bytes.NewReader(b[:at]), bytes.NewReader(b[at:]))
}

// The status that a message is refused with by the wire itself: 0 is none, -1 is a message that is dropped.
var rfc4475 = map[string]int{
	"badaspec": 400, "badbranch": 0, "baddate": 0, "baddn": 0, "badinv01": 400, "badvers": 505, "bcast": 0, "bext01": 0,
	"bigcode": -1, "clerr": 400, "cparam01": 0, "cparam02": 0, "dblreq": 0, "esc01": 0, "esc02": 0, "escnull": 0, "escruri": 0,
	"insuf": 400, "intmeth": 0, "inv2543": 0, "invut": 0, "longreq": 0, "ltgtruri": 400, "lwsdisp": 0, "lwsruri": 400,
	"lwsstart": 400, "mcl01": 400, "mismatch01": 400, "mismatch02": 400, "mpart01": 0, "multi01": 400, "ncl": 400, "noreason": 0,
	"novelsc": 416, "quotbal": 400, "regaut01": 0, "regbadct": 0, "regescrt": 0, "scalar02": 400, "scalarlg": -1, "sdp01": 0,
	"semiuri": 0, "test": -1, "transports": 0, "trws": 400, "unkscm": 416, "unksm2": 0, "unreason": 0, "wsinv": 0, "zeromf": 0,
}

func TestT14_RFC4475(t *testing.T) {
	files, _ := filepath.Glob("testdata/rfc4475/*.dat")
	if len(files) != len(rfc4475) {
		t.Errorf("%d messages, the table has %d", len(files), len(rfc4475))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".dat")
		b := torture(t, "rfc4475/"+name+".dat")
		want, known := rfc4475[name]
		if !known {
			t.Errorf("%s is not in the table", name)
		}
		m, h, err := parse(b)
		got := 0
		if err != nil {
			got = -1
			var w flaw
			if f, ok := errors.AsType[flaw](err); ok && h.refusal(f) != nil {
				w = f
				got = w.status
				if res, err := Parse(h.refusal(f)); err != nil && name != "insuf" && name != "multi01" && name != "badinv01" && name != "badaspec" &&
					name != "quotbal" && name != "scalar02" && name != "mismatch01" && name != "mismatch02" {
					t.Errorf("%s: our own refusal cannot be read: %v %v", name, res, err)
				}
			}
		}
		if got != want {
			t.Errorf("%s: refused with %d (%v), want %d", name, got, err, want)
		}
		if m == nil {
			continue
		}
		again, err := Parse([]byte(text(m)))
		if err != nil || text(again) != text(m) {
			t.Errorf("%s: what is written is not what was read: %v\n%s\n%s", name, err, text(m), text(again))
		}
	}
}

func text(m Message) string {
	switch m := m.(type) {
	case *sip.Request:
		return m.String()
	case *sip.Response:
		return m.String()
	}
	return ""
}

func TestT14_RFC4475Values(t *testing.T) {
	read := func(name string) *sip.Request {
		m, err := Parse(torture(t, "rfc4475/"+name+".dat"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		req, _ := m.(*sip.Request)
		return req
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
	r := read("wsinv")
	is("wsinv To tag", Param(r.To().Params, "tag"), "1918181833n")
	is("wsinv From tag", Param(r.From().Params, "tag"), "98asjd8")
	is("wsinv top branch", Param(r.Via().Params, "branch"), "390skdjuw")
	is("wsinv second Via", Values(r, "Via")[1], "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8")
	is("wsinv CSeq", r.CSeq().Value(), "9 INVITE")
	is("wsinv Contact", r.Contact().Address.String(), "sip:jdrosen@example.com")
	is("wsinv folded", Value(r, "NewFangledHeader"), "newfangled value continued newfangled value")
	r = read("intmeth")
	is("intmeth method", string(r.Method), "!interesting-Method0123456789_*+`.%indeed'~")
	is("intmeth From tag", Param(r.From().Params, "tag"), "_token~1'+`*%!-.")
	r = read("longreq")
	is("longreq To tag", Param(r.To().Params, "tag"), "")
	if n := len(Values(r, "Via")); n != 34 {
		t.Errorf("longreq has %d Via", n)
	}
	is("semiuri user", read("semiuri").Recipient.User, "user;par=u%40example.net")
	is("esc02 method", string(read("esc02").Method), "RE%47IST%45R")
	is("lwsdisp display name", read("lwsdisp").From().DisplayName, "caller")
	is("dblreq method", string(read("dblreq").Method), "REGISTER")
	is("inv2543 CSeq", read("inv2543").CSeq().Value(), "56 INVITE")
	is("zeromf", Value(read("zeromf"), "Max-Forwards"), "0")
	for i, want := range []string{"UDP", "SCTP", "TLS", "UNKNOWN", "TCP"} {
		if v := Values(read("transports"), "Via")[i]; !strings.HasPrefix(v, "SIP/2.0/"+want+" ") {
			t.Errorf("transports: Via %d is %q", i, v)
		}
	}
}

// What comes in two reads reads like what comes in one.
func TestT14_RFC4475EveryCut(t *testing.T) {
	t.Parallel()
	for name, refused := range rfc4475 {
		if name == "baddn" || name == "test" {
			continue // no end, which a stream waits for
		}
		b := torture(t, "rfc4475/"+name+".dat")
		whole, _, wholeErr := readMessage(bufio.NewReader(bytes.NewReader(b)))
		for at := range len(b) {
			raw, ping, err := readMessage(bufio.NewReaderSize(cut(b, at), 16))
			if !bytes.Equal(raw, whole) || ping || (err == nil) != (wholeErr == nil) {
				t.Fatalf("%s cut at %d: %d bytes, %v; whole: %d bytes, %v", name, at, len(raw), err, len(whole), wholeErr)
			}
		}
		if name == "inv2543" || wholeErr != nil {
			continue // without Content-Length the stream ends the message at the blank line
		}
		if _, err := Parse(whole); (err == nil) != (refused == 0) {
			t.Errorf("%s from a stream: %v", name, err)
		}
	}
}

// The 12 situations of RFC 5118, 4, and whether the message is taken.
var rfc5118 = []struct {
	name  string
	raw   string
	taken bool
	check func(*sip.Request) bool
}{
	{
		"4.1 valid IPv6 reference", v6("REGISTER sip:[2001:db8::10] SIP/2.0", "[2001:db8::9:1]", "sip:caller@[2001:db8::1]"), true,
		func(r *sip.Request) bool { return r.Recipient.Host == "[2001:db8::10]" && r.Recipient.Port == 0 },
	},
	{"4.2 delimiters missing", v6("REGISTER sip:2001:db8::10 SIP/2.0", "[2001:db8::9:1]", "sip:caller@[2001:db8::1]"), false, nil},
	{
		"4.3 port inside the brackets", v6("REGISTER sip:[2001:db8::10:5070] SIP/2.0", "[2001:db8::9:1]", "sip:caller@[2001:db8::1]"), true,
		func(r *sip.Request) bool { return r.Recipient.Host == "[2001:db8::10:5070]" && r.Recipient.Port == 0 },
	},
	{
		"4.4 port outside the brackets", v6("REGISTER sip:[2001:db8::10]:5070 SIP/2.0", "[2001:db8::9:1]", "sip:caller@[2001:db8::1]"), true,
		func(r *sip.Request) bool { return r.Recipient.Port == 5070 },
	},
	{
		"4.5 received without brackets", v6("BYE sip:[2001:db8::10] SIP/2.0", "[2001:db8::9:1];received=2001:db8::9:255", "sip:user@example.com"), true,
		func(r *sip.Request) bool { return Param(r.Via().Params, "received") == "2001:db8::9:255" },
	},
	{
		"4.5 received with brackets", v6("OPTIONS sip:[2001:db8::10] SIP/2.0", "[2001:db8::9:1];received=[2001:db8::9:255]", "sip:user@example.com"), true,
		func(r *sip.Request) bool { return Param(r.Via().Params, "received") == "[2001:db8::9:255]" },
	},
	{"4.6 IPv6 in the description", v6("INVITE sip:user@[2001:db8::10] SIP/2.0", "[2001:db8::20]", "sip:caller@[2001:db8::20]"), true, nil},
	{
		"4.7 two families in the Vias", v6("BYE sip:user@host.example.net SIP/2.0", "[2001:db8::9:1]:6050", "sip:caller@example.net",
			"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144"), true,
		func(r *sip.Request) bool {
			return len(Values(r, "Via")) == 2 && r.Via().Port == 6050 && r.Via().Host == "2001:db8::9:1"
		},
	},
	{"4.8 two families in the description", v6("INVITE sip:user@[2001:db8::10] SIP/2.0", "[2001:db8::9:1]", "sip:caller@[2001:db8::9:1]"), true, nil},
	{
		"4.9 IPv4-mapped", v6("INVITE sip:user@example.com SIP/2.0", "[::ffff:192.0.2.10]:19823", "<sip:caller@[::ffff:192.0.2.10]:19823>"), true,
		func(r *sip.Request) bool { return strings.Contains(r.Via().Value(), "[::ffff:192.0.2.10]:19823") },
	},
	{"4.10 three colons", v6("OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0", "[2001:db8:::192.0.2.1]", "sip:user@[2001:db8:::192.0.2.1]"), true, nil},
	{"4.10 two colons", v6("OPTIONS sip:user@[2001:db8::192.0.2.1] SIP/2.0", "[2001:db8::192.0.2.1]", "sip:user@[2001:db8::192.0.2.1]"), true, nil},
}

func v6(first, via, from string, more ...string) string {
	method, _, _ := strings.Cut(first, " ")
	return strings.Join(append([]string{
		first, "Via: SIP/2.0/UDP " + via + ";branch=z9hG4bKas3-111",
	}, append(more,
		"To: sip:user@example.com", "From: "+from+";tag=81x2", "Max-Forwards: 70", "Call-ID: SSG9559905523997077@hlau_4100",
		"Contact: <sip:caller@[2001:db8::1]>", "CSeq: 98176 "+method, "Content-Length: 0", "", "",
	)...), "\r\n")
}

func TestT15_RFC5118(t *testing.T) {
	for _, tt := range rfc5118 {
		m, err := Parse([]byte(tt.raw))
		if (err == nil) != tt.taken {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err != nil {
			continue
		}
		req := m.(*sip.Request)
		if tt.check != nil && !tt.check(req) {
			t.Errorf("%s: read as\n%s", tt.name, req)
		}
		again, err := Parse([]byte(req.String()))
		if err != nil || text(again) != req.String() {
			t.Errorf("%s: does not read back: %v\n%s", tt.name, err, req)
		}
		res := Respond(req, 200, "x")
		if got, want := Values(res, "Via")[0], Values(req, "Via")[0]; got != want {
			t.Errorf("%s: Via %q is answered with %q", tt.name, want, got)
		}
	}
}

func options(fields ...string) []byte {
	return []byte(strings.Join(append(append([]string{
		"OPTIONS sip:a@example.com SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa",
	}, fields...), "", ""), "\r\n"))
}

func TestT16_NoSmuggling(t *testing.T) {
	base := []string{"To: <sip:a@example.com>", "From: <sip:b@example.com>;tag=1", "Call-ID: c", "CSeq: 1 OPTIONS", "Max-Forwards: 70", "Content-Length: 0"}
	if _, err := Parse(options(base...)); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{
		"To: <sip:x@example.com>", "f: <sip:x@example.com>;tag=2", "FROM : <sip:x@example.com>;tag=2", "i: d", "CSeq: 2 OPTIONS",
		"l: 5", "Content-Length: 0", "Max-Forwards: 1", "no colon", " : x", "bad name: x", "Evil: a\nb", "Evil: a\rb", "Evil: a\x00b",
		"X\x00Y: a", "X(: a", "Via: SIP/2.0/UDP", "Contact: <sip:a", "Contact: \"a",
	} {
		if m, err := Parse(options(append(base, extra)...)); err == nil {
			t.Errorf("%q was taken:\n%s", extra, text(m))
		}
	}
	for _, tt := range []struct{ fields, name, want string }{
		{"X-A :  b  ", "x-a", "b"},
		{"X-A: b\r\n c\r\n\td", "x-a", "b c d"},
		{"k:timer ,  100rel", "Supported", "timer ,  100rel"},
		{"X-A: " + strings.Repeat("é", 100), "X-A", strings.Repeat("é", 100)},
	} {
		m, err := Parse(options(append(base, tt.fields)...))
		if err != nil {
			t.Errorf("%q: %v", tt.fields, err)
		} else if got := Value(m, tt.name); got != tt.want {
			t.Errorf("%q reads %q", tt.fields, got)
		}
	}
	many := append([]string(nil), base...)
	for range maxHeaders {
		many = append(many, "X: y")
	}
	if _, err := Parse(options(many...)); err == nil {
		t.Error("more header fields than allowed were taken")
	}
}

// A Content-Length that is folded, repeated or signed does not move the end of a message in a stream.
func TestT16_OneLengthForAll(t *testing.T) {
	two := "OPTIONS sip:a SIP/2.0\r\nContent-Length:\r\n 4\r\n\r\nabcdOPTIONS sip:b SIP/2.0\r\nl: 0\r\n\r\n"
	r := bufio.NewReader(iotest.OneByteReader(strings.NewReader(two)))
	first, _, err := readMessage(r)
	if err != nil || !strings.HasSuffix(string(first), "abcd") {
		t.Fatalf("first: %q %v", first, err)
	}
	second, _, err := readMessage(r)
	if err != nil || !strings.HasPrefix(string(second), "OPTIONS sip:b") {
		t.Fatalf("second: %q %v", second, err)
	}
	for _, length := range []string{"l: 4\r\nContent-Length: 5", "l: -1", "l: +4", "l: 4 4", "l: 0x4", "l: 99999999999"} {
		if _, _, err := readMessage(bufio.NewReader(strings.NewReader("OPTIONS sip:a SIP/2.0\r\n" + length + "\r\n\r\nabcdefgh"))); err == nil {
			t.Errorf("%q was followed", length)
		}
	}
}
