package whisper

import "testing"

// FuzzHeard: whatever a server says, there is no panic, and an error holds none of it.
func FuzzHeard(f *testing.F) {
	f.Add([]byte(`{"participant_id":"x","text":"a","type":"final","variance":1}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, in := range [][]byte{a, b, a} {
			if _, r, err := parse(in); err != nil && (len(err.Error()) > 100 || r.Text != "") {
				t.Fatalf("%v", err)
			}
		}
	})
}
