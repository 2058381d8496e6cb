package oracle

import "testing"

// FuzzHeard: whatever a server says, there is no panic, and an error holds none of it.
func FuzzHeard(f *testing.F) {
	f.Add([]byte(`{"event":"RESULT","transcriptions":[{"transcription":" a","isFinal":true,"startTimeInMs":1,"endTimeInMs":2}]}`), []byte(`{"event":"ERROR","code":"x"}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d := &dialect{}
		for _, in := range [][]byte{a, b, a} {
			if _, _, err := d.Heard(in); err != nil && len(err.Error()) > 100 {
				t.Fatalf("%v", err)
			}
		}
	})
}
