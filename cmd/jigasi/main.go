// Command jigasi lets telephones join Jitsi Meet meetings.
package main

import (
	"fmt"
	"io"
	"os"

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
  version          say which build this is
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
	if len(args) == 0 || args[0] != "" && args[0][0] == '-' && args[0] != "-h" && args[0] != "--help" {
		return commands["run"](args, stdout, stderr, os.Getenv)
	}
	if c, ok := commands[args[0]]; ok {
		return c(args[1:], stdout, stderr, os.Getenv)
	}
	fmt.Fprint(stderr, usage)
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return 0
	}
	return 2
}
