package config

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"jigasi/internal/xlog"
)

// Transcription is what turns speech into text, and where that goes.
type Transcription struct {
	Enabled    bool        `yaml:"enabled" doc:"Take the calls of a focus for a transcriber, which joins the room; needs a brewery, and an account of the hidden domain."`
	User       string      `yaml:"user" doc:"name@domain, the account by which transcribers join rooms; default xmpp.user."`
	Password   xlog.Secret `yaml:"password" doc:"Its password, or file:/path, or env:NAME."`
	Captions   bool        `yaml:"captions" doc:"Clients in the room get what is said as subtitles."`
	Chat       bool        `yaml:"chat" doc:"Sentences go into the chat of the room too."`
	Identities bool        `yaml:"identities" doc:"What the room knows of a speaker beside name and picture goes along: e-mail address, ids of the login."`
	Empty      Duration    `yaml:"empty_timeout" doc:"How long a transcriber stays in a room where nobody else is."`
	LastWords  Duration    `yaml:"last_words" doc:"How long the last words may take when a transcription ends."`

	Service  string       `yaml:"service" doc:"Speech service: vosk, whisper, google, openai, oracle or deepgram."`
	Fallback []string     `yaml:"fallback" doc:"Speech services to go on with, in this order, while the one before fails."`
	Rooms    []RoomRule   `yaml:"rooms" doc:"Another choice for some rooms; the first that matches counts."`
	Remote   RemoteChoice `yaml:"remote" doc:"A server of yours that chooses the speech service of each room; where it does not, the above counts."`
	Budget   Budget       `yaml:"budget" doc:"How many minutes may be sent to speech services. What is used is kept in directory, over a restart; without one it is counted anew."`
	Language string       `yaml:"language" doc:"What is spoken by those who do not say it: a tag such as en-US."`
	Gate     bool         `yaml:"gate" doc:"Send only speech to the service, with what is just before and after it; saves money where minutes are paid."`

	Directory   string   `yaml:"directory" doc:"Where transcripts are kept, each in a directory of its own; empty keeps nothing."`
	Save        []string `yaml:"save" doc:"Forms that are written at the end beside the journal: txt, json, vtt, srt."`
	KeepDays    int      `yaml:"keep_days" doc:"Days after which a transcript is erased, with its recording; 0 is never. Copies elsewhere stay."`
	WebReadable bool     `yaml:"web_readable" doc:"Let other users of the machine, such as a web server, read the forms (not the journal) whose names they know."`
	BaseURL     string   `yaml:"base_url" doc:"Where people find the directory, by transcription.http or a web server of yours; empty is nowhere."`
	Advertise   bool     `yaml:"advertise" doc:"Tell the room at the beginning where its transcript will be."`
	HTTP        Shelf    `yaml:"http" doc:"The HTTP server of transcripts."`
	Record      Record   `yaml:"record" doc:"Sound that is kept beside the transcript."`

	Posts         []string `yaml:"posts" doc:"URLs that are told of everything that is said, and who comes and goes, as JSON."`
	Actions       []Action `yaml:"actions" doc:"Who is told of sentences with a phrase in them."`
	Scripts       []string `yaml:"scripts" doc:"Programs that run when a transcript is whole, with its directory as the only argument."`
	ScriptTimeout Duration `yaml:"script_timeout" doc:"After which a script is killed, with its children."`
	S3            Bucket   `yaml:"s3" doc:"An S3-compatible store that gets a copy."`
	WebDAV        WebDAV   `yaml:"webdav" doc:"A WebDAV server that gets a copy."`
	Allow         []string `yaml:"allow" doc:"Hosts and networks that posts, actions and copies may reach although they are private, or by plain http://."`

	Export Export `yaml:"export" doc:"The service that the bridge itself sends meetings to: docs/transcription.md."`

	Vosk        Vosk        `yaml:"vosk" doc:"Vosk server."`
	Whisper     Whisper     `yaml:"whisper" doc:"Whisper of skynet."`
	Google      GoogleCloud `yaml:"google" doc:"Google Cloud Speech."`
	OpenAI      OpenAI      `yaml:"openai" doc:"OpenAI, or a server of your own with the same API."`
	Oracle      Oracle      `yaml:"oracle" doc:"Oracle Cloud (OCI) Speech, in real time."`
	Deepgram    Deepgram    `yaml:"deepgram" doc:"Deepgram."`
	Translation Translation `yaml:"translation" doc:"What people say, in the languages of others."`
}

