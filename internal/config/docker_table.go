package config

import "strings"

// A variable is what became of one of the container image's. Without to it has no effect, and note says why;
// a name that ends in * stands for all that begin so.
type variable struct {
	name     string
	to       string // key of jigasi.yaml
	property string // where it is one property, that property
	fallback string // value of property where the variable is not set
	note     string
}

const (
	webs      = "of the web container"
	sidecars  = "the sidecar is a process of its own; it reads /about/stats and may run graceful_shutdown.sh"
	accounts0 = "breweries[].xmpp.server, xmpp.server"
)

// variables are those of the container image, in the order of what they are about.
var variables = []variable{
	{name: "JIGASI_SIP_URI", to: "sip.accounts[].uri", note: "user@domain"},
	{name: "JIGASI_SIP_PASSWORD", to: "sip.accounts[].password", note: "plain text"},
	{name: "JIGASI_SIP_SERVER", to: "sip.accounts[].registrar, sip.accounts[].proxy"},
	{name: "JIGASI_SIP_PORT", to: "sip.accounts[].proxy", note: "5060"},
	{name: "JIGASI_SIP_TRANSPORT", to: "sip.accounts[].transport", note: "UDP, TCP or TLS"},
	{name: "JIGASI_SIP_DEFAULT_ROOM", to: "meeting.default_room", property: prefixJigasi + "DEFAULT_JVB_ROOM_NAME"},
	{name: "JIGASI_SIP_KEEP_ALIVE_METHOD", to: "sip.accounts[].keep_alive", note: "every 25 s"},
	{name: "JIGASI_ENABLE_SDES_SRTP", to: "sip.accounts[].srtp", note: "required when it is on"},
	{name: "JIGASI_PORT_MIN", to: "media.min_port", property: prefixService + "MIN_MEDIA_PORT_NUMBER", fallback: "20000"},
	{name: "JIGASI_PORT_MAX", to: "media.max_port", property: prefixService + "MAX_MEDIA_PORT_NUMBER", fallback: "20050"},
	{name: "JIGASI_HEALTH_CHECK_SIP_URI", to: "health.sip_uri", property: prefixJigasi + "HEALTH_CHECK_SIP_URI"},
	{name: "JIGASI_HEALTH_CHECK_INTERVAL", to: "health.interval", property: prefixJigasi + "HEALTH_CHECK_INTERVAL", note: "ms"},
	{name: "USE_TRANSLATOR_IN_CONFERENCE", to: "sip.accounts[].forward"},
	{name: "ENABLE_VISITORS", to: "visitors.enabled"},
	{name: "JIGASI_VISITORS_QUEUE_SERVICE_URL", to: "visitors.queue.url", property: prefixJigasi + "VISITOR_QUEUE_SERVICE"},
	{name: "JIGASI_VISITORS_QUEUE_SERVICE_PRIVATE_KEY_PATH", to: "visitors.queue.key_file", property: prefixJigasi + "VISITOR_QUEUE_SERVICE_PRIVATE_KEY_PATH"},
	{name: "JIGASI_VISITORS_QUEUE_SERVICE_PRIVATE_KEY_ID", to: "visitors.queue.key_id", property: prefixJigasi + "VISITOR_QUEUE_SERVICE_PRIVATE_KEY_ID"},
	{name: "JIGASI_DISABLE_SIP", note: nobody},

	{name: "JIGASI_MODE", to: "sip.enabled, transcription.enabled", note: "transcriber: rooms are transcribed, and there are no calls"},
	{name: "JIGASI_XMPP_USER", to: "breweries[].xmpp.user", note: "jigasi"},
	{name: "JIGASI_XMPP_PASSWORD", to: "breweries[].xmpp.password", note: "plain text"},
	{name: "JIGASI_BREWERY_MUC", to: "breweries[].room, dial_out.allowed", note: "jigasibrewery"},
	{name: "JIGASI_JVB_TIMEOUT", to: "meeting.invite_timeout", property: prefixJigasi + "JVB_INVITE_TIMEOUT", note: "ms"},
	{name: "JIGASI_LOCAL_REGION", to: "meeting.region", property: prefixJigasi + "LOCAL_REGION"},
	{name: "JIGASI_STATS_ID", to: "meeting.stats_id"},
	{name: "JIGASI_INSTANCE_ID", to: "meeting.stats_id", note: "where JIGASI_STATS_ID is not set"},
	{name: "JIGASI_TRUSTED_DOMAINS", to: "meeting.trusted_domains", property: prefixJigasi + "TRUSTED_DOMAINS", note: "separated by commas, or a JSON array"},
	{name: "JIGASI_ENABLE_REST", to: "admin.host", note: "0.0.0.0, but only with a token; else it stays on loopback, with a warning"},
	{name: "JIGASI_REST_TOKEN", to: "admin.token", property: prefixJigasi + "rest.token", note: "new"},
	{name: "SHUTDOWN_REST_ENABLED", to: "admin.shutdown"},
	{name: "JIGASI_CONFIGURATION", to: "any", note: "property=value, separated by commas"},
	{name: "JIGASI_CONFIG", to: "the file", note: "new: path of a jigasi.yaml or property file to use in place of the variables"},
	{name: "JIGASI_CONFIG_BODY", to: "the file", note: "new: the text of a jigasi.yaml"},
	{name: "JIGASI_LOG_FILE", note: "the log goes to standard error: let the container's log driver keep it"},
	{name: "JIGASI_SENTRY_DSN", note: "there is no Sentry"},
	{name: "SENTRY_ENVIRONMENT", note: "there is no Sentry"},
	{name: "SENTRY_RELEASE", note: "there is no Sentry"},
	{name: "BOSH_URL_PATTERN", to: "xmpp.url, breweries[].call_url", property: prefixCall + "BOSH_URL_PATTERN"},
	{name: "XMPP_SERVER", to: accounts0, note: "a list of host, host:port or host:port:id: a brewery each"},
	{name: "XMPP_PORT", to: accounts0, note: "5222"},
	{name: "XMPP_DOMAIN", to: "meeting.domain", note: "meet.jitsi"},
	{name: "XMPP_AUTH_DOMAIN", to: "breweries[].xmpp.user, xmpp.user", note: "auth.meet.jitsi"},
	{name: "XMPP_GUEST_DOMAIN", to: "xmpp.domain", note: "guest.meet.jitsi, with ENABLE_AUTH and ENABLE_GUESTS"},
	{name: "XMPP_MUC_DOMAIN", to: "meeting.muc", property: prefixJigasi + "MUC_SERVICE_ADDRESS", fallback: "muc.meet.jitsi"},
	{name: "XMPP_INTERNAL_MUC_DOMAIN", to: "breweries[].room", note: "internal-muc.meet.jitsi"},
	{name: "XMPP_HIDDEN_DOMAIN", to: "xmpp.user", note: "of the transcriber: hidden.meet.jitsi"},
	{name: "XMPP_RECORDER_DOMAIN", to: "xmpp.user", note: "old name of XMPP_HIDDEN_DOMAIN"},
	{name: "ENABLE_AUTH", to: "xmpp.user", note: "calls log in with a password"},
	{name: "ENABLE_GUESTS", to: "xmpp.domain", note: "with ENABLE_AUTH: calls log in as guests"},
	{name: "PUBLIC_URL", to: "transcription.base_url", note: "with /transcripts after it, in transcriber mode"},
	{name: "TZ", note: "read by the operating system: the log's time zone"},
	{name: "JIGASI_STATS_PORT", to: "admin.port", property: prefixJigasi + "rest.jetty.port"},
	{name: "AUTOSCALER_URL", note: sidecars},
	{name: "AUTOSCALER_SIDECAR_*", note: sidecars},

	{name: "ENABLE_TRANSCRIPTIONS", note: webs},
	{name: "JIGASI_TRANSCRIBER_USER", to: "xmpp.user", note: "transcriber, in transcriber mode"},
	{name: "JIGASI_TRANSCRIBER_PASSWORD", to: "xmpp.password", note: "in transcriber mode"},
	{name: "JIGASI_TRANSCRIBER_CUSTOM_SERVICE", to: "transcription.service", property: prefixWords + "customService"},
	{name: "JIGASI_TRANSCRIBER_WHISPER_URL", to: "transcription.whisper.url", property: prefixWords + "whisper.websocket_url"},
	{name: "JIGASI_TRANSCRIBER_WHISPER_PRIVATE_KEY", to: "transcription.whisper.key", property: prefixWords + "whisper.private_key"},
	{name: "JIGASI_TRANSCRIBER_WHISPER_PRIVATE_KEY_NAME", to: "transcription.whisper.key_name", property: prefixWords + "whisper.private_key_name"},
	{name: "JIGASI_TRANSCRIBER_OCI_REGION", to: "transcription.oracle.url"},
	{name: "JIGASI_TRANSCRIBER_OCI_COMPARTMENT", to: "transcription.oracle.compartment", property: prefixWords + "oci.compartmentId"},
	{name: "JIGASI_TRANSCRIBER_VOSK_URL", to: "transcription.vosk.url, transcription.vosk.urls", property: prefixWords + "vosk.websocket_url"},
	{name: "JIGASI_TRANSCRIBER_ENABLE_TRANSLATION", to: "transcription.translation.service"},
	{name: "JIGASI_TRANSCRIBER_CUSTOM_TRANSLATION_SERVICE", to: "transcription.translation.service", property: prefixWords + "translationService"},
	{name: "JIGASI_TRANSCRIBER_LIBRETRANSLATE_URL", to: "transcription.translation.libre.url", property: prefixWords + "libreTranslate.api_url"},
	{name: "JIGASI_TRANSCRIBER_FILTER_SILENCE", to: "transcription.gate"},
	{name: "JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL", to: "transcription.remote.url", property: prefixWords + "remoteTranscriptionConfigUrl"},
	{name: "JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL_KEY_PATH", to: "transcription.remote.key", property: prefixWords + "remoteTranscriptionConfigUrl.keyPath", note: "the file is read"},
	{name: "JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL_KEY_ID", to: "transcription.remote.key_name", property: prefixWords + "remoteTranscriptionConfigUrl.kid"},
	{name: "JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL_AUD", to: "transcription.remote.audience", property: prefixWords + "remoteTranscriptionConfigUrl.aud"},
	{name: "GC_PROJECT_ID", to: "transcription.google.account", note: "of the service account"},
	{name: "GC_PRIVATE_KEY_ID", to: "transcription.google.account", note: "of the service account"},
	{name: "GC_PRIVATE_KEY", to: "transcription.google.account", note: "of the service account; needed"},
	{name: "GC_CLIENT_EMAIL", to: "transcription.google.account", note: "of the service account; needed"},
	{name: "GC_CLIENT_ID", to: "transcription.google.account", note: "of the service account"},
	{name: "GC_CLIENT_CERT_URL", to: "transcription.google.account", note: "of the service account"},
	{name: "JIGASI_TRANSCRIBER_ENABLE_SAVING", to: "transcription.directory, transcription.save", note: "1, in transcriber mode: text in /tmp/transcripts, which the web container serves"},
	{name: "JIGASI_TRANSCRIBER_ADVERTISE_URL", to: "transcription.advertise", property: prefixWords + "ADVERTISE_URL"},
	{name: "JIGASI_TRANSCRIBER_RECORD_AUDIO", to: "transcription.record.format", property: prefixWords + "RECORD_AUDIO"},
	{name: "JIGASI_TRANSCRIBER_SEND_TXT", to: "transcription.chat", property: prefixWords + "SEND_TXT"},

	{name: "CONFCODE_URL", note: webs}, {name: "DIALIN_NUMBERS_URL", note: webs}, {name: "DIALOUT_AUTH_URL", note: webs},
	{name: "DIALOUT_CODES_URL", note: webs}, {name: "ENABLE_JAAS_COMPONENTS", note: webs}, {name: "TRANSLATION_LANGUAGES", note: webs},
	{name: "TRANSLATION_LANGUAGES_HEAD", note: webs}, {name: "USE_APP_LANGUAGE", note: webs}, {name: "PREFERRED_LANGUAGE", note: webs},
	{name: "AUTO_CAPTION_ON_RECORD", note: webs}, {name: "DISABLE_START_FOR_ALL", note: webs}, {name: "ENABLE_AUDIO_TRANSLATION", note: webs},
}

// noticed are the variables without effect that are worth a word when they are set: those that are meant for us.
func noticed(v variable) bool {
	return v.to == "" && v.property == "" && v.note != webs && v.name != "TZ"
}

// findVariable is the entry of a name.
func findVariable(name string) (variable, bool) {
	for _, exact := range []bool{true, false} {
		for _, v := range variables {
			stem, open := strings.CutSuffix(v.name, "*")
			if exact && v.name == name || !exact && open && strings.HasPrefix(name, stem) {
				return v, true
			}
		}
	}
	return variable{}, false
}

// sidecar are the variables that AUTOSCALER_SIDECAR_* stands for, of which one is enough: an environment is asked by name.
var sidecar = []string{"AUTOSCALER_SIDECAR_KEY_FILE"}
