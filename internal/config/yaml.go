package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/xlog"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what aliases can make of a small file.
const maxNodes = 50_000

// readYAML reads the strict form: a key that is not in sections.go is an error.
func (l *loader) readYAML(path string, data []byte) {
	l.file = path
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		l.add(Warning, 0, "", "is empty: everything has its default")
		return
	}
	if err == nil && !errors.Is(dec.Decode(&more), io.EOF) {
		l.add(Error, more.Line, "", "has a second document: write all into one")
	}
	if err != nil {
		line, text := yamlError(err)
		l.add(Error, line, "", "is not YAML: %s", text)
		l.unread = true
		return
	}
	r := reader{l: l}
	r.value(doc.Content[0], reflect.ValueOf(l.cfg).Elem(), "")
	l.applyArgs()
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlCures are what mostly stands behind the words of the parser.
var yamlCures = map[string]string{
	"cannot start any token":              "indent by spaces, not by tabs",
	"alphabetic or numeric character":     "put a value that begins with * or & into quotes",
	"mapping values are not allowed":      "put a value with a colon in it into quotes, and indent keys of one section alike",
	"did not find expected key":           "indent keys of one section alike",
	"unknown anchor":                      "put a value that begins with * into quotes",
	"did not find expected ',' or ']'":    "close the list with ]",
	"did not find expected ',' or '}'":    "close the section with }",
	"found unexpected end of stream":      "a quote is not closed",
	"did not find expected '-' indicator": "indent the items of a list alike",
}

func yamlError(err error) (line int, text string) {
	s := err.Error()
	m := yamlLine.FindStringSubmatch(s)
	if m == nil {
		return 0, s
	}
	line, _ = strconv.Atoi(m[1]) // no number is the first line
	text = s[len(m[0]):]
	for said, cure := range yamlCures {
		if strings.Contains(text, said) {
			text += ": " + cure
		}
	}
	return max(line, 1), text
}

// A reader puts nodes into fields.
type reader struct {
	l     *loader
	nodes int
	deep  int
}

func (r *reader) fail(n *yaml.Node, key, format string, args ...any) {
	r.l.add(Error, n.Line, key, format, args...)
}

// value reads n into v; key is v's path, for findings.
func (r *reader) value(n *yaml.Node, v reflect.Value, key string) {
	if r.nodes++; r.nodes > maxNodes || r.deep > 50 {
		if r.nodes-1 <= maxNodes || r.nodes == maxNodes+1 {
			r.fail(n, key, "is nested too deeply, or by too many aliases")
		}
		return
	}
	r.deep++
	defer func() { r.deep-- }()
	if n.Kind == yaml.AliasNode {
		r.value(n.Alias, v, key)
		return
	}
	if key != "" {
		r.l.mark(key, place{file: r.l.file, line: n.Line})
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a key without a value keeps its default
	}
	switch {
	case v.Kind() == reflect.Struct:
		r.mapping(n, v, key)
	case v.Kind() == reflect.Map:
		r.stringMap(n, v, key)
	case v.Kind() == reflect.Slice:
		r.list(n, v, key)
	case n.Kind != yaml.ScalarNode:
		r.fail(n, key, "wants one value, not a list or a section")
	default:
		if err := r.scalar(n, v); err != nil {
			r.fail(n, key, "%v", err)
		}
	}
}

func (r *reader) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, key, "is a section: write its keys below it, indented")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		path := join(key, k.Value)
		if line, twice := seen[k.Value]; twice {
			r.fail(k, path, "stands twice, first in line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		f, ok := fieldByKey(v, k.Value)
		if !ok {
			r.fail(k, path, "unknown key%s", suggest(v.Type(), key, k.Value))
			continue
		}
		r.value(n.Content[i+1], f, path)
	}
}

func (r *reader) stringMap(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, key, "wants pairs, one a line, indented: name: value")
		return
	}
	m := reflect.MakeMap(v.Type())
	if len(n.Content) == 0 {
		m = reflect.Zero(v.Type())
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		m.SetMapIndex(reflect.ValueOf(n.Content[i].Value), reflect.ValueOf(n.Content[i+1].Value))
	}
	v.Set(m)
}

func (r *reader) list(n *yaml.Node, v reflect.Value, key string) {
	items := n.Content
	switch {
	case n.Kind == yaml.ScalarNode && v.Type().Elem().Kind() != reflect.Struct:
		items = []*yaml.Node{n}
	case n.Kind != yaml.SequenceNode:
		r.fail(n, key, "wants a list: one item a line, each after a dash")
		return
	}
	out := reflect.Zero(v.Type())
	for i, item := range items {
		e := newItem(v.Type().Elem())
		r.value(item, e, fmt.Sprintf("%s[%d]", key, i))
		if r.nodes > maxNodes {
			return
		}
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

// newItem is an element of a list with its defaults.
func newItem(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t {
	case reflect.TypeFor[SIPAccount]():
		v.Set(reflect.ValueOf(defaultAccount()))
	case reflect.TypeFor[Brewery]():
		v.Set(reflect.ValueOf(defaultBrewery()))
	case reflect.TypeFor[TURN]():
		v.Set(reflect.ValueOf(defaultTURN()))
	}
	return v
}

func (r *reader) scalar(n *yaml.Node, v reflect.Value) error {
	s := n.Value
	switch v.Interface().(type) {
	case xlog.Secret:
		secret, err := r.l.secret(s)
		v.SetString(secret)
		return err
	case time.Duration:
		d, err := duration(s)
		v.SetInt(int64(d))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("write true or false, not %.40q", s)
		}
		v.SetBool(s == "true")
	case reflect.Int:
		i, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("wants a whole number, not %.40q", s)
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("wants a number, not %.40q", s)
		}
		v.SetFloat(f)
	}
	return nil
}

// duration reads 30s; a bare number has no unit and is refused, but for 0.
func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("wants a time such as 500ms, 30s, 10m or 1h, not %.40q", s)
	}
	return d, nil
}

// secret gives the value behind plain text, file:path or env:NAME. What begins
// like a reference and is none is written after plain:.
func (l *loader) secret(s string) (string, error) {
	if text, ok := strings.CutPrefix(s, "plain:"); ok {
		return text, nil
	}
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		v := l.env(name)
		if v == "" {
			return "", fmt.Errorf("the variable %s is not set", name)
		}
		return l.refer(v), nil
	}
	path, ok := strings.CutPrefix(s, "file:")
	if !ok {
		return s, nil
	}
	data, err := readLimited(l.relative(path))
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	l.checkSecretMode(l.relative(path))
	return l.refer(strings.TrimRight(string(data), "\r\n")), nil
}

// refer remembers that a secret does not stand in the configuration itself.
func (l *loader) refer(s string) string {
	if l.referred == nil {
		l.referred = map[xlog.Secret]bool{}
	}
	l.referred[xlog.Secret(s)] = true
	return s
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
