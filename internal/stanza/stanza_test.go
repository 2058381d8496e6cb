package stanza

import (
	"encoding/xml"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"jigasi/internal/lab/soak"

	"github.com/google/go-cmp/cmp"
)

const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.org' version='1.0'>`

func TestReaderReadsStanzas(t *testing.T) {
	in := header + ` <stream:features><bind xmlns='urn:b'/></stream:features>
		<message from='a@b/c'><body>1 &lt; 2<![CDATA[ & ]]]>&#x263A;</body></message> <x xmlns='urn:x'><y/></x></stream:stream>`
	r := NewReader(iotest.OneByteReader(strings.NewReader(in)), Limits{})
	h, err := r.Header()
	if err != nil || !h.Is("http://etherx.jabber.org/streams", "stream") || h.Get("from") != "example.org" {
		t.Fatalf("header %v, %v", h, err)
	}
	for _, want := range []string{
		`<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:b'/></features>`,
		`<message xmlns='jabber:client' from='a@b/c'><body>1 &lt; 2 &amp; ]☺</body></message>`,
		`<x xmlns='urn:x'><y/></x>`,
	} {
		e, err := r.Next()
		if err != nil || e.String() != want {
			t.Errorf("got %v, %v, want %s", e, err, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
}

func TestEmptyRoot(t *testing.T) {
	r := NewReader(strings.NewReader(`<body sid='x' xmlns='urn:b'/>`), Limits{})
	if h, err := r.Header(); err != nil || h.Get("sid") != "x" {
		t.Fatalf("%v, %v", h, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"comment", `<a><!-- x --></a>`, ErrRestricted},
		{"doctype", `<!DOCTYPE a [<!ENTITY x 'y'>]><a/>`, ErrRestricted},
		{"doctype inside", `<a><!DOCTYPE a></a>`, ErrRestricted},
		{"instruction", `<a><?php x ?></a>`, ErrRestricted},
		{"entity", `<a>&x;</a>`, ErrMalformed},
		{"control", `<a>&#0;</a>`, ErrMalformed},
		{"wrong end", `<a></b>`, ErrMalformed},
		{"bare attribute", `<a b></a>`, ErrMalformed},
		{"unquoted", `<a b=c></a>`, ErrMalformed},
		{"twice", `<a from='x' from='y'/>`, ErrMalformed},
		{"empty prefix", `<a xmlns:e='' e:from='x'/>`, ErrMalformed},
		{"text between", `x<a/>`, ErrMalformed},
		{"CDATA between", `<![CDATA[x]]><a/>`, ErrMalformed},
		{"bad UTF-8", "<a>\xff</a>", ErrMalformed},
		{"overlong UTF-8", "<a>\xc0\xbc</a>", ErrMalformed},
		{"colons", `<a:b:c xmlns:a='u'/>`, ErrMalformed},
		{"tag in tag", `<a <b/>`, ErrMalformed},
		{"cut", `<a><b>`, io.ErrUnexpectedEOF},
		{"cut in tag", `<a b='`, io.ErrUnexpectedEOF},
	} {
		r := NewReader(strings.NewReader(header+tt.in), Limits{})
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		if e, err := r.Next(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, e, err, tt.want)
		}
	}
}

func TestForeignAttributesAreNotPlain(t *testing.T) {
	e, err := Parse([]byte(`<iq xmlns:e='urn:evil' e:from='focus@x/y' xml:from='focus@x/y' xml:lang='en' from='guest@x'/>`), Limits{})
	if err != nil || e.Get("from") != "guest@x" || e.Get("lang") != "" || e.Get("xml:lang") != "en" || len(e.Attr) != 3 {
		t.Errorf("%v, %v", e, err)
	}
}

// TestT12_Bombs: what is too large costs no memory and little time, and the next stanza is read.
func TestT12_Bombs(t *testing.T) {
	const next = `<ok xmlns='urn:x'/>`
	for _, tt := range []struct {
		name, what string
		skipped    bool
		bomb       func() io.Reader
	}{
		{"depth 1e5", "depth", true, func() io.Reader {
			return io.MultiReader(repeat("<a>", 100_000), repeat("</a>", 100_000))
		}},
		{"attributes 5e5", "attributes", true, func() io.Reader {
			return io.MultiReader(strings.NewReader("<a"), repeat(" b='c'", 500_000), strings.NewReader("/>"))
		}},
		{"children 1e6", "elements", true, func() io.Reader {
			return io.MultiReader(strings.NewReader("<a>"), repeat("<b/>", 1_000_000), strings.NewReader("</a>"))
		}},
		{"body 2 MiB", "bytes", true, func() io.Reader {
			return io.MultiReader(strings.NewReader("<a>"), repeat("x", 2<<20), strings.NewReader("</a>"))
		}},
		{"body 64 MiB", "bytes", false, func() io.Reader {
			return io.MultiReader(strings.NewReader("<a>"), repeat("x", 64<<20), strings.NewReader("</a>"))
		}},
		{"deep in deep 3e6", "bytes", false, func() io.Reader { return repeat("<a>", 3_000_000) }},
		{"elements within bounds", "", true, func() io.Reader {
			return io.MultiReader(strings.NewReader("<a>"), repeat("<b c='' d='' e='' f='' g='' h='' i='' j='' k='' l=''/>", 16383), strings.NewReader("</a>"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(io.MultiReader(strings.NewReader(header), tt.bomb(), strings.NewReader(next)), Limits{})
			if _, err := r.Header(); err != nil {
				t.Fatal(err)
			}
			held, took, err := measure(r)
			lim, _ := errors.AsType[*LimitError](err)
			switch {
			case tt.what == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.what != "" && (lim == nil || lim.What != tt.what || lim.Skipped != tt.skipped):
				t.Errorf("got %v", err)
			}
			if held > 16<<20 {
				t.Errorf("holds %d KiB", held>>10)
			}
			if limit := 250 * time.Millisecond; soak.Full() && took > limit { // 100 ms where nothing else runs
				t.Errorf("took %v, promised are %v", took, limit)
			}
			if !tt.skipped {
				return
			}
			if e, err := r.Next(); err != nil || !e.Is("urn:x", "ok") {
				t.Errorf("the next stanza: %v, %v", e, err)
			}
		})
	}
}

// measure says what reading a stanza costs.
func measure(r *Reader) (held int64, took time.Duration, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	e, err := r.Next()
	took = time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(e)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc), took, err
}

// repeat reads as s n times without holding it.
func repeat(s string, n int) io.Reader {
	const block = 1000
	if n < block {
		return strings.NewReader(strings.Repeat(s, n))
	}
	chunk := strings.Repeat(s, block)
	all := make([]io.Reader, 0, n/block+1)
	for range n / block {
		all = append(all, strings.NewReader(chunk))
	}
	return io.MultiReader(append(all, strings.NewReader(strings.Repeat(s, n%block)))...)
}

func TestPrintEscapes(t *testing.T) {
	e := New("urn:x", "a", "b", `<'&">`+"\n\t☎", "xml:lang", "en").WithText("\r]]>").Add(New("", "k"), nil, New("urn:y", "k"))
	got, err := Parse([]byte(e.String()), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := e.Clone()
	want.Kids[0].Name.Space = "urn:x"
	want.Attr[1].Name = xml.Name{Space: xmlSpace, Local: "lang"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := e.Append(nil, "urn:x"); strings.Contains(string(s), "urn:x") {
		t.Errorf("repeats the parent's namespace: %s", s)
	}
}

func TestJID(t *testing.T) {
	for in, want := range map[string]JID{
		"a@b/c":      {"a", "b", "c"},
		"b":          {"", "b", ""},
		"b/c/d@e":    {"", "b", "c/d@e"},
		"a@b./c":     {"a", "b", "c"},
		"@b":         {"", "@b", ""},
		"a@b@c":      {"a", "b@c", ""},
		"":           {},
		"r@muc/T・・☎": {"r", "muc", "T・・☎"},
	} {
		if got := ParseJID(in); got != want {
			t.Errorf("%q: %+v", in, got)
		}
	}
	if !ParseJID("Room@MUC/n").Equal(ParseJID("room@muc/n")) || ParseJID("r@m/N").Equal(ParseJID("r@m/n")) {
		t.Error("Equal folds local and domain, not the resource")
	}
}

func FuzzJID(f *testing.F) {
	for _, s := range []string{"a@b/c", "..", "@", "/", "a@/", "@@b.", "a@b./c/d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j := ParseJID(s)
		if k := ParseJID(j.String()); k != j {
			t.Errorf("%q: %+v, printed and parsed %+v", s, j, k)
		}
	})
}

// FuzzParse: what is read prints as something that reads as the same, within bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<a/>`, `<iq type='set' id='x='><dial xmlns='urn:xmpp:rayo:1' to='+1'><header name='n' value='v'/></dial></iq>`,
		`<?xml version='1.0'?><a xml:lang='x' xmlns:p='q' p:b='c'><p:d>t<![CDATA[u]]></p:d><e xmlns=''/></a>`,
		"<a>&#13;\r\n&lt;</a>", `<a b="'" c='"'/>`, `<a/><b/>`, `<xml:a xmlns='u'/>`,
	} {
		f.Add(s)
	}
	lim := Limits{Bytes: 4096, Depth: 8, Elements: 64, Attrs: 8}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse([]byte(s), lim)
		if err != nil {
			return
		}
		if d, n := extent(e); d > lim.Depth || n > lim.Elements {
			t.Fatalf("depth %d, %d elements", d, n)
		}
		again, err := Parse([]byte(e.String()), Limits{Attrs: 64})
		if err != nil {
			t.Fatalf("%q printed as %q: %v", s, e, err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatalf("%q printed as %q: %s", s, e, diff)
		}
	})
}

// FuzzReader: any stream ends, and a stanza inside a stream is the same as by itself.
func FuzzReader(f *testing.F) {
	f.Add(header + `<a/> <b>x</b></stream:stream>`)
	f.Add(header + `<a><a><a><a><a/></a></a></a></a><c/>`)
	f.Add(`<s xmlns:e='u'><e:a b='<'/>`)
	f.Fuzz(func(t *testing.T, s string) {
		r := NewReader(strings.NewReader(s), Limits{Bytes: 256, Depth: 4, Elements: 8, Attrs: 4})
		if _, err := r.Header(); err != nil {
			return
		}
		for range len(s) + 1 {
			e, err := r.Next()
			if lim, ok := errors.AsType[*LimitError](err); ok && lim.Skipped {
				continue
			}
			if err != nil {
				return
			}
			if _, err := Parse([]byte(e.String()), Limits{}); err != nil {
				t.Fatalf("%q holds %q: %v", s, e, err)
			}
		}
		t.Fatalf("%q does not end", s)
	})
}

func extent(e *Elem) (depth, n int) {
	n = 1
	for _, k := range e.Kids {
		d, m := extent(k)
		depth, n = max(depth, d), n+m
	}
	return depth + 1, n
}
