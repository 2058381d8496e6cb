package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// How a value of an old property becomes one of ours.
type how uint8

const (
	asIs     how = iota
	millis       // a number of ms; 0 or less is never
	seconds      // a number of s; 0 or less is never
	inverted     // true is false
	list         // separated by commas
	composed     // read together with others, in code
)

// A row is what became of an old property. Without to and how it has no effect,
// and note says why: a note that begins with "later" means that the property is
// known and will be used.
type row struct {
	name string
	to   string // key of jigasi.yaml, relative to the group's section
	how  how
	note string
}

const (
	prefixJigasi  = "org.jitsi.jigasi."
	prefixCall    = "org.jitsi.jigasi.xmpp.acc."
	prefixSIP     = "net.java.sip.communicator.impl.protocol.sip."
	prefixJabber  = "net.java.sip.communicator.impl.protocol.jabber."
	prefixService = "net.java.sip.communicator.service.protocol."
	prefixWords   = "org.jitsi.jigasi.transcription."
	prefixImpl    = "net.java.sip.communicator.impl."
)

const (
	desktop = "of the desktop program"
	nobody  = "nothing has ever read it"
	medial  = "the bridge says what is used"
	noVideo = "there is no video"
	oneMode = "the SIP account's decides for both sides"
)

// globals are the properties with full names.
var globals = []row{
	{prefixJigasi + "ENABLE_SIP", "sip.enabled", asIs, ""},
	{prefixJigasi + "ENABLE_SIP_STARTMUTED", "meeting.mute", asIs, ""},
	{prefixJigasi + "DEFAULT_JVB_ROOM_NAME", "meeting.default_room", asIs, ""},
	{prefixJigasi + "MUC_SERVICE_ADDRESS", "meeting.muc", asIs, ""},
	{prefixJigasi + "BOSH_HOST_OVERRIDE", "meeting.url_hosts", composed, ""},
	{prefixJigasi + "JVB_INVITE_TIMEOUT", "meeting.invite_timeout", millis, ""},
	{prefixJigasi + "MUC_JOIN_TIMEOUT", "meeting.join_timeout", seconds, ""},
	{prefixJigasi + "USE_SIP_USER_AS_XMPP_RESOURCE", "meeting.nick_from_user", asIs, ""},
	{prefixJigasi + "ALLOW_ONLY_JIGASIS_IN_ROOM", "meeting.leave_empty", inverted, ""},
	{prefixJigasi + "LOCAL_REGION", "meeting.region", asIs, ""},
	{prefixJigasi + "STATS_ID", "meeting.stats_id", asIs, ""},
	{prefixJigasi + "FOCUS_RESOURCE", "meeting.focus", asIs, ""},
	{prefixJigasi + "TRUSTED_DOMAINS", "meeting.trusted_domains", composed, "a JSON array"},
	{prefixJigasi + "SIP_MEDIA_DROPPED_THRESHOLD_MS", "media.silence_timeout", millis, ""},
	{prefixJigasi + "HANGUP_SIP_ON_MEDIA_DROPPED", "media.hangup_silent", asIs, ""},
	{prefixJigasi + "ALLOWED_JID", "dial_out.allowed", composed, "without it only the focus of each brewery may dial, no longer everybody"},
	{prefixJigasi + "HEALTH_CHECK_SIP_URI", "health.sip_uri", asIs, ""},
	{prefixJigasi + "HEALTH_CHECK_INTERVAL", "health.interval", millis, ""},
	{prefixJigasi + "HEALTH_CHECK_TIMEOUT", "health.timeout", millis, ""},
	{prefixJigasi + "CONFERENCES_THRESHOLD", "limits.threshold", asIs, ""},
	{prefixJigasi + "ENABLE_REST_SHUTDOWN", "admin.shutdown", asIs, ""},
	{prefixJigasi + "rest.jetty.port", "admin.port", asIs, ""},
	{prefixJigasi + "rest.jetty.host", "admin.host", asIs, "other than loopback only with a token"},
	{prefixJigasi + "rest.jetty.tls.port", "admin.tls_port", asIs, ""},
	{prefixJigasi + "rest.token", "admin.token", asIs, "new: the bearer token of an interface that is not on loopback"},
	{prefixService + "MIN_MEDIA_PORT_NUMBER", "media.min_port", asIs, ""},
	{prefixService + "MAX_MEDIA_PORT_NUMBER", "media.max_port", asIs, ""},
	{prefixService + "MIN_AUDIO_PORT_NUMBER", "media.min_port", asIs, ""},
	{prefixService + "MAX_AUDIO_PORT_NUMBER", "media.max_port", asIs, ""},
	{prefixService + "minimalRtpDtmfToneDuration", "media.digit_ms", asIs, ""},
	{prefixImpl + "protocol.RTP_AUDIO_DSCP", "media.dscp", asIs, ""},
	{prefixImpl + "protocol.SIP_DSCP", "sip.dscp", asIs, ""},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.COMPLEXITY", "", asIs, "10, which the samples have, costs much and gives nothing on a telephone: set media.opus.complexity if you want it"},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.BITRATE", "media.opus.bitrate", asIs, ""},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.DTX", "media.opus.dtx", asIs, ""},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.FEC", "media.opus.fec", asIs, ""},
	{prefixSIP + "PTIME_VALUE", "media.ptime", asIs, ""},
	{prefixSIP + "REGISTRATION_EXPIRATION", "sip.accounts[].expires", composed, ""},
	{"net.java.sip.communicator.SIP_PREFERRED_CLEAR_PORT", "sip.listen", composed, ""},
	{"net.java.sip.communicator.SIP_PREFERRED_SECURE_PORT", "sip.listen", composed, "with sip.tls.cert_file, which has to be added"},
	{"net.java.sip.communicator.service.gui.ALWAYS_TRUST_MODE_ENABLED", "xmpp.tls.trust_all, sip.tls.trust.trust_all", composed, "dangerous; use ca_file or pin_sha256"},
	{"net.java.sip.communicator.service.neomedia.SDES_CIPHER_SUITES", "media.srtp_suites", composed, "separated by commas"},
	{"org.ice4j.ice.harvest.NAT_HARVESTER_PUBLIC_ADDRESS", "public_ip", asIs, ""},

	{prefixJigasi + "ENABLE_TRANSCRIPTION", "transcription.enabled", composed, ""},
	{prefixWords + "SEND_JSON", "transcription.captions", asIs, ""},
	{prefixWords + "SEND_TXT", "transcription.chat", asIs, ""},
	{prefixWords + "customService", "transcription.service", composed, "a class by its whole or short name"},
	{prefixWords + "translationService", "transcription.translation.service", composed, "with ENABLE_TRANSLATION"},
	{prefixWords + "ENABLE_TRANSLATION", "transcription.translation.service", composed, "false is none"},
	{prefixWords + "FILTER_SILENCE", "transcription.gate", asIs, ""},
	{prefixWords + "DIRECTORY", "transcription.directory", asIs, ""},
	{prefixWords + "SAVE_TXT", "transcription.save", composed, "true where it is not set, as the README of Jigasi says"},
	{prefixWords + "SAVE_JSON", "transcription.save", composed, ""},
	{prefixWords + "BASE_URL", "transcription.base_url", asIs, ""},
	{prefixWords + "ADVERTISE_URL", "transcription.advertise", asIs, ""},
	{prefixWords + "RECORD_AUDIO", "transcription.record.format", composed, "true is wav: one file of all speakers"},
	{prefixWords + "RECORD_AUDIO_FORMAT", "transcription.record.format", composed, "wav"},
	{prefixWords + "jetty.port", "transcription.http.port", asIs, "0 or less is none"},
	{prefixWords + "jetty.host", "transcription.http.host", asIs, "all addresses where it is not set and there is a port"},
	{prefixWords + "jetty.tls.port", "", asIs, "a Java key store: give PEM files as transcription.http.cert_file and key_file"},
	{prefixWords + "jetty.sslContextFactory.*", "", asIs, "a Java key store: give PEM files as transcription.http.cert_file and key_file"},
	{prefixWords + "SEND_JSON_REMOTE_URLS", "transcription.posts", composed, "separated by commas; their hosts come into transcription.allow"},
	{prefixWords + "action.*", "transcription.actions", composed, "action.NAME.PHRASE and action.NAME.URL; their hosts come into transcription.allow"},
	{prefixWords + "EXECUTE_SCRIPTS", "transcription.scripts", composed, ""},
	{prefixWords + "SCRIPTS_TO_EXECUTE_LIST", "transcription.scripts", composed, "with EXECUTE_SCRIPTS"},
	{prefixWords + "SCRIPTS_TO_EXECUTE_LIST_SEPARATOR", "transcription.scripts", composed, "as it is written, not as a regular expression"},
	{prefixWords + "vosk.websocket_url", "transcription.vosk.url, transcription.vosk.urls", composed, "a URL, or a JSON object of languages and URLs"},
	{prefixWords + "whisper.websocket_url", "transcription.whisper.url", asIs, ""},
	{prefixWords + "whisper.private_key", "transcription.whisper.key", asIs, ""},
	{prefixWords + "whisper.private_key_name", "transcription.whisper.key_name", asIs, ""},
	{prefixWords + "whisper.jwt_audience", "transcription.whisper.audience", asIs, ""},
	{prefixWords + "oci.websocketUrl", "transcription.oracle.url", asIs, ""},
	{prefixWords + "oci.compartmentId", "transcription.oracle.compartment", asIs, ""},
	{prefixWords + "oci.configFile", "transcription.oracle.config_file", asIs, ""},
	{prefixWords + "oci.finalThresholdMs", "transcription.oracle.final_silence", millis, ""},
	{prefixWords + "oci.interimThresholdMs", "transcription.oracle.interim_silence", millis, ""},
	{prefixWords + "google_model", "transcription.google.model", asIs, ""},
	{prefixWords + "USE_VIDEO_MODEL", "transcription.google.model", composed, "video, where google_model is not set"},
	{prefixWords + "libreTranslate.api_url", "transcription.translation.libre.url", asIs, ""},
	{prefixWords + "bing.subscription_key", "transcription.translation.bing.key", asIs, ""},
	{prefixWords + "bing.subscription_region", "transcription.translation.bing.region", asIs, ""},
	{prefixWords + "bing.endpoint", "transcription.translation.bing.endpoint", asIs, ""},
	{prefixWords + "bing.api_version", "transcription.translation.bing.api_version", asIs, ""},
	{prefixWords + "remoteTranscriptionConfigUrl", "transcription.remote.url", asIs, ""},
	{prefixWords + "remoteTranscriptionConfigUrl.kid", "transcription.remote.key_name", asIs, ""},
	{prefixWords + "remoteTranscriptionConfigUrl.keyPath", "transcription.remote.key", composed, "the file is read"},
	{prefixWords + "remoteTranscriptionConfigUrl.key", "transcription.remote.key", composed, "base64, where there is no keyPath"},
	{prefixWords + "remoteTranscriptionConfigUrl.aud", "transcription.remote.audience", asIs, ""},
	{prefixWords + "*", "", asIs, nobody},
	{prefixJigasi + "ENABLE_SIP_VISITORS", "visitors.enabled", asIs, ""},
	{prefixJigasi + "VISITOR_QUEUE_SERVICE", "visitors.queue.url", asIs, ""},
	{prefixJigasi + "VISITOR_QUEUE_SERVICE_PRIVATE_KEY_PATH", "visitors.queue.key_file", asIs, ""},
	{prefixJigasi + "VISITOR_QUEUE_SERVICE_PRIVATE_KEY_ID", "visitors.queue.key_id", asIs, ""},
	{prefixJigasi + "NOTIFY_MAX_OCCUPANTS", "sounds.tell_full", asIs, ""},
	{prefixJigasi + "DEFAULT_CALL_EMPTY_TIMEOUT", "transcription.empty_timeout", millis, ""},
	{prefixJigasi + "HEALTH_CHECK_DEBUG_ENABLED", "", asIs, "there are no threads to dump"},
	{prefixJigasi + "DISABLE_ICE", "", asIs, "the bridge wants ICE"},
	{prefixJigasi + "BREWERY_ENABLED", "", asIs, nobody},
	{prefixJigasi + "rest.jetty.sslContextFactory.*", "", asIs, "a Java key store: give PEM files as admin.cert_file and admin.key_file"},
	{"org.jitsi.sip.PARTICIPANT_INFO_CALLBACK_URL", "meeting.caller_info_url", asIs, "{0} is the number, also of a phone that has a name"},
	{prefixJigasi + "SCRIPTS_TO_EXECUTE_LIST", "transcription.scripts", composed, "where it stands without transcription. before it"},
	{prefixService + "MIN_VIDEO_PORT_NUMBER", "", asIs, noVideo},
	{prefixService + "MAX_VIDEO_PORT_NUMBER", "", asIs, noVideo},
	{prefixService + "MIN_DATA_CHANNEL_PORT_NUMBER", "", asIs, "there are no data channels"},
	{prefixService + "MAX_DATA_CHANNEL_PORT_NUMBER", "", asIs, "there are no data channels"},
	{prefixService + "maximalRtpDtmfToneDuration", "", asIs, "a key lasts as long as it is held in the meeting"},
	{prefixService + "*", "", asIs, medial},
	{prefixJabber + "FORCE_PRESENCE_ON_LEAVE", "", asIs, "is always so"},
	{prefixSIP + "DEFAULT_TRANSPORT", "", asIs, "each account has its transport, else DNS says it"},
	{prefixSIP + "RETRANSMITS_RINGING_INTERVAL", "", asIs, "180 is sent again as RFC 3261 says"},
	{prefixSIP + "USE_SESSION_LEVEL_DIRECTION_IN_SDP", "", asIs, "the direction stands with the audio, and is read in both places"},
	{prefixSIP + "FORCE_REGISTER_ON_TLS_CLOSE", "", asIs, "a lost connection is always registered anew, at once"},
	{prefixSIP + "SKIP_REINVITE_ON_FOCUS_CHANGE_PROP", "", asIs, "is always so"},
	{prefixSIP + "*", "", asIs, "the SIP stack is another"},
	{prefixImpl + "protocol.HOLE_PUNCH_PKT_COUNT", "", asIs, "media starts at once, and follows the phone"},
	{prefixImpl + "protocol.XMPP_DSCP", "", asIs, "XMPP is not marked: it can wait"},
	{prefixImpl + "protocol.SingleCallInProgressPolicy.*", "", asIs, nobody},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.VBR", "", asIs, "is always on"},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.AUDIO_BANDWIDTH", "", asIs, "the phone's own bandwidth is used"},
	{prefixImpl + "neomedia.codec.audio.opus.encoder.MIN_EXPECTED_PACKET_LOSS", "", asIs, "the loss that the far end reports is used"},
	{prefixImpl + "neomedia.codec.EncodingConfiguration.*", "", asIs, "set media.codecs, or Encodings.* of the account"},
	{prefixImpl + "neomedia.dynamicPayloadTypePreferences.*", "", asIs, "the offer of the far end says the numbers"},
	{prefixImpl + "neomedia.audioSystem.*", "", asIs, "there is no sound device"},
	{prefixImpl + "*", "", asIs, "the media stack is another"},
	{"net.java.sip.communicator.plugin.reconnectplugin.*", "", asIs, "every login is tried again for ever"},
	{"net.java.sip.communicator.packetlogging.*", "", asIs, "packets are never logged; use tcpdump"},
	{"net.java.sip.communicator.*", "", asIs, desktop},
	{"gov.nist.javax.sip.*", "", asIs, "the SIP stack is another"},
	{"org.ice4j.*", "", asIs, "the ICE stack is another"},
	{"org.jitsi.impl.*", "", asIs, "the media stack is another"},
	{"org.jitsi.ddclient.*", "", asIs, "read /metrics instead"},
	{"jetty.port", "", asIs, nobody},
	{"java.*", "", asIs, "there is no Java"},
	{"jdk.*", "", asIs, "there is no Java"},
}

