package config

import (
	"time"

	"jigasi/internal/xlog"
)

// Config is the whole configuration. The tags are the reference: yaml names the
// key, doc says in a line what it is for. A new key needs nothing but its field,
// its default (defaults.go) and, where Jigasi had it, a row in legacy_table.go.
type Config struct {
	PublicIP      string        `yaml:"public_ip" doc:"Address that phones and bridges should send to: auto (as the registrar sees us, else the local one), an IP, or stun:host[:port]."`
	Meeting       Meeting       `yaml:"meeting" doc:"Where the meetings are, and how a call gets into one."`
	Visitors      Visitors      `yaml:"visitors" doc:"Phones that hear a meeting and are not heard, and meetings that are not live yet."`
	XMPP          XMPP          `yaml:"xmpp" doc:"How a call logs in. Each call has a login of its own."`
	SIP           SIP           `yaml:"sip" doc:"The telephone side."`
	Media         Media         `yaml:"media" doc:"Sound."`
	Sounds        Sounds        `yaml:"sounds" doc:"What a phone is told by a voice."`
	Breweries     []Brewery     `yaml:"breweries" doc:"Rooms in which the focus finds us for dial-out, each with a login."`
	DialOut       DialOut       `yaml:"dial_out" doc:"Who may have us call a phone."`
	Transcription Transcription `yaml:"transcription" doc:"Speech to text: of files (jigasi transcribe), and of meetings that the bridge sends."`
	Admin         Admin         `yaml:"admin" doc:"HTTP: health, statistics, metrics, shutdown."`
	Health        Health        `yaml:"health" doc:"A test call from time to time."`
	Limits        Limits        `yaml:"limits" doc:"How much, and how long."`
	Log           Log           `yaml:"log" doc:"The log, on standard error."`

	Path string `yaml:"-"` // the file it came from, "" for none
}

// Meeting is where the meetings are.
type Meeting struct {
	Domain      string            `yaml:"domain" doc:"Base domain: what stands before the room in the browser's address bar."`
	MUC         string            `yaml:"muc" doc:"Where rooms live, for a room given without a domain; default conference.<domain>."`
	MUCPrefixes []string          `yaml:"muc_prefixes" doc:"First labels of room domains, to find the base domain in a room's address."`
	DefaultRoom string            `yaml:"default_room" doc:"Room of a caller who names none; without it such a call is refused."`
	URLHosts    map[string]string `yaml:"url_hosts" doc:"domain: host pairs that replace {host} in xmpp.url."`

	Focus          string   `yaml:"focus" doc:"Nickname of the focus in a room, and first label of its address."`
	TrustedDomains []string `yaml:"trusted_domains" doc:"Domains whose members are believed to be gateways or recorders."`
	Region         string   `yaml:"region" doc:"Our region, for the choice of a bridge and of a gateway."`
	StatsID        string   `yaml:"stats_id" doc:"Name shown in statistics."`
	NickFromUser   bool     `yaml:"nick_from_user" doc:"The endpoint id is made of the phone number instead of random digits."`
	CallerName     string   `yaml:"caller_name" doc:"What people in the meeting see of a phone that has only a number: masked (its last three digits), full, or hidden. A name is always shown."`
	Mute           bool     `yaml:"mute" doc:"A moderator may mute phones, and start-muted applies to them."`
	CallerInfoURL  string   `yaml:"caller_info_url" doc:"Asked by GET for the name and picture of a phone; {0} is its number. The answer is {\"success\":true,\"result\":{\"user\":{\"name\":\"Joe\",\"avatar\":\"https://...\"}}}."`
	LeaveEmpty     bool     `yaml:"leave_empty" doc:"End the call when only phones are left in the room."`

	EmptyTimeout  Duration `yaml:"empty_timeout" doc:"End the call when nobody but phones was in the room for so long, also before somebody comes; 0 is never."`
	InviteTimeout Duration `yaml:"invite_timeout" doc:"How long to wait for the focus to invite us to the sound; 0 is for ever."`
	JoinTimeout   Duration `yaml:"join_timeout" doc:"How long a dial-out waits for the room."`
	LobbyTimeout  Duration `yaml:"lobby_timeout" doc:"How long a caller may wait in a lobby."`
	PasswordWait  Duration `yaml:"password_timeout" doc:"How long to wait for a phone (its IVR, by SIP INFO) to give the password that a room wants; 0 ends the call at once."`
	AloneAnswer   Duration `yaml:"alone_answer" doc:"Answer a phone that has been alone in the room for so long; 0 is never."`
}

