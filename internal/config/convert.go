package config

// Convert reads an old configuration, as Load does, and gives it as jigasi.yaml,
// passwords included, together with what was dropped and why. The yaml is there
// even when err is ErrInvalid.
func Convert(args []string, env func(string) string, cwd string) (yaml []byte, found []Finding, err error) {
	l := &loader{env: env, cwd: cwd, cfg: Default()}
	l.readArgs(args)
	l.readFile()
	err = l.result()
	return l.cfg.YAML(), l.found, err
}
