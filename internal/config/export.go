package config

import "jigasi/internal/xlog"

// Export is the service that the bridge itself sends meetings to.
type Export struct {
	Host      string      `yaml:"host" doc:"Address to listen at. Other than loopback needs a token."`
	Port      int         `yaml:"port" doc:"0 is no such service. The bridge connects to /transcribe/ and the id of the meeting."`
	Token     xlog.Secret `yaml:"token" doc:"What the bridge must show: Authorization: Bearer, or ?token= at the end of the URL; file: and env: as for passwords."`
	CertFile  string      `yaml:"cert_file" doc:"Certificate (PEM): wss:// instead of ws://."`
	KeyFile   string      `yaml:"key_file" doc:"Its key (PEM)."`
	Meetings  int         `yaml:"meetings" doc:"Meetings at the same time; more are refused."`
	Speakers  int         `yaml:"speakers" doc:"Speakers of one meeting at the same time; each holds half a megabyte."`
	Translate []string    `yaml:"translate" doc:"Languages to translate into, by transcription.translation."`
}

func defaultExport() Export {
	return Export{Host: "127.0.0.1", Meetings: 100, Speakers: 100}
}

func (l *loader) checkExport(e *Export, translator string) {
	const key = "transcription.export."
	l.within(key+"port", e.Port, 0, 65535)
	l.within(key+"meetings", e.Meetings, 1, 10_000)
	l.within(key+"speakers", e.Speakers, 1, 1000)
	if e.Port != 0 && !isLoopback(e.Host) && e.Token == "" {
		l.at(Error, key+"token", "is needed when transcription.export.host is not loopback: everybody could have speech transcribed")
	}
	if e.Token != "" && len(e.Token) < 16 {
		l.at(Warning, key+"token", "is shorter than 16 characters and can be guessed")
	}
	l.pair("transcription.export", &e.CertFile, &e.KeyFile)
	if len(e.Translate) > 0 && translator == "none" {
		l.at(Warning, key+"translate", "does nothing while transcription.translation.service is none")
	}
}
