package deepgram

import "testing"

// FuzzHeard: whatever a server says, there is no panic, and an error holds none of it.
func FuzzHeard(f *testing.F) {
	f.Add([]byte(`{"type":"Results","start":1,"duration":0.5,"is_final":true,"channel":{"alternatives":[{"transcript":"a","words":[{"start":1}]}]}}`), []byte(`{"type":"Metadata"}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d := &dialect{}
		for _, in := range [][]byte{a, b, a} {
			if _, _, err := d.Heard(in); err != nil && len(err.Error()) > 100 {
				t.Fatalf("%v", err)
			}
		}
	})
}
