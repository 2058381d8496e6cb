// Package config reads the configuration into one plain struct: the documented
// jigasi.yaml, or what a Jigasi installation has already, unchanged (the property
// file, the command line, -D pairs in JAVA_SYS_PROPS, the variables of its
// container image). Nothing here acts on what it reads.
//
// Only app, the commands and the demo import it; every other package has Options
// of its own (docs/adr/0012). It starts no goroutine.
//
// Where to look: sections.go is every key with its meaning; yaml.go and write.go
// read and write the new form; properties.go, legacy*.go and docker.go the old
// ones; check.go is what is wrong, or risky, with a configuration that was read.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"jigasi/internal/xlog"
)

// A Severity says what follows from a Finding.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // good to know; nothing to do
	Warning                 // it runs, but not as safely or not as meant
	Error                   // it does not start
)

// String is the severity in lower case.
func (s Severity) String() string {
	return [...]string{"info", "warning", "error"}[min(s, Error)]
}

// A Finding is one thing about one key, with what to do about it.
type Finding struct {
	Severity Severity
	File     string // path, "command line" or "environment"
	Line     int    // from 1; 0 where there are no lines
	Key      string
	Text     string
}

// String is the finding as a compiler would print it.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(f.Severity.String() + ": ")
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Text)
	return b.String()
}

// ErrInvalid says that there is at least one Finding of severity Error.
var ErrInvalid = errors.New("the configuration has errors")

// maxFile bounds a configuration or secret file.
const maxFile = 1 << 20

// Load finds and reads the configuration.
//
// args are the arguments without the name of the program and of the subcommand.
// env reads a variable; "" is unset. cwd is where relative paths begin. The
// result is complete, with all defaults, also when err is ErrInvalid; a file that
// cannot be read is an Error finding too. Findings come in the order of file and
// line.
//
// With --config=PATH (or JIGASI_CONFIG) that file is read. Else it is the first of
// jigasi.yaml in cwd and in the home directory, sip-communicator.properties in
// the same two, the container's variables, and the two below /etc. The home
// directory is <configdir>/<configdirname>. JIGASI_CONFIG_BODY is a whole yaml.
func Load(args []string, env func(string) string, cwd string) (*Config, []Finding, error) {
	l := &loader{env: env, cwd: cwd, cfg: Default()}
	l.readArgs(args)
	l.readFile()
	if p, chosen := l.where["sip.listen"]; !chosen || p.name != "" { // the old property is a preference
		l.cfg.SIP.ListenAny = true
	}
	if !l.unread {
		l.check()
	}
	return l.cfg, l.found, l.result()
}

// result orders the findings, and says whether one is an error.
func (l *loader) result() error {
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	l.found = slices.Compact(l.found)
	if slices.ContainsFunc(l.found, func(f Finding) bool { return f.Severity == Error }) {
		return ErrInvalid
	}
	return nil
}

// A loader is one run of Load.
type loader struct {
	env   func(string) string
	cwd   string
	args  arguments
	cfg   *Config
	file  string // what is being read, for findings
	where map[string]place
	// referred are the secrets that came from a file or a variable.
	referred map[xlog.Secret]bool
	found    []Finding
	// unread says that there is nothing to check.
	unread bool
}

// A place is where a key was set.
type place struct {
	file string
	line int
	name string // of the old property, "" for a key of jigasi.yaml
}

func (l *loader) add(s Severity, line int, key, format string, args ...any) {
	l.found = append(l.found, Finding{s, l.file, line, key, fmt.Sprintf(format, args...)})
}

// at adds a finding about a key of Config, at the place where it was set.
func (l *loader) at(s Severity, key, format string, args ...any) {
	p, ok := l.where[key]
	for up := key; !ok && strings.Contains(up, "."); { // of an old account the line that makes it
		up = up[:strings.LastIndexByte(up, '.')]
		if p, ok = l.where[up]; ok && p.name == "" {
			p, ok = place{}, false
			break
		}
		p.name = ""
	}
	if !ok {
		p.file = cmp.Or(l.cfg.Path, l.file)
	}
	l.found = append(l.found, Finding{s, p.file, p.line, cmp.Or(p.name, key), fmt.Sprintf(format, args...)})
}

// mark remembers where a key of Config was set.
func (l *loader) mark(key string, p place) {
	if p == (place{}) {
		return // it was not
	}
	if l.where == nil {
		l.where = map[string]place{}
	}
	l.where[key] = p
}

// readFile reads whichever source there is.
func (l *loader) readFile() {
	const props = "sip-communicator.properties"
	if body := l.env("JIGASI_CONFIG_BODY"); body != "" {
		l.readYAML("JIGASI_CONFIG_BODY", []byte(body))
		return
	}
	if path := cmp.Or(l.args.get("config"), l.env("JIGASI_CONFIG")); path != "" {
		l.readPath(l.abs(path))
		return
	}
	home := l.home()
	candidates := []string{
		l.abs("jigasi.yaml"), filepath.Join(home, "jigasi.yaml"),
		l.abs(props), filepath.Join(home, props),
	}
	docker := isDocker(l.env)
	if !docker && !l.args.has("configdir") && !l.args.has("configdirname") {
		candidates = append(candidates, "/etc/jigasi/jigasi.yaml", "/etc/jitsi/jigasi/jigasi.yaml", "/etc/jitsi/jigasi/"+props)
	}
	for _, path := range candidates {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if docker {
				l.file = "environment"
				l.add(Info, 0, "", "the container's variables are not used, because there is %s", path)
			}
			l.readPath(path)
			return
		}
	}
	if docker {
		l.readDocker(home)
		return
	}
	l.file, l.unread = home, true
	l.add(Error, 0, "", "no configuration: write jigasi.yaml (jigasi check-config --sample prints one), or name a file with --config=PATH")
}

// readPath reads one file; its name says in which form it is.
func (l *loader) readPath(path string) {
	l.file = path
	data, err := readLimited(path)
	if err != nil {
		l.add(Error, 0, "", "cannot be read: %v", err)
		l.unread = true
		return
	}
	l.cfg.Path = path
	if strings.HasSuffix(path, ".properties") {
		l.readLegacy(path, data)
		return
	}
	l.readYAML(path, data)
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Size() > maxFile:
		return nil, fmt.Errorf("larger than %d KiB", maxFile>>10)
	}
	return os.ReadFile(path)
}

// home is the directory that Jigasi calls home.
func (l *loader) home() string {
	return filepath.Join(l.abs(l.args.get("configdir")), cmp.Or(l.args.get("configdirname"), "jigasi-home"))
}

func (l *loader) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(l.cwd, path)
}