// sipRows are the properties of a SIP account, without their prefix.
var sipRows = []row{
	{"USER_ID", "uri", composed, ""},
	{"PASSWORD", "password", composed, "base64"},
	{"ENCRYPTED_PASSWORD", "password", composed, "decrypted"},
	{"AUTHORIZATION_NAME", "auth_user", asIs, ""},
	{"DISPLAY_NAME", "display_name", asIs, ""},
	{"SERVER_ADDRESS", "registrar", composed, ""},
	{"SERVER_PORT", "registrar", composed, ""},
	{"SERVER_TRANSPORT", "transport", composed, ""},
	{"PROXY_AUTO_CONFIG", "proxy", composed, ""},
	{"PROXY_ADDRESS", "proxy", composed, ""},
	{"PROXY_PORT", "proxy", composed, ""},
	{"PREFERRED_TRANSPORT", "transport", composed, ""},
	{"FORCE_PROXY_BYPASS", "sip.trunks", composed, "lets everybody call"},
	{"KEEP_ALIVE_METHOD", "keep_alive", composed, ""},
	{"KEEP_ALIVE_INTERVAL", "keep_alive_interval", composed, ""},
	{"DEFAULT_ENCRYPTION", "srtp", composed, ""},
	{"SAVP_OPTION", "srtp", composed, ""},
	{"MODE_PARANOIA", "srtp", composed, ""},
	{"ENCRYPTION_PROTOCOL*", "srtp", composed, "SDES only"},
	{"SDES_CIPHER_SUITES", "media.srtp_suites", composed, ""},
	{"DTMF_METHOD", "dtmf", composed, ""},
	{"DTMF_MINIMAL_TONE_DURATION", "media.digit_ms", composed, ""},
	{"OVERRIDE_ENCODINGS", "codecs", composed, ""},
	{"Encodings.*", "codecs", composed, ""},
	{"ConfigHeader.*", "extra_headers", composed, ""},
	{"OUTBOUND_PREFIX", "prefix", asIs, ""},
	{"HEARTBEAT_SECONDS", "heartbeat", seconds, ""},
	{"DOMAIN_BASE", "meeting.domain", composed, ""},
	{"MUC_DOMAIN_PREFIX", "muc_prefixes", list, ""},
	{"PREVENT_AUTH_LOGIN", "anonymous_only", asIs, ""},
	{"USE_TRANSLATOR_IN_CONFERENCE", "forward", asIs, ""},
	{"JITSI_MEET_ANSWER_EMPTY_INFO", "", asIs, "is always so"},
	{"JITSI_MEET_ROOM_HEADER_NAME", "headers.room", asIs, ""},
	{"JITSI_MEET_ROOM_PASS_HEADER_NAME", "headers.password", asIs, ""},
	{"JITSI_MEET_DOMAIN_BASE_HEADER_NAME", "headers.domain", asIs, ""},
	{"JITSI_MEET_DOMAIN_TENANT_HEADER_NAME", "headers.tenant", asIs, ""},
	{"JITSI_AUTH_TOKEN_HEADER_NAME", "headers.token", asIs, ""},
	{"JITSI_AUTH_USER_ID_HEADER_NAME", "headers.user_id", asIs, ""},
	{"JITSI_MEET_VISITOR_HEADER_NAME", "headers.visitor", asIs, ""},
	{"IS_ACCOUNT_DISABLED", "", composed, "a disabled account is left out"},
	{"MUST_REGISTER_TO_CALL", "call_unregistered", inverted, ""},
	{"CLIENT_TLS_CERTIFICATE", "", asIs, "a Java key store: give PEM files as sip.tls.cert_file and key_file"},
	{"IS_PRESENCE_ENABLED", "", asIs, "no presence is published over SIP"},
	{"BOSH_URL_PATTERN", "", asIs, nobody + ": use " + prefixCall + "BOSH_URL_PATTERN"},
	{"DEFAULT_SIPZRTP_ATTRIBUTE", "", asIs, "there is no ZRTP"},
	{"DTMF_TONE_VOLUME", "", asIs, nobody},
	{"VOICEMAIL_*", "", asIs, desktop},
}

