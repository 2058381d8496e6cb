package config

import (
	"net/url"
	"strings"
	"time"
)

// Visitors says whether phones may be visitors.
type Visitors struct {
	Enabled bool              `yaml:"enabled" doc:"The focus may make a phone a visitor, who hears the meeting and is not heard."`
	Domain  string            `yaml:"domain" doc:"Visitor node v1 is v1.<domain>."`
	Servers map[string]string `yaml:"servers" doc:"node: host:port or URL pairs, for nodes that neither DNS nor xmpp.url (with vnode= added) leads to."`
	Queue   VisitorQueue      `yaml:"queue" doc:"Where callers wait while a meeting is not live; without it such a call ends."`
}

// VisitorQueue is the visitor queue service.
type VisitorQueue struct {
	URL     string   `yaml:"url" doc:"Address of the visitor queue service (wss://)."`
	KeyFile string   `yaml:"key_file" doc:"Private key (RSA, PEM) of the token that the service is shown."`
	KeyID   string   `yaml:"key_id" doc:"Name of that key."`
	Timeout Duration `yaml:"timeout" doc:"How long a caller may wait."`
}

func defaultVisitors() Visitors {
	return Visitors{Domain: "meet.jitsi", Queue: VisitorQueue{Timeout: time.Hour}}
}

func (l *loader) checkVisitors(v *Visitors) {
	if v.Domain == "" || strings.ContainsAny(v.Domain, " @/") {
		l.at(Error, "visitors.domain", "is a domain; node v1 is v1.<domain>")
	}
	for node, at := range v.Servers {
		if strings.Contains(at, "://") {
			l.checkURL("visitors.servers", at)
		} else if !validHostPort(at) {
			l.at(Error, "visitors.servers", "%.60q of %.60q is host:port, or a URL", at, node)
		}
	}
	q := &v.Queue
	if q.URL == "" {
		return
	}
	if u, err := url.Parse(q.URL); err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		l.at(Error, "visitors.queue.url", "begins with wss://")
	}
	if q.KeyFile == "" || q.KeyID == "" {
		l.at(Warning, "visitors.queue.key_file", "or visitors.queue.key_id is not set: the service is shown no token, and may let nobody in")
	}
	l.path("visitors.queue.key_file", &q.KeyFile)
	if !v.Enabled {
		l.at(Warning, "visitors.queue.url", "does nothing while visitors.enabled is false")
	}
	if q.Timeout <= 0 {
		l.at(Error, "visitors.queue.timeout", "is more than 0")
	}
}