// XMPP is a login.
type XMPP struct {
	User       string      `yaml:"user" doc:"name@domain; empty is an anonymous login."`
	Password   xlog.Secret `yaml:"password" doc:"Password, or file:/path, or env:NAME. Empty is an anonymous login."`
	UniqueUser bool        `yaml:"unique_user" doc:"Append a random suffix to the user's name."`
	Domain     string      `yaml:"domain" doc:"Domain to log in to; default the user's, else the meeting's."`
	Server     string      `yaml:"server" doc:"host or host:port; default the SRV record _xmpp-client._tcp of the domain, else domain:5222."`
	DirectTLS  bool        `yaml:"direct_tls" doc:"TLS from the first byte instead of STARTTLS."`
	URL        string      `yaml:"url" doc:"BOSH (https://) or WebSocket (wss://) instead of TCP; {host}, {subdomain} and {roomName} are filled in."`
	Plaintext  bool        `yaml:"plaintext" doc:"Allow a login without TLS. Only for a server on this machine."`
	TLS        TLSTrust    `yaml:"tls" doc:"Which certificate is accepted."`
	Resource   string      `yaml:"resource" doc:"Resource of the address; default random."`
	Ping       Duration    `yaml:"ping" doc:"Ping the server after so much silence; 0 is never."`
	Resume     bool        `yaml:"resume" doc:"A connection that is lost comes back to the same session (XEP-0198), and nobody in the meeting notices; where the server offers that, and not for anonymous logins. A gateway that is killed stays in its rooms until the server gives it up (smacks_hibernation_time)."`
}

// Anonymous reports whether the login is SASL ANONYMOUS.
func (x XMPP) Anonymous() bool { return x.User == "" || x.Password == "" }

// TLSTrust says which certificate of a peer is accepted.
type TLSTrust struct {
	CAFile     string   `yaml:"ca_file" doc:"Authorities (PEM) in place of the system's."`
	PinSHA256  []string `yaml:"pin_sha256" doc:"SHA-256 of the certificate or its public key; one must match, nothing else is checked."`
	ServerName string   `yaml:"server_name" doc:"Name the certificate must bear, in place of the domain."`
	TrustAll   bool     `yaml:"trust_all" doc:"Accept every certificate. Whoever is on the way can then read passwords and listen."`
}

// SIP is the telephone side.
type SIP struct {
	Enabled   bool         `yaml:"enabled" doc:"Take and make calls."`
	Listen    []string     `yaml:"listen" doc:"Transport and address each: udp, tcp, tls, ws, wss."`
	ListenAny bool         `yaml:"-"` // nobody chose the ports: others do where these are taken
	TLS       SIPTLS       `yaml:"tls" doc:"Certificates of SIP over TLS."`
	Trunks    []string     `yaml:"trunks" doc:"Networks that may call without registration, such as 192.0.2.0/24."`
	Accounts  []SIPAccount `yaml:"accounts" doc:"Accounts with a provider or a PBX."`
	UserAgent string       `yaml:"user_agent" doc:"What we call ourselves; default jigasi and its version."`

	SessionTimer Duration `yaml:"session_timer" doc:"Refresh calls so often (RFC 4028); 0 is never."`
	DSCP         int      `yaml:"dscp" doc:"DSCP of SIP packets, 0 to 63; 24 is usual. Not of connections that we open."`
}

// SIPTLS holds the certificates of SIP over TLS.
type SIPTLS struct {
	CertFile string   `yaml:"cert_file" doc:"Our certificate (PEM), needed to listen on tls or wss, and shown to peers that ask."`
	KeyFile  string   `yaml:"key_file" doc:"Its key (PEM)."`
	Trust    TLSTrust `yaml:"trust" doc:"Which certificate of a peer is accepted."`
}