// ignoredRows are account properties of both protocols that have no effect.
var ignoredRows = []row{
	{"ACCOUNT_UID", "", asIs, "the account is named by its id"},
	{"PROTOCOL", "", asIs, nobody},
	{"PROTOCOL_NAME", "", asIs, "the prefix says it"},
	{"ACCOUNT_ICON_PATH", "", asIs, desktop},
	{"ACCOUNT_DISPLAY_NAME", "", asIs, desktop},
	{"IS_PREFERRED_PROTOCOL", "", asIs, nobody},
	{"IS_ACCOUNT_HIDDEN", "", asIs, desktop},
	{"IS_*", "", asIs, desktop},
	{"IS_CARBON_DISABLED", "", asIs, nobody},
	{"IS_USE_ICE", "", asIs, nobody},
	{"IS_USE_UPNP", "", asIs, nobody},
	{"IS_FILE_TRANSFER_DISABLED", "", asIs, "is always so"},
	{"FORCE_P2P_MODE", "", asIs, desktop},
	{"POLLING_PERIOD", "", asIs, desktop},
	{"SUBSCRIPTION_EXPIRATION", "", asIs, desktop},
	{"XCAP_*", "", asIs, desktop},
	{"XIVO_*", "", asIs, desktop},
	{"OPT_CLIST_*", "", asIs, desktop},
	{"AUTO_*", "", asIs, desktop},
	{"CALLING_DISABLED", "", asIs, "the brewery's login makes no calls"},
	{"VIDEO_CALLING_DISABLED", "", asIs, noVideo},
	{"DESKTOP_*", "", asIs, desktop},
	{"CallStats.*", "", asIs, "the service is closed"},
	{"cusax.*", "", asIs, desktop},
	{"RESOURCE_PRIORITY", "", asIs, "rooms do not look at it"},
	{"VOICEMAIL_*", "", asIs, desktop},
}

