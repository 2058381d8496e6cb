package sipinfo

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWritten(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(Plain(Heartbeat)), `{"t":11}`},
		{string(Numbered(0, LobbyJoined)), `{"i":0,"t":3}`},
		{string(Flag(Moderation, true)), `{"t":8,"d":true}`},
		{string(Flag(Live, false)), `{"t":15,"d":false}`},
		{string(MuteRequest("7", true)), `{"type":"muteRequest","data":{"audio":true},"id":"7"}`},
		{string(MuteResponse("7", false, true)), `{"type":"muteResponse","data":{"audio":false},"id":"7","status":"OK"}`},
		{string(MuteResponse("a\"b", true, false)), `{"type":"muteResponse","data":{"audio":true},"id":"a\"b","status":"FAILED"}`},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		body string
		want Message
		err  bool
	}{
		{`{"t":11}`, Message{Kind: Beat}, false},
		{` {"t":4,"d":{"pwd":"s\u00e9same"}} `, Message{Kind: GivePassword, Password: "sésame"}, false},
		{`{"type":"muteRequest","id":"x","data":{"audio":true}}`, Message{Kind: AskMute, ID: "x", Mute: true}, false},
		{`{"type":"MUTEREQUEST","id":"x","data":{"audio":false}}`, Message{Kind: AskMute, ID: "x"}, false},
		{`{"type":"muteResponse","id":"x","status":"ok","data":{"audio":true}}`, Message{Kind: ConfirmMute, ID: "x", Mute: true, OK: true}, false},
		{`{"type":"muteResponse","id":"x","status":"FAILED","data":{"audio":true}}`, Message{Kind: ConfirmMute, ID: "x", Mute: true}, false},
		{`{"type":"muteResponse","id":"x","data":{"audio":true}}`, Message{Kind: ConfirmMute, ID: "x", Mute: true}, false},
		{`{"t":99,"d":[1,{"a":2}],"new":"field"}`, Message{}, false},
		{`{"type":"dance","id":"x"}`, Message{}, false},
		{`{}`, Message{}, false},
		{`{"type":"muteRequest","data":{"audio":true}}`, Message{}, true},
		{`{"type":"muteRequest","id":"x"}`, Message{}, true},
		{`{"type":"muteRequest","id":"x","data":{"audio":"yes"}}`, Message{}, true},
		{`{"t":"11"}`, Message{}, true},
		{`{"t":4}`, Message{}, true},
		{`{"t":4,"d":{"pwd":""}}`, Message{}, true},
		{`{"t":4,"d":"secret"}`, Message{}, true},
		{`{"t":11}{"t":11}`, Message{}, true},
		{`[1]`, Message{}, true},
		{`"x"`, Message{}, true},
		{``, Message{}, true},
		{`{"t":11`, Message{}, true},
		{`{"t":11,"x":"` + strings.Repeat("y", maxBody) + `"}`, Message{}, true},
		{strings.Repeat(`{"d":`, 5000), Message{}, true},
	} {
		got, err := Parse([]byte(c.body))
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%.60s: %+v, %v; want %+v, error %v", c.body, got, err, c.want, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the body: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"t":4,"d":{"pwd":"x"}}`))
	f.Add([]byte(`{"type":"muteResponse","id":"x","status":"OK","data":{"audio":true}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Parse(body)
		if err != nil && m != (Message{}) {
			t.Errorf("an error and %+v", m)
		}
		if err == nil && !json.Valid(body) {
			t.Errorf("%q is no JSON", body)
		}
		if m.Kind == AskMute {
			again, err := Parse(MuteRequest(m.ID, m.Mute))
			if err != nil || again != (Message{Kind: AskMute, ID: m.ID, Mute: m.Mute}) {
				t.Errorf("%+v comes back as %+v, %v", m, again, err)
			}
		}
	})
}
