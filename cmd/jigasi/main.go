// Command jigasi lets telephones join Jitsi Meet meetings.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"jigasi/internal/app"
	"jigasi/internal/cli"
)

// version is set by the linker.
var version string

const usage = `usage: jigasi [command]

  run              the gateway (the default; takes Jigasi's old arguments as well)
  demo             a whole meeting in one process, with a phone in it
  check-config     say what is wrong or unwise in a configuration
  convert-config   print an old configuration as jigasi.yaml
  healthcheck      ask the running gateway whether it is well
  transcribe       turn a WAV file into text, as a meeting would
  transcript       print a transcript's journal, also of a meeting that was cut off, or erase transcripts
  version          say which build this is

Without a command, or with Jigasi's arguments (name=value, with or without dashes), it is the gateway:

  --config=FILE                     jigasi.yaml or sip-communicator.properties
  --configdir=DIR --configdirname=NAME   where to look for them otherwise
  --min-port=N --max-port=N         UDP ports of sound
  --domain=NAME --host=NAME         domain of the meetings and XMPP server, where the file names none

jigasi COMMAND --help says more of a command.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	commands := cli.Commands(version)
	commands["demo"] = runDemo
	commands["run"] = func(args []string, _, stderr io.Writer, env func(string) string) int {
		return app.Run(args, cli.Number(version), stderr, env)
	}
	if len(args) > 0 && commands[args[0]] != nil && args[0] != "run" {
		return commands[args[0]](args[1:], stdout, stderr, os.Getenv)
	}
	if len(args) > 0 && args[0] == "run" {
		args = args[1:]
	}
	switch {
	case slices.ContainsFunc(args, func(a string) bool { return a == "help" || a == "-h" || a == "--help" }):
		fmt.Fprint(stdout, usage)
		return 0
	case len(args) == 1 && (args[0] == "--version" || args[0] == "-v"):
		return commands["version"](nil, stdout, stderr, os.Getenv)
	case len(args) > 0 && !strings.HasPrefix(args[0], "-") && !strings.Contains(args[0], "="):
		fmt.Fprintf(stderr, "jigasi: %q is no command\n\n%s", args[0], usage)
		return 2
	}
	return commands["run"](args, stdout, stderr, os.Getenv)
}
