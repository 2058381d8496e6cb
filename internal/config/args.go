package config

import (
	"cmp"
	"strconv"
	"strings"
)

// arguments are those of the command line, in Jigasi's form: name=value, with or
// without dashes before the name.
type arguments map[string]string

func (a arguments) get(name string) string { return a[name] }

func (a arguments) has(name string) bool { _, ok := a[name]; return ok }

// knownArgs are the names that have a meaning, and those that had one: these are
// accepted without a word.
var knownArgs = map[string]bool{
	"config": true, "domain": true, "host": true, "min-port": true, "max-port": true,
	"configdir": true, "configdirname": true,
	"configwritable": true, "logdir": true, "nocomponent": true, "secret": true, "port": true, "subdomain": true,
}

// readArgs takes the command line as Jigasi does: what it does not understand is
// skipped, with a warning.
func (l *loader) readArgs(args []string) {
	l.file = "command line"
	l.args = arguments{}
	for _, arg := range args {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		switch {
		case !ok || name == "":
			l.add(Warning, 0, "", "%.60q is skipped: arguments are written --name=value", arg)
		case value == "" && (name == "domain" || name == "host"):
			// The Debian unit passes them in any case.
		case value == "":
			l.add(Warning, 0, "--"+name, "is skipped: it has no value")
		case !knownArgs[name]:
			l.add(Warning, 0, "--"+name, "is not known and has no effect")
		default:
			l.args[name] = value
		}
	}
}

// applyArgs lets the ports of the command line win over jigasi.yaml. (Over a property
// file they do not: there the file wins, as it always has.) --domain and --host, which
// the Debian unit passes whether they are meant or not, stand in for what the file
// does not say.
func (l *loader) applyArgs() {
	file := l.file
	l.file = "command line"
	l.setPort("min-port", &l.cfg.Media.MinPort)
	l.setPort("max-port", &l.cfg.Media.MaxPort)
	l.file = file
	l.cfg.Meeting.Domain = cmp.Or(l.cfg.Meeting.Domain, l.args.get("domain"))
	if l.cfg.XMPP.URL == "" {
		l.cfg.XMPP.Server = cmp.Or(l.cfg.XMPP.Server, l.args.get("host"))
	}
}

func (l *loader) setPort(name string, to *int) {
	v := l.args.get(name)
	if v == "" {
		return
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		l.add(Warning, 0, "--"+name, "is no number: %d is used", *to)
		return
	}
	*to = n
}