// Vosk is a Vosk server, or several.
type Vosk struct {
	URL  string            `yaml:"url" doc:"WebSocket of the server."`
	URLs map[string]string `yaml:"urls" doc:"language: URL pairs, such as fr: ws://vosk-fr:2700, in place of url."`
}

// Whisper is the Whisper service of skynet.
type Whisper struct {
	URL      string      `yaml:"url" doc:"WebSocket of the server, without the id of a connection, such as wss://host/streaming-whisper/ws."`
	Key      xlog.Secret `yaml:"key" doc:"RSA key (PKCS#8, PEM or base64 on one line) for the login, or file:/path, or env:NAME."`
	KeyName  string      `yaml:"key_name" doc:"Name (kid) of that key."`
	Audience string      `yaml:"audience" doc:"Audience of the login."`
}

// GoogleCloud is Google Cloud Speech.
type GoogleCloud struct {
	Account     xlog.Secret `yaml:"account" doc:"The key itself (JSON) in place of credentials_file, or file:/path, or env:NAME."`
	Credentials string      `yaml:"credentials_file" doc:"Key of a service account (JSON), for speech and translation; default what GOOGLE_APPLICATION_CREDENTIALS or the machine has."`
	Project     string      `yaml:"project" doc:"Project of version 2 of the API; empty is version 1."`
	Location    string      `yaml:"location" doc:"Location of version 2, such as eu."`
	Model       string      `yaml:"model" doc:"The model."`
	Punctuation bool        `yaml:"punctuation" doc:"Write punctuation."`
	Phrases     []string    `yaml:"phrases" doc:"Words and names that are likely."`
}

// OpenAI is speech to text by the API of OpenAI.
type OpenAI struct {
	URL      string      `yaml:"url" doc:"The API, up to /v1; also of a server of your own."`
	Key      xlog.Secret `yaml:"key" doc:"API key, or file:/path, or env:NAME."`
	Model    string      `yaml:"model" doc:"The model, such as whisper-1."`
	Realtime bool        `yaml:"realtime" doc:"A WebSocket for each speaker, with interims, instead of a request for each utterance."`
}

// Oracle is the speech service of Oracle Cloud.
type Oracle struct {
	URL         string   `yaml:"url" doc:"WebSocket of the region, such as wss://realtime.aiservice.us-ashburn-1.oci.oraclecloud.com."`
	Compartment string   `yaml:"compartment" doc:"OCID of the compartment."`
	ConfigFile  string   `yaml:"config_file" doc:"OCI configuration; default OCI_CONFIG_FILE, else ~/.oci/config."`
	Profile     string   `yaml:"profile" doc:"Profile in that file."`
	Interim     Duration `yaml:"interim_silence" doc:"Silence after which there is an interim."`
	Final       Duration `yaml:"final_silence" doc:"Silence that ends an utterance."`
}

// Deepgram is Deepgram.
type Deepgram struct {
	URL   string      `yaml:"url" doc:"WebSocket of the service."`
	Key   xlog.Secret `yaml:"key" doc:"API key, or file:/path, or env:NAME."`
	Model string      `yaml:"model" doc:"The model."`
	Opus  bool        `yaml:"opus" doc:"Send sound as it comes from the browser, in Opus, in place of PCM: a tenth of the traffic."`
}

// Translation is the translator.
type Translation struct {
	Service string          `yaml:"service" doc:"none, google, libre, deepl, bing or openai."`
	Google  GoogleTranslate `yaml:"google" doc:"Google Cloud Translation."`
	Libre   LibreTranslate  `yaml:"libre" doc:"LibreTranslate."`
	DeepL   DeepL           `yaml:"deepl" doc:"DeepL."`
	Bing    Bing            `yaml:"bing" doc:"Azure Translator."`
	OpenAI  OpenAIChat      `yaml:"openai" doc:"A chat model behind the API of OpenAI."`
}

// GoogleTranslate is Google Cloud Translation.
type GoogleTranslate struct {
	Key xlog.Secret `yaml:"key" doc:"API key, or file:/path, or env:NAME."`
}

