package config

import (
	"encoding/json"
	"slices"
	"strings"

	"jigasi/internal/xlog"
)

// RoomRule is another choice of speech services for some rooms.
type RoomRule struct {
	Match    string   `yaml:"match" doc:"Rooms: a pattern of their address with * and ?, such as *@conference.school.example; or meeting ids, which is what a bridge names where its URL has no room."`
	Service  string   `yaml:"service" doc:"Speech service; default transcription.service."`
	Fallback []string `yaml:"fallback" doc:"Services to go on with; default transcription.fallback."`
	Minutes  int      `yaml:"minutes" doc:"Minutes of sound in place of budget.room; 0 is those."`
}

// RemoteChoice asks a server of the operator which speech service a room uses.
type RemoteChoice struct {
	URL      string      `yaml:"url" doc:"Asked with ?conferenceFullName=ROOM when a meeting begins; answers {\"transcriberType\": \"VOSK\"}. Empty is not used; {tenant} stands for the tenant of the room."`
	Key      xlog.Secret `yaml:"key" doc:"RSA key (PKCS#8, PEM or base64 on one line) for the login, or file:/path, or env:NAME."`
	KeyName  string      `yaml:"key_name" doc:"Name (kid) of that key."`
	Audience string      `yaml:"audience" doc:"Audience of the login."`
	Cache    Duration    `yaml:"cache" doc:"How long an answer is good for the same room."`
}

// Budget is how much may be sent to speech services that cost money.
type Budget struct {
	Room    int      `yaml:"room" doc:"Minutes of sound of a room in each period, all speakers together; 0 is no limit."`
	Tenant  int      `yaml:"tenant" doc:"Minutes of all rooms of a tenant, which is what stands in brackets before the room's name, else the domain behind it; 0 is no limit."`
	Period  Duration `yaml:"period" doc:"After so long minutes are counted anew."`
	Service string   `yaml:"service" doc:"Service to go on with when the minutes are used up, one of your own that costs nothing; its own minutes are not counted. Empty ends captions."`
}

// SpeechService is our name of a speech service that is given by our name, by the class of Jigasi, whole or short, or
// by the word of its remote configuration.
func SpeechService(name string) (string, bool) {
	name = strings.TrimSpace(name)
	for _, s := range speechServices {
		if name == s {
			return s, true
		}
	}
	s, ok := speechClasses[name[strings.LastIndexByte(name, '.')+1:]]
	return s, ok
}

// named are the services that may be used, each once.
func (t *Transcription) named() []string {
	all := append([]string{t.Service, t.Budget.Service}, t.Fallback...)
	for _, r := range t.Rooms {
		all = append(append(all, r.Service), r.Fallback...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkService wants what a service cannot do without.
func (l *loader) checkService(t *Transcription, name string) {
	const key = "transcription."
	switch {
	case name == "oracle" && (t.Oracle.URL == "" || t.Oracle.Compartment == ""):
		l.at(Error, key+"oracle", "needs url and compartment")
	case name == "deepgram" && t.Deepgram.Key == "":
		l.at(Error, key+"deepgram.key", "is missing: Deepgram refuses everybody without one")
	case name == "openai" && t.OpenAI.Key == "" && strings.HasPrefix(t.OpenAI.URL, "https://api.openai.com/"):
		l.at(Warning, key+"openai.key", "is missing: OpenAI refuses everybody without one")
	}
}

func (l *loader) checkSpeech(t *Transcription) {
	const key = "transcription."
	for _, s := range t.Fallback {
		l.oneOf(key+"fallback", s, speechServices...)
	}
	for _, r := range t.Rooms {
		if r.Match == "" {
			l.at(Error, key+"rooms", "wants match in each: a pattern of rooms such as *@conference.school.example")
		}
		if r.Service != "" {
			l.oneOf(key+"rooms", r.Service, speechServices...)
		}
		for _, s := range r.Fallback {
			l.oneOf(key+"rooms", s, speechServices...)
		}
		l.within(key+"rooms", r.Minutes, 0, 10_000_000)
	}
	l.serviceURL(key+"remote.url", t.Remote.URL, "http", "https")
	if some := t.Remote.Key != "" || t.Remote.KeyName != "" || t.Remote.Audience != ""; some && (t.Remote.Key == "" || t.Remote.KeyName == "" || t.Remote.Audience == "") {
		l.at(Warning, key+"remote.key", "goes together with remote.key_name and remote.audience: without all three there is no login")
	}
	l.within(key+"budget.room", t.Budget.Room, 0, 10_000_000)
	l.within(key+"budget.tenant", t.Budget.Tenant, 0, 100_000_000)
	if t.Budget.Service != "" {
		l.oneOf(key+"budget.service", t.Budget.Service, speechServices...)
	}
}

// remoteKey reads the key of the remote configuration: a file, or as Jigasi's README has it, the key itself.
func (old *legacy) remoteKey() {
	const at = prefixWords + "remoteTranscriptionConfigUrl."
	to := &old.cfg.Transcription.Remote.Key
	if p := old.props[at+"key"]; p.value != "" {
		*to = xlog.Secret(p.value)
		old.mark("transcription.remote.key", p.place)
	}
	p := old.props[at+"keyPath"]
	if p.value == "" {
		return
	}
	old.mark("transcription.remote.key", p.place)
	key, err := old.loader.secret("file:" + p.value)
	if err != nil {
		old.warn(Warning, p, "%v: there is no login", err)
		return
	}
	*to = xlog.Secret(key)
}

// googleAccount makes the key of a service account of the container's variables, as its template does.
func (d *docker) googleAccount() {
	d.from = "GC_PROJECT_ID"
	if d.or("GC_PRIVATE_KEY", "") == "" || d.or("GC_CLIENT_EMAIL", "") == "" {
		for _, name := range []string{"GC_PROJECT_ID", "GC_PRIVATE_KEY_ID", "GC_PRIVATE_KEY", "GC_CLIENT_EMAIL", "GC_CLIENT_ID", "GC_CLIENT_CERT_URL"} {
			if d.or(name, "") != "" {
				d.loader.add(Warning, 0, name, "has no effect without both GC_PRIVATE_KEY and GC_CLIENT_EMAIL")
			}
		}
		return
	}
	key := strings.Trim(d.or("GC_PRIVATE_KEY", ""), `"`)
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": d.or("GC_PROJECT_ID", ""), "private_key_id": d.or("GC_PRIVATE_KEY_ID", ""),
		"private_key": strings.ReplaceAll(key, `\n`, "\n"), "client_email": d.or("GC_CLIENT_EMAIL", ""), "client_id": d.or("GC_CLIENT_ID", ""),
		"auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs", "client_x509_cert_url": d.or("GC_CLIENT_CERT_URL", ""),
	})
	if err == nil { // it is a map of strings
		d.cfg.Transcription.Google.Account = xlog.Secret(b)
		d.mark("transcription.google.account", place{file: "environment", name: "GC_PRIVATE_KEY"})
	}
}
