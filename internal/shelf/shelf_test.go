package shelf

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/transcript"
)

const payload = "<script>alert(1)</script>\n<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>"

// session is a directory with a file of each kind, and all that is not to be served.
func session(t *testing.T, dir string) (path, stem string) {
	t.Helper()
	at := time.Now()
	name, file := transcript.Name(at), transcript.Name(at)
	for _, f := range []string{
		"transcript_" + file + ".txt", "transcript_" + file + ".json", "transcript_" + file + ".vtt", "transcript_" + file + ".srt", "transcript_" + file + ".jsonl", file + ".wav", file + "_1.opus",
		file + ".jsonl", "unfinished.jsonl", "scripts.log", "transcript_" + file + ".txt.part", "index.html", ".htaccess",
	} {
		write(t, filepath.Join(dir, name, f), payload)
	}
	return "/" + name + "/", file
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(s *Server, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path, r.RemoteAddr = path, "127.0.0.1:1" // as a client could send it
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.serve(w, r)
	return w
}

// TestT29_FilesAreInert: what a browser gets is text or sound, whatever is in it.
func TestT29_FilesAreInert(t *testing.T) {
	dir := t.TempDir()
	path, stem := session(t, dir)
	s := New(Options{Dir: dir})
	for file, want := range map[string]string{
		"transcript_" + stem + ".txt": "text/plain; charset=utf-8 inline", "transcript_" + stem + ".json": "application/json attachment", "transcript_" + stem + ".vtt": "text/vtt; charset=utf-8 attachment",
		"transcript_" + stem + ".srt": "text/plain; charset=utf-8 attachment", stem + ".wav": "audio/wav attachment", stem + "_1.opus": "audio/ogg attachment",
	} {
		w := get(s, "GET", path+file)
		h := w.Header()
		how, _, _ := strings.Cut(h.Get("Content-Disposition"), ";")
		if w.Code != 200 || w.Body.String() != payload || h.Get("Content-Type")+" "+how != want {
			t.Errorf("%s: %d %s %s", file, w.Code, h.Get("Content-Type"), how)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; sandbox;") || h.Get("Cache-Control") != "no-store" ||
			h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Frame-Options") != "DENY" {
			t.Error(h)
		}
	}
	w := get(s, "HEAD", path+stem+".wav")
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != fmt.Sprint(len(payload)) {
		t.Error(w.Code, w.Body.Len())
	}
	if w := get(s, "GET", path+stem+".wav", "Range", "bytes=1-6"); w.Code != 206 || w.Body.String() != "script" {
		t.Error(w.Code, w.Body)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "TRACE"} {
		if w := get(s, method, path+stem+".wav"); w.Code != 405 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// TestT29_NothingElseIsThere: no list, no other file, no guess: the same answer to all.
func TestT29_NothingElseIsThere(t *testing.T) {
	dir := t.TempDir()
	path, stem := session(t, dir)
	s := New(Options{Dir: dir})
	paths := []string{
		"", "/", "//", path, strings.TrimSuffix(path, "/"), path + "index.html", path + ".htaccess", path + "unfinished.jsonl", path + "scripts.log", path + "transcript_" + stem + ".jsonl",
		path + stem + ".jsonl", path + "transcript_" + stem + ".txt.part", "/metrics", "/about/health", "/favicon.ico", "/robots.txt", path + "/" + stem + ".wav", path + "./" + stem + ".wav", path + stem + ".wav/",
	}
	guesses := 1000
	if os.Getenv("JIGASI_SOAK") != "" {
		guesses = 500_000
	}
	for range guesses {
		paths = append(paths, "/"+transcript.Name(time.Now())+"/transcript_"+transcript.Name(time.Now())+".txt", path+"transcript_"+transcript.Name(time.Now())+".txt")
	}
	want := get(s, "GET", "/nothing")
	for _, p := range paths {
		w := get(s, "GET", p)
		if w.Code != 404 || w.Body.String() != want.Body.String() || fmt.Sprint(w.Header()) != fmt.Sprint(want.Header()) {
			t.Fatalf("%q: %d %v %s", p, w.Code, w.Header(), w.Body)
		}
	}
	if missing := New(Options{Dir: filepath.Join(dir, "none")}); get(missing, "GET", path+stem+".wav").Code != 404 {
		t.Error("a directory that is not there")
	}
}

// TestT28_NoWayOut: no path and no link leads out of the directory.
func TestT28_NoWayOut(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "transcripts")
	path, stem := session(t, dir)
	write(t, filepath.Join(top, "secret.txt"), "secret")
	other := transcript.Name(time.Now())
	write(t, filepath.Join(top, other, stem+".wav"), "secret")
	for _, l := range [][2]string{
		{filepath.Join(top, other), filepath.Join(dir, other)}, {filepath.Join(top, "secret.txt"), filepath.Join(dir, path, stem+"_2.wav")}, {"/etc/passwd", filepath.Join(dir, path, stem+"_3.wav")},
		{"../../secret.txt", filepath.Join(dir, path, stem+"_4.wav")}, {stem + ".wav", filepath.Join(dir, path, stem+"_5.wav")},
	} {
		if err := os.Symlink(l[0], l[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, path, stem+"_6.wav"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Dir: dir})
	for _, p := range []string{
		"/../secret.txt", path + "../../secret.txt", path + `..\..\secret.txt`, "/%2e%2e/secret.txt", path + "..%2f..%2fsecret.txt", "/" + other + "/" + stem + ".wav", path + stem + "_2.wav", path + stem + "_3.wav",
		path + stem + "_4.wav", path + stem + "_5.wav", path + stem + "_6.wav", path + stem + ".wav\x00.txt", "/etc/passwd", "//etc/passwd", path + "../" + strings.Trim(path, "/") + "/" + stem + ".wav",
	} {
		if w := get(s, "GET", p); w.Code != 404 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%q: %d %s", p, w.Code, w.Body)
		}
	}
}

// TestBounds: one address, and all together, are answered a few at a time.
func TestBounds(t *testing.T) {
	s := New(Options{Dir: t.TempDir(), AtOnce: 5, Each: 2})
	from := func(addr string) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr
		return r
	}
	var leave []func()
	for i, test := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1:1", true}, {"192.0.2.1:2", true}, {"[::ffff:192.0.2.1]:3", false}, {"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", true}, {"[2001:db8::3]:1", false}, {"127.0.0.1:1", true},
		{"127.0.0.1:2", false}, {"odd", false},
	} {
		l, ok := s.enter(from(test.addr))
		if ok != test.want {
			t.Errorf("%d: %s %v", i, test.addr, ok)
		}
		if ok {
			leave = append(leave, l)
		}
	}
	w := httptest.NewRecorder()
	if s.serve(w, from("192.0.2.9:1")); w.Code != 503 || w.Header().Get("Retry-After") == "" || s.counts.Busy.Load() != 1 {
		t.Error(w.Code)
	}
	for _, l := range leave {
		l()
	}
	if len(s.asking) != 0 || s.total != 0 {
		t.Error(s.asking, s.total)
	}
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Dir: "/", Rate: 10})
		ask := func(addr string) (n int) {
			for range 30 {
				if leave, ok := s.enter(from(addr)); ok {
					leave()
					n++
				}
			}
			return n
		}
		for range 3 {
			if n, other, proxy := ask("192.0.2.1:1"), ask("192.0.2.2:1"), ask("127.0.0.1:1"); n != 10 || other != 10 || proxy != 30 {
				t.Error(n, other, proxy)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestServer: over a socket, and closed.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	path, stem := session(t, dir)
	s := New(Options{Dir: dir})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if host, _, _ := net.SplitHostPort(s.Addr().String()); host != "127.0.0.1" {
		t.Error(host)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := c.Get("http://" + s.Addr().String() + path + "transcript_" + stem + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(a.Body)
	if err != nil || a.Body.Close() != nil || !bytes.Equal(b, []byte(payload)) || s.Err() != nil || s.counts.Served.Load() != 1 {
		t.Error(a.Status, err)
	}
	if err := New(Options{Dir: dir, Port: s.Addr().(*net.TCPAddr).Port}).Start(); err == nil {
		t.Error("a port was taken twice")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestGate: beyond the bound connections are closed, not queued.
func TestGate(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: ln, open: make(chan struct{}, 1)}
	defer g.Close()
	in := make(chan net.Conn, 3)
	go func() {
		for {
			c, err := g.Accept()
			if err != nil {
				return
			}
			in <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	defer dial().Close()
	first := <-in
	second := dial()
	defer second.Close()
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err == nil || len(in) != 0 {
		t.Error("one too many was let in")
	}
	_ = first.Close()
	_ = first.Close()
	defer dial().Close()
	(<-in).Close()
}

// FuzzPath: no path gives anything but the files of a session.
func FuzzPath(f *testing.F) {
	top := f.TempDir()
	dir := filepath.Join(top, "transcripts")
	name, stem := "2024-11-22T15:04:05.123456Z_0a1b2c3d-0000-4000-8000-000000000000", "2024-11-22T15:04:05.123456Z_1a1b2c3d-0000-4000-8000-000000000000"
	for path, text := range map[string]string{filepath.Join(dir, name, stem+".wav"): "inside", filepath.Join(dir, name, "unfinished.jsonl"): "secret", filepath.Join(top, stem+".wav"): "secret"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	s := New(Options{Dir: dir})
	for _, p := range []string{"/" + name + "/" + stem + ".wav", "/../" + stem + ".wav", "/" + name + "/unfinished.jsonl", "/" + name + "/../../" + stem + ".wav"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if w := get(s, "GET", path); w.Code != 404 && (w.Code != 200 || w.Body.String() != "inside") {
			t.Errorf("%q: %d %s", path, w.Code, w.Body)
		}
	})
}
