package recognize

import "strings"

// whisper are the codes of the languages that Whisper has been taught.
var whisper = strings.Fields(`af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it
	ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th
	tk tl tr tt uk ur uz vi yi yo yue zh`)

// WhisperCode is a tag as Whisper, and what is built on it, names the language; ok is false where it has not been taught that.
func WhisperCode(tag string) (code string, ok bool) {
	code = Primary(tag)
	if other, there := map[string]string{"nb": "no", "fil": "tl", "jv": "jw"}[code]; there {
		code = other
	}
	for _, c := range whisper {
		ok = ok || c == code
	}
	return code, ok
}