// LibreTranslate is LibreTranslate.
type LibreTranslate struct {
	URL string      `yaml:"url" doc:"Its /translate."`
	Key xlog.Secret `yaml:"key" doc:"API key, or file:/path, or env:NAME, where the server wants one."`
}

// DeepL is DeepL.
type DeepL struct {
	URL string      `yaml:"url" doc:"Its /v2/translate; default that of the key's plan."`
	Key xlog.Secret `yaml:"key" doc:"API key, or file:/path, or env:NAME."`
}

// Bing is the Translator of Azure.
type Bing struct {
	Endpoint string      `yaml:"endpoint" doc:"Its address."`
	Version  string      `yaml:"api_version" doc:"Version of its API."`
	Key      xlog.Secret `yaml:"key" doc:"Subscription key, or file:/path, or env:NAME."`
	Region   string      `yaml:"region" doc:"Region of the subscription, if it has one."`
}

// OpenAIChat is a chat model.
type OpenAIChat struct {
	URL   string      `yaml:"url" doc:"The API, up to /v1; also of a server of your own."`
	Key   xlog.Secret `yaml:"key" doc:"API key, or file:/path, or env:NAME."`
	Model string      `yaml:"model" doc:"The model."`
}

func defaultTranscription() Transcription {
	return Transcription{
		Captions: true, Empty: 30 * time.Second, LastWords: 10 * time.Second,
		Service: "vosk", Language: "en-US", Directory: "/var/lib/jigasi/transcripts", Save: []string{"txt"},
		HTTP: Shelf{Host: "127.0.0.1"}, Record: defaultRecord(), ScriptTimeout: defaultScriptTimeout, Export: defaultExport(),
		Vosk:     Vosk{URL: "ws://localhost:2700"},
		Whisper:  Whisper{URL: "ws://localhost:8000/ws", Audience: "jitsi"},
		Google:   GoogleCloud{Location: "global", Model: "latest_long", Punctuation: true},
		Remote:   RemoteChoice{Cache: time.Minute},
		Budget:   Budget{Period: 30 * 24 * time.Hour},
		OpenAI:   OpenAI{URL: "https://api.openai.com/v1", Model: "gpt-4o-mini-transcribe"},
		Oracle:   Oracle{Profile: "DEFAULT", Interim: 500 * time.Millisecond, Final: 500 * time.Millisecond},
		Deepgram: Deepgram{URL: "wss://api.deepgram.com/v1/listen", Model: "nova-3"},
		Translation: Translation{
			Service: "none", Libre: LibreTranslate{URL: "http://libretranslate:5000/translate"},
			Bing:   Bing{Endpoint: "https://api.cognitive.microsofttranslator.com", Version: "3.0"},
			OpenAI: OpenAIChat{URL: "https://api.openai.com/v1", Model: "gpt-4o-mini"},
		},
	}
}

var (
	speechServices    = []string{"vosk", "whisper", "google", "openai", "oracle", "deepgram"}
	translateServices = []string{"none", "google", "libre", "deepl", "bing", "openai"}
	transcriptForms   = []string{"txt", "json", "vtt", "srt"}
)

func (t *Transcription) secrets() []xlog.Secret {
	tr := &t.Translation
	return append(t.archiveSecrets(), []xlog.Secret{t.Password, t.Export.Token, t.Remote.Key, t.Google.Account, t.Whisper.Key, t.OpenAI.Key, t.Deepgram.Key, tr.Google.Key, tr.Libre.Key, tr.DeepL.Key, tr.Bing.Key, tr.OpenAI.Key}...)
}

