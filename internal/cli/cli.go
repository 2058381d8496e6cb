// Package cli holds the small commands: those that read the configuration or ask
// a running gateway, say what they found, and end. Running the gateway is for app.
//
// A command writes only to the writers it is given and returns the status of the
// process; it starts no goroutine that outlives it.
package cli

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"jigasi/internal/codec"
	"jigasi/internal/config"
)

// A Command runs with the arguments after its name and returns the status of the
// process: 0 for good, 1 for what it was asked to find, 2 for a wrong call.
type Command func(args []string, stdout, stderr io.Writer, env func(string) string) int

// Commands are the small commands by name. version is what the linker was told, ""
// if nothing.
func Commands(version string) map[string]Command {
	return map[string]Command{
		"check-config":   CheckConfig,
		"convert-config": ConvertConfig,
		"healthcheck":    Healthcheck,
		"transcribe":     Transcribe,
		"transcript":     Transcript,
		"version":        Version(version),
	}
}

// CheckConfig reads a configuration and prints all that is to say about it, one
// finding a line with file and line. It takes a file or a directory, or else the
// arguments of the gateway, and finds the same file as that.
func CheckConfig(args []string, stdout, stderr io.Writer, env func(string) string) int {
	for _, a := range args {
		if a == "--sample" || a == "-sample" {
			_, _ = stdout.Write(config.Sample())
			return 0
		}
		if isHelp(a) {
			say(stdout, "usage: jigasi check-config [FILE | DIRECTORY | --sample]\n\nReads the configuration and says what is wrong with it. --sample prints a documented one.")
			return 0
		}
	}
	args, ok := withPath(args, stderr)
	if !ok {
		return 2
	}
	c, found, err := config.Load(args, env, cwd())
	if c.Path == "" {
		found = append(found, config.Misspelt(os.Environ(), env)...)
	}
	counts := map[config.Severity]int{}
	for _, f := range found {
		counts[f.Severity]++
		say(stdout, "%v", f)
	}
	what := c.Path
	if what == "" {
		what = "the configuration"
	}
	if err != nil {
		say(stdout, "%s: %s, %s", what, plural(counts[config.Error], "error"), plural(counts[config.Warning], "warning"))
		return 1
	}
	say(stdout, "%s: good, %s", what, plural(counts[config.Warning], "warning"))
	return 0
}

// ConvertConfig prints an old configuration as jigasi.yaml, and what it dropped
// and why on stderr. Without a file it converts what the gateway would read, the
// container's variables for one.
func ConvertConfig(args []string, stdout, stderr io.Writer, env func(string) string) int {
	for _, a := range args {
		if isHelp(a) {
			say(stdout, "usage: jigasi convert-config [OLD] > jigasi.yaml\n\nPrints an old configuration, or the container's variables, as jigasi.yaml, with its passwords.\n"+
				"What was dropped, and why, is said on standard error.\n")
			return 0
		}
	}
	args, ok := withPath(args, stderr)
	if !ok {
		return 2
	}
	yaml, found, err := config.Convert(args, env, cwd())
	for _, f := range found {
		say(stderr, "%v", f)
	}
	_, writeErr := stdout.Write(yaml)
	if err != nil || writeErr != nil {
		return 1
	}
	return 0
}

// withPath makes the one argument that is no name=value the file, or the
// directory, to read.
func withPath(args []string, stderr io.Writer) ([]string, bool) {
	var out []string
	path := ""
	for _, a := range args {
		switch {
		case strings.HasPrefix(a, "-") || strings.Contains(a, "=") && !exists(a):
			out = append(out, a)
		case path != "":
			say(stderr, "two files are named: %s and %s", path, a)
			return nil, false
		default:
			path = a
		}
	}
	if path == "" {
		return out, true
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		abs, err := filepath.Abs(path)
		if err != nil {
			say(stderr, "%v", err)
			return nil, false
		}
		for _, name := range []string{"jigasi.yaml", "sip-communicator.properties"} {
			if exists(filepath.Join(abs, name)) {
				return append(out, "--config="+filepath.Join(abs, name)), true
			}
		}
		say(stderr, "%s has neither jigasi.yaml nor sip-communicator.properties", path)
		return nil, false
	}
	return append(out, "--config="+path), true
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isHelp(a string) bool { return a == "-h" || a == "--help" || a == "-help" }

func cwd() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Version says which build this is; with --short only the number.
func Version(version string) Command {
	return func(args []string, stdout, stderr io.Writer, _ func(string) string) int {
		flags := flag.NewFlagSet("version", flag.ContinueOnError)
		flags.SetOutput(stderr)
		short := flags.Bool("short", false, "only the number")
		if err := flags.Parse(args); err != nil {
			return 2
		}
		v := Number(version)
		if *short {
			say(stdout, "%s", v)
			return 0
		}
		say(stdout, "jigasi %s\n%s, %s/%s\nopus: %s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, codec.OpusBuild())
		return 0
	}
}

// Number is the version that the linker was told, else the commit that the go
// command built, else dev.
func Number(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if revision == "" {
		return "dev"
	}
	return "dev-" + revision + dirty
}

// say writes one line; nobody can be told where that fails.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