// SIPAccount is one account with a provider or a PBX.
type SIPAccount struct {
	ID          string      `yaml:"id" doc:"Name in logs and metrics."`
	URI         string      `yaml:"uri" doc:"user@domain: the address of record."`
	Password    xlog.Secret `yaml:"password" doc:"Password, or file:/path, or env:NAME."`
	AuthUser    string      `yaml:"auth_user" doc:"Login name where it is not the user; some providers have one."`
	Realms      []string    `yaml:"realms" doc:"Realms that may ask for the password; default the first that asks."`
	DisplayName string      `yaml:"display_name" doc:"Name shown to who is called; default the user."`

	Registrar string   `yaml:"registrar" doc:"host or host:port; default by DNS from the domain of uri."`
	Proxy     string   `yaml:"proxy" doc:"Outbound proxy, host or host:port."`
	Transport string   `yaml:"transport" doc:"udp, tcp, tls, ws or wss; default by DNS."`
	Register  bool     `yaml:"register" doc:"Register; false for a trunk that knows our address."`
	CallUnreg bool     `yaml:"call_unregistered" doc:"Call phones by this account also while it is not registered."`
	Expires   Duration `yaml:"expires" doc:"How long a registration should last."`
	KeepAlive string   `yaml:"keep_alive" doc:"options, crlf, register or none."`
	Interval  Duration `yaml:"keep_alive_interval" doc:"Time between keep-alives."`

	Prefix        string      `yaml:"prefix" doc:"Put before every number that is called."`
	Domain        string      `yaml:"domain" doc:"Base domain of the meetings of this account's callers; default meeting.domain."`
	MUCPrefixes   []string    `yaml:"muc_prefixes" doc:"In place of meeting.muc_prefixes."`
	AnonymousOnly bool        `yaml:"anonymous_only" doc:"Log calls of this account in anonymously, whatever xmpp says."`
	Headers       HeaderNames `yaml:"headers" doc:"Names of the SIP headers that say which meeting a call is for; those of Jigasi and of its container image are always understood."`
	Extra         []SIPHeader `yaml:"extra_headers" doc:"Headers to add to our requests."`
	Codecs        []string    `yaml:"codecs" doc:"In place of media.codecs."`
	SRTP          string      `yaml:"srtp" doc:"In place of media.srtp."`
	Forward       bool        `yaml:"forward" doc:"Mix nothing for this account's calls that agree on Opus: each speaker's packets go to the other side as they are, under the speaker's own SSRC, and its packets to the meeting. Only for a peer that mixes by itself (an IVR)."`
	DTMF          string      `yaml:"dtmf" doc:"How keys are sent to the phone: auto (rtp, else info), rtp, info, or inband (tones in the sound)."`
	DTMFToMeeting bool        `yaml:"dtmf_to_meeting" doc:"Keys of the phone go to the meeting, except *6 and *9. Everybody in it can read them, also a PIN typed there."`
	CallerName    string      `yaml:"caller_name" doc:"In place of meeting.caller_name."`
	Language      string      `yaml:"language" doc:"Language of the voice for this account's calls: en, de, fr or es; default sounds.language. A caller's Accept-Language goes before it."`
	Heartbeat     Duration    `yaml:"heartbeat" doc:"Ask the other side by INFO so often whether it is alive; 0 is never."`
}

// HeaderNames are the SIP headers that say which meeting a call is for.
type HeaderNames struct {
	Room     string `yaml:"room" doc:"Room name or address."`
	Password string `yaml:"password" doc:"Password of the room."`
	Domain   string `yaml:"domain" doc:"Base domain."`
	Tenant   string `yaml:"tenant" doc:"Tenant."`
	Token    string `yaml:"token" doc:"JWT for xmpp.url."`
	UserID   string `yaml:"user_id" doc:"XMPP user that goes with the token."`
	Visitor  string `yaml:"visitor" doc:"true asks for a visitor's seat."`
}