// jabberRows are the properties of an XMPP account, of a brewery or of calls.
var jabberRows = []row{
	{"USER_ID", "xmpp.user", composed, ""},
	{"PASSWORD", "xmpp.password", composed, "base64"},
	{"ENCRYPTED_PASSWORD", "xmpp.password", composed, "decrypted"},
	{"PASS", "xmpp.password", composed, "of calls; plain text"},
	{"UNIQUE_USER_ID", "xmpp.unique_user", asIs, "of calls"},
	{"ANONYMOUS_AUTH", "xmpp.password", composed, "true is no password"},
	{"SERVER_ADDRESS", "xmpp.server", composed, ""},
	{"SERVER_PORT", "xmpp.server", composed, ""},
	{"IS_SERVER_OVERRIDDEN", "xmpp.server", composed, ""},
	{"BOSH_URL", "xmpp.url", asIs, ""},
	{"BOSH_URL_PATTERN", "call_url, or xmpp.url of calls", composed, ""},
	{"ALLOW_NON_SECURE", "xmpp.plaintext", asIs, "calls that log in anonymously to a server on this machine need no TLS, as before; elsewhere they do, unlike before"},
	{"AUTO_GENERATE_RESOURCE", "xmpp.resource", composed, ""},
	{"RESOURCE", "xmpp.resource", composed, ""},
	{"KEEP_ALIVE_METHOD", "xmpp.ping", composed, ""},
	{"KEEP_ALIVE_INTERVAL", "xmpp.ping", composed, ""},
	{"BREWERY", "room", asIs, ""},
	{"DOMAIN_BASE", "domain", composed, "of breweries"},
	{"MUC_DOMAIN_PREFIX", "muc_prefixes", composed, "of breweries"},
	{"STUN*", "media.stun, media.turn", composed, ""},
	{"IS_ACCOUNT_DISABLED", "", composed, "a disabled account is left out"},
	{"USE_DEFAULT_STUN_SERVER", "", asIs, "no server is asked that is not named"},
	{"AUTO_DISCOVER_STUN", "", asIs, "the room announces its servers"},
	{"PROXY_*", "", asIs, "there is no proxy for XMPP"},
	{"CUSTOM_XMPP_DOMAIN", "", asIs, "name the server in SERVER_ADDRESS"},
	{"OVERRIDE_ENCODINGS", "", asIs, medial},
	{"Encodings.*", "", asIs, medial},
	{"DEFAULT_ENCRYPTION", "", asIs, "is always on"},
	{"ENCRYPTION_PROTOCOL*", "", asIs, "DTLS-SRTP, always"},
	{"ICE_ENABLED", "", asIs, "is always on"},
	{"UPNP_ENABLED", "", asIs, "there is no UPnP"},
	{"JINGLE_NODES_ENABLED", "", asIs, "nobody has them"},
	{"AUTO_DISCOVER_JINGLE_NODES", "", asIs, "nobody has them"},
	{"USE_TRANSLATOR_IN_CONFERENCE", "", asIs, oneMode},
	{"IM_DISABLED", "", asIs, "is always so"},
	{"SERVER_STORED_INFO_DISABLED", "", asIs, "is always so"},
	{"CARBON_DISABLED", "", asIs, "is always so"},
	{"CLIENT_TLS_CERTIFICATE", "", asIs, "a Java key store"},
}

