package vosk

import "testing"

// FuzzHeard: whatever a server says, there is no panic, and an error holds none of it.
func FuzzHeard(f *testing.F) {
	f.Add([]byte(`{"partial" : "hello"}`), []byte(`{"result" : [{"conf" : 0.98, "end" : 1.2, "start" : 0.9, "word" : "hello"}], "text" : "hello"}`))
	f.Add([]byte(`{"alternatives" : [{"text" : "hello"}]}`), []byte(`{"text":""}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d := &dialect{window: make(chan struct{}, 1)}
		for _, in := range [][]byte{a, b, a} {
			if _, _, err := d.Heard(in); err != nil && len(err.Error()) > 100 {
				t.Fatalf("%v", err)
			}
		}
	})
}