// SIPHeader is a header to add to requests.
type SIPHeader struct {
	Name   string `yaml:"name" doc:"Name."`
	Value  string `yaml:"value" doc:"Value; ${from.address}, ${from.userID}, ${to.address} and ${to.userID} are filled in."`
	Method string `yaml:"method" doc:"Only for this method; default all."`
}

// Media is sound.
type Media struct {
	MinPort int      `yaml:"min_port" doc:"Lowest UDP port for RTP, towards phones and bridges."`
	MaxPort int      `yaml:"max_port" doc:"Highest."`
	Codecs  []string `yaml:"codecs" doc:"Codecs for phones, the best first: opus, G722, PCMU, PCMA."`
	SRTP    string   `yaml:"srtp" doc:"Encryption towards phones (SDES): off, optional or required."`
	Suites  []string `yaml:"srtp_suites" doc:"SDES suites, the best first."`
	PTime   int      `yaml:"ptime" doc:"Length of the packets we ask for, in ms; what we send is as long as the phone wants."`
	DSCP    int      `yaml:"dscp" doc:"DSCP of RTP packets, 0 to 63; 46 is voice."`

	Opus       Opus     `yaml:"opus" doc:"The Opus encoder."`
	DigitMS    int      `yaml:"digit_ms" doc:"Shortest key sent to a phone, in ms."`
	Silence    Duration `yaml:"silence_timeout" doc:"A phone that sends neither RTP nor RTCP for so long counts as silent; 0 is never."`
	HangSilent bool     `yaml:"hangup_silent" doc:"Hang such a phone up. Without it, that is done after a minute, and after half a minute where nothing ever came."`
	STUN       []string `yaml:"stun" doc:"host[:port] of STUN servers, for bridges that are not in our network."`
	TURN       []TURN   `yaml:"turn" doc:"TURN servers; without any those that the XMPP server announces (XEP-0215)."`
	TURNTLS    TLSTrust `yaml:"turn_tls" doc:"Which certificate of a TURN server over TLS is accepted."`
}

// Sounds are what a phone is told by a voice.
type Sounds struct {
	Enabled  bool   `yaml:"enabled" doc:"Tell the phone what happens: lobby, mute, recording, the end."`
	Dir      string `yaml:"dir" doc:"Folder of your own sounds, in place of those inside: [LANGUAGE/]Name.opus or .wav, by Jigasi's names (LobbyWait, RecordingOn ...)."`
	Language string `yaml:"language" doc:"Language of the voice: en, de, fr or es."`
	Announce bool   `yaml:"announce" doc:"Say when recording, live streaming or transcription begins and ends. Switch it off only where the law does not want it."`
	Chimes   bool   `yaml:"chimes" doc:"A soft tone when somebody comes or goes, or nobody is there."`
	TellFull bool   `yaml:"tell_full" doc:"Answer a caller to a full meeting to tell so; false gives the busy tone, which costs the caller nothing."`
}

// Opus is the encoder.
type Opus struct {
	Bitrate    int  `yaml:"bitrate" doc:"In kbit/s; 0 is measured for the phone's bandwidth."`
	Complexity int  `yaml:"complexity" doc:"0 to 10; more costs more. -1 is chosen for telephone speech."`
	FEC        bool `yaml:"fec" doc:"Forward error correction while the other side reports loss."`
	DTX        bool `yaml:"dtx" doc:"Send nothing in silence."`
}

// TURN is one TURN server.
type TURN struct {
	Server    string      `yaml:"server" doc:"host[:port]."`
	Transport string      `yaml:"transport" doc:"udp, tcp or tls."`
	User      string      `yaml:"user" doc:"User."`
	Password  xlog.Secret `yaml:"password" doc:"Password, or file:/path, or env:NAME."`
}

// Brewery is a room in which the focus finds us.
type Brewery struct {
	ID          string   `yaml:"id" doc:"Name in logs, metrics and the REST interface."`
	Room        string   `yaml:"room" doc:"Address of the room, as in the focus' configuration."`
	XMPP        XMPP     `yaml:"xmpp" doc:"The login."`
	Domain      string   `yaml:"domain" doc:"Base domain of the meetings dialled from here; default meeting.domain."`
	MUCPrefixes []string `yaml:"muc_prefixes" doc:"In place of meeting.muc_prefixes."`
	CallURL     string   `yaml:"call_url" doc:"In place of xmpp.url, for calls dialled from here."`
}