// findRow is the row of a name; one that ends in * takes every name that begins so.
func findRow(name string, tables ...[]row) (row, bool) {
	for _, t := range tables {
		if i := slices.IndexFunc(t, func(r row) bool { return r.name == name }); i >= 0 {
			return t[i], true
		}
	}
	for _, t := range tables {
		for _, r := range t {
			if stem, ok := strings.CutSuffix(r.name, "*"); ok && strings.HasPrefix(name, stem) {
				return r, true
			}
		}
	}
	return row{}, false
}

// Legacy is the page that says what becomes of each old property, in Markdown.
func Legacy() []byte {
	var b strings.Builder
	b.WriteString("# What becomes of Jigasi's properties and variables\n\nGenerated from the program. An old `sip-communicator.properties` is read as it is. `jigasi convert-config FILE` prints it as `jigasi.yaml`.\n" +
		"A property with a key beside it is supported; one without has no effect, for the reason given, and `check-config` says so. A name that ends\n" +
		"in `*` stands for all that begin so.\n")
	for _, t := range []struct {
		title string
		rows  [][]row
	}{
		{"Global properties", [][]row{globals}},
		{"A SIP account: `" + prefixSIP + "acc…`, below `sip.accounts[]`", [][]row{sipRows}},
		{"An XMPP account: `" + prefixJabber + "acc…`, below `breweries[]`, and of calls: `" + prefixCall + "…`", [][]row{jabberRows}},
		{"Account properties without effect", [][]row{ignoredRows}},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| property | in jigasi.yaml | |\n|---|---|---|\n", t.title)
		for _, r := range slices.Concat(t.rows...) {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.name, keyOrDash(r.to), remark(r))
		}
	}
	b.WriteString(`
## Variables of the container image

They are read when JIGASI_SIP_URI, JIGASI_XMPP_PASSWORD or JIGASI_BREWERY_MUC is set and there is no configuration file.
`)
	fmt.Fprintf(&b, "\n| variable | in jigasi.yaml | |\n|---|---|---|\n")
	for _, v := range variables {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, keyOrDash(v.to), v.note)
	}
	return []byte(b.String())
}

// remark is what is to say of a row: its note, or its unit.
func remark(r row) string { return cmp.Or(r.note, unit(r.how)) }

func keyOrDash(to string) string {
	if to == "" {
		return "–"
	}
	return "`" + strings.ReplaceAll(to, ", ", "`, `") + "`"
}

func unit(h how) string {
	return map[how]string{millis: "ms", seconds: "s", inverted: "inverted", list: "separated by commas"}[h]
}