func (l *loader) checkTranscription(t *Transcription) {
	const key = "transcription."
	l.checkExport(&t.Export, t.Translation.Service)
	l.checkSpeech(t)
	l.checkArchive(t)
	l.oneOf(key+"service", t.Service, speechServices...)
	l.oneOf(key+"translation.service", t.Translation.Service, translateServices...)
	for _, f := range t.Save {
		l.oneOf(key+"save", f, transcriptForms...)
	}
	l.checkTranscriber(t)
	if t.Language == "" {
		l.at(Error, key+"language", "is empty; a tag such as en-US")
	}
	l.serviceURL(key+"vosk.url", t.Vosk.URL, "ws", "wss")
	for _, u := range t.Vosk.URLs {
		l.serviceURL(key+"vosk.urls", u, "ws", "wss")
	}
	l.serviceURL(key+"whisper.url", t.Whisper.URL, "ws", "wss")
	if (t.Whisper.Key == "") != (t.Whisper.KeyName == "") {
		l.at(Warning, key+"whisper.key", "goes together with whisper.key_name: without both there is no login")
	}
	l.path(key+"google.credentials_file", &t.Google.Credentials)
	l.serviceURL(key+"openai.url", t.OpenAI.URL, "http", "https")
	l.serviceURL(key+"deepgram.url", t.Deepgram.URL, "ws", "wss")
	l.serviceURL(key+"oracle.url", t.Oracle.URL, "ws", "wss")
	for _, service := range t.named() {
		l.checkService(t, service)
	}
	tr := &t.Translation
	for name, secret := range map[string]xlog.Secret{"deepl": tr.DeepL.Key, "bing": tr.Bing.Key} {
		if tr.Service == name && secret == "" {
			l.at(Error, key+"translation."+name+".key", "is missing: without it %s translates nothing", name)
		}
	}
	l.serviceURL(key+"translation.libre.url", tr.Libre.URL, "http", "https")
	l.serviceURL(key+"translation.deepl.url", tr.DeepL.URL, "http", "https")
	l.serviceURL(key+"translation.bing.endpoint", tr.Bing.Endpoint, "http", "https")
	l.serviceURL(key+"translation.openai.url", tr.OpenAI.URL, "http", "https")
}

// serviceURL wants a URL with one of two schemes, the second being the safe one.
func (l *loader) serviceURL(key, s, plain, safe string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != plain && u.Scheme != safe {
		l.at(Error, key, "begins with %s:// or %s://", safe, plain)
	}
}

// classes are the names that Jigasi has for its services.
var (
	speechClasses = map[string]string{
		"VoskTranscriptionService": "vosk", "VOSK": "vosk",
		"WhisperTranscriptionService": "whisper", "EGHT_WHISPER": "whisper",
		"GoogleCloudTranscriptionService": "google", "GOOGLE": "google",
		"OracleTranscriptionService": "oracle", "ORACLE_CLOUD_AI_SPEECH": "oracle",
	}
	translateClasses = map[string]string{
		"GoogleCloudTranslationService": "google", "LibreTranslateTranslationService": "libre", "BingTranslationService": "bing",
	}
)

// composeTranscription reads the properties of transcription that need more than a row.
func (old *legacy) composeTranscription() {
	t := &old.cfg.Transcription
	if p := old.props[prefixJigasi+"ENABLE_TRANSCRIPTION"]; strings.EqualFold(p.value, "true") {
		old.mark("transcription.enabled", p.place)
		t.Enabled, t.Service = true, "google" // Jigasi's own default
	}
	if strings.EqualFold(old.get(prefixWords+"USE_VIDEO_MODEL"), "true") && old.get(prefixWords+"google_model") == "" {
		t.Google.Model = "video"
	}
	old.class(prefixWords+"customService", speechClasses, &t.Service, "transcription.service")
	if strings.EqualFold(old.get(prefixWords+"ENABLE_TRANSLATION"), "true") {
		t.Translation.Service = "google"
		old.class(prefixWords+"translationService", translateClasses, &t.Translation.Service, "transcription.translation.service")
	}
	if p := old.props[prefixWords+"vosk.websocket_url"]; strings.HasPrefix(p.value, "{") {
		t.Vosk.URLs = map[string]string{}
		old.mark("transcription.vosk.urls", p.place)
		if err := json.Unmarshal([]byte(p.value), &t.Vosk.URLs); err != nil {
			old.warn(Error, p, "is neither a URL nor a JSON object of languages and URLs")
		}
	} else if p.value != "" {
		t.Vosk.URL = p.value
		old.mark("transcription.vosk.url", p.place)
	}
	old.remoteKey()
	old.composeArchive()
}

// class reads the name of a Java class, whole or short, or of a type.
func (old *legacy) class(key string, known map[string]string, to *string, ours string) {
	p := old.props[key]
	if p.value == "" {
		return
	}
	old.mark(ours, p.place)
	name, ok := known[p.value[strings.LastIndexByte(p.value, '.')+1:]]
	if !ok {
		old.warn(Error, p, "is no service that is known here; name one of %s in %s", strings.Join(sortedNames(known), ", "), ours)
		return
	}
	*to = name
}

func sortedNames(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
