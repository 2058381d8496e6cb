package config

import "time"

// Default is the configuration in which nothing is set.
func Default() *Config {
	return &Config{
		PublicIP: "auto",
		Meeting: Meeting{
			MUCPrefixes: []string{"conference", "muc"}, Focus: "focus", CallerName: "masked", Mute: true, LobbyTimeout: 10 * time.Minute,
			InviteTimeout: 30 * time.Second, JoinTimeout: 10 * time.Second, AloneAnswer: 15 * time.Second,
		},
		Visitors:      defaultVisitors(),
		XMPP:          defaultXMPP(),
		SIP:           SIP{Enabled: true, Listen: []string{"udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"}, SessionTimer: 30 * time.Minute},
		Media:         defaultMedia(),
		Sounds:        Sounds{Enabled: true, Language: "en", Announce: true, TellFull: true},
		Transcription: defaultTranscription(),
		Admin:         Admin{Host: "127.0.0.1", Port: 8788, TLSPort: 8743},
		Health:        Health{Interval: 5 * time.Minute, Timeout: 10 * time.Minute},
		Limits:        Limits{Calls: 1000, Threshold: 100, Overload: 0.05, Ring: 2 * time.Minute, Drain: time.Hour},
		Log:           Log{Level: "info", Format: "text"},
	}
}

func defaultXMPP() XMPP { return XMPP{Ping: 30 * time.Second} }

func defaultMedia() Media {
	return Media{
		MinPort: 10000, MaxPort: 20000,
		Codecs:  []string{"opus", "G722", "PCMU", "PCMA"},
		SRTP:    "off",
		Suites:  []string{"AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"},
		PTime:   20,
		Opus:    Opus{Complexity: -1, FEC: true, DTX: true},
		DigitMS: 100, Silence: 10 * time.Second,
	}
}

func defaultAccount() SIPAccount {
	return SIPAccount{
		Register: true, Expires: 10 * time.Minute,
		KeepAlive: "options", Interval: 25 * time.Second, DTMF: "auto",
	}
}

func defaultBrewery() Brewery { return Brewery{XMPP: defaultXMPP()} }

func defaultTURN() TURN { return TURN{Transport: "udp"} }
