package openai

import "testing"

// FuzzHeard: whatever a server says, there is no panic, and an error holds none of it.
func FuzzHeard(f *testing.F) {
	f.Add([]byte(`{"type":"input_audio_buffer.speech_started","item_id":"a","audio_start_ms":5}`), []byte(`{"type":"conversation.item.input_audio_transcription.completed","item_id":"a","transcript":"x"}`))
	f.Add([]byte(`{"type":"error","error":{"code":"x"}}`), []byte(`{"type":"input_audio_buffer.committed","item_id":"b"}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d := &dialect{items: map[string]*item{}}
		for _, in := range [][]byte{a, b, a} {
			if _, _, err := d.Heard(in); err != nil && len(err.Error()) > 100 {
				t.Fatalf("%v", err)
			}
		}
	})
}