// DialOut says who may have us call a phone.
type DialOut struct {
	Allowed []string   `yaml:"allowed" doc:"Addresses that may ask; a brewery's room stands for its focus. Default: the focus of each brewery."`
	Rules   []DialRule `yaml:"rules" doc:"How numbers are called; the first rule that matches counts. Without rules all are called by the first account; with rules, what none matches is refused."`

	PerRoom   int      `yaml:"per_room" doc:"Phones called from one room at the same time; 0 is no limit."`
	PerMinute int      `yaml:"per_minute" doc:"Calls placed in a minute; 0 is no limit."`
	AtOnce    int      `yaml:"at_once" doc:"Calls that we placed and that go on at the same time, of all rooms; 0 is no limit but limits.calls."`
	Longest   Duration `yaml:"longest" doc:"A call that we placed ends after so long; 0 is never."`
}

// DialRule is for the numbers that it matches.
type DialRule struct {
	Match    string   `yaml:"match" doc:"Number without spaces: * is anything, ? one character, [0-9] one of them. Empty is every number. Addresses (user@host) are let through by a pattern with @ alone, such as *@pbx.example.com."`
	Deny     bool     `yaml:"deny" doc:"Such a number is not called."`
	Strip    int      `yaml:"strip" doc:"Characters taken away in front."`
	Prefix   string   `yaml:"prefix" doc:"Put in front then."`
	Accounts []string `yaml:"accounts" doc:"Ids of the accounts to call by; the next is tried where one's server is dead. Empty is the first account."`
}

// Allowed are the addresses that may ask for a call in brewery b, full ones: a
// room stands for the focus in it.
func (c *Config) Allowed(b Brewery) []string {
	if len(c.DialOut.Allowed) == 0 {
		return []string{b.Room + "/" + c.Meeting.Focus}
	}
	var out []string
	for _, a := range c.DialOut.Allowed {
		if sameBare(a, b.Room) {
			a += "/" + c.Meeting.Focus
		}
		out = append(out, a)
	}
	return out
}

// Admin is the HTTP interface.
type Admin struct {
	Host     string      `yaml:"host" doc:"Address to listen at. Other than loopback needs a token."`
	Port     int         `yaml:"port" doc:"0 is no HTTP."`
	Token    xlog.Secret `yaml:"token" doc:"Bearer token of every request, needed where host is not loopback; file: and env: as for passwords."`
	Shutdown bool        `yaml:"shutdown" doc:"Allow POST /about/shutdown."`
	CertFile string      `yaml:"cert_file" doc:"Certificate (PEM): HTTPS instead of HTTP."`
	KeyFile  string      `yaml:"key_file" doc:"Its key (PEM)."`
	TLSPort  int         `yaml:"tls_port" doc:"Port in place of port, with a certificate."`
}

// Health is a test call from time to time.
type Health struct {
	SIPURI   string   `yaml:"sip_uri" doc:"Number or address to call; it must answer and make a sound. Empty is no test call."`
	Interval Duration `yaml:"interval" doc:"Time between test calls."`
	Timeout  Duration `yaml:"timeout" doc:"A result older than that counts as a failure."`
}

// Limits say how much, and how long.
type Limits struct {
	Calls     int      `yaml:"calls" doc:"Calls at the same time; more are refused."`
	Threshold float64  `yaml:"threshold" doc:"Calls that mean a stress level of 1, by which the focus chooses a gateway. The use of the processors counts too, where overload is not 0."`
	Overload  float64  `yaml:"overload" doc:"New calls are refused while more than this share of the clock's turns is missed over five seconds, with ten calls or more; 0 is never."`
	Ring      Duration `yaml:"ring" doc:"How long a dialled phone may ring."`
	Drain     Duration `yaml:"drain" doc:"How long running calls may go on after SIGTERM."`
}

// Log is the log.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error."`
	Format string `yaml:"format" doc:"text or json."`
}

// A Duration is written 30s, 10m, 1h30m.
type Duration = time.Duration
