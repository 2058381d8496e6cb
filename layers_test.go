package jigasi_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// layers is the map of the house: a package may import packages of strictly
// lower layers, and nothing else of ours. A package that is not here fails.
var layers = map[string]int{
	"asap": 0, "audio": 0, "cause": 0, "xlog": 0, "stanza": 0, "locate": 0, "callerid": 1, "digest": 0, "media": 0, "twin": 0, "news": 0, "qos": 0, "dialplan": 1, "config": 1,
	"sdp": 1, "rtpx": 1, "siptx": 1, "jingle": 1, "meetxml": 1, "rayo": 1, "sipinfo": 1,
	"codec": 2, "jitter": 2, "xmpp": 2, "sip": 2, "bridge": 2,
	"queue": 2, "leg": 3, "rtpport": 3, "conference": 3, "room": 3, "prompt": 3,
	"sipleg": 4, "meetmedia": 4, "meetleg": 5, "testleg": 4,
	"call": 5, "probe": 5,
	"exchange": 6,
	"control":  7, "admin": 7,
	"app": 9, "cli": 9,
	// Speech to text.
	"egress": 0, "transcript": 1, "recognize": 2, "translate": 2, "recognize/socket": 3, "recognize/prove": 3, "scribe": 3,
	"translate/bing": 3, "translate/deepl": 3, "translate/google": 3, "translate/libre": 3, "translate/openai": 3,
	"recognize/vosk": 4, "recognize/oracle": 4, "recognize/google": 4, "gcloud": 1, "recognize/deepgram": 4, "recognize/openai": 4, "recognize/whisper": 4, "words": 8, "lab/voskd": 3,
	"deposit": 1, "recording": 3, "archive": 4, "shelf": 2, "export": 5,
	// The transcriber that joins meetings.
	"talk": 3, "scribeleg": 5,
	// The lab imports layers 0 to 2; demo is a command that joins lab and app.
	"lab/soak": 0, "lab/ports": 0, "lab/liveq": 0, "lab/relay": 0, "lab": 5, "lab/client": 3, "lab/xmppd": 3, "lab/focus": 4, "lab/sfu": 3, "lab/bot": 3, "lab/phone": 3, "lab/peers": 5,
	"demo": 10, "bench": 10,
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "jigasi/internal/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const prefix = "jigasi/internal/"
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, prefix)
		level, ok := layers[name]
		if !ok {
			t.Errorf("%s is not in the layer list: add it to layers_test.go and ARCHITECTURE.md", name)
			continue
		}
		for _, imp := range p.Imports {
			low, ours := strings.CutPrefix(imp, prefix)
			if !ours {
				continue
			}
			if layers[low] >= level {
				t.Errorf("%s (layer %d) imports %s (layer %d): imports point down", name, level, low, layers[low])
			}
			if low == "config" && level < 8 && !strings.HasPrefix(name, "lab") {
				t.Errorf("%s imports config: only app, demo and cmd may; give it an Options struct", name)
			}
		}
	}
}
