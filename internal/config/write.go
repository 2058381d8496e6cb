package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/xlog"

	"go.yaml.in/yaml/v3"
)

const sampleHead = `# The configuration of jigasi: every key with its default and what it is for.
# A key that is left out has its default; a key that is not here is an error.
# Check a file with: jigasi check-config FILE
#
# Fifteen lines are enough for calls in and out:
#
#   meeting:
#     domain: meet.example.com
#   xmpp:
#     server: 127.0.0.1
#   sip:
#     accounts:
#       - uri: bot@sip.example.org
#         password: file:/etc/jigasi/sip-password
#   breweries:
#     - room: JigasiBrewery@internal.auth.meet.example.com
#       xmpp:
#         user: jigasi@auth.meet.example.com
#         password: file:/etc/jigasi/xmpp-password
#         server: 127.0.0.1

`

// Sample is the reference: a jigasi.yaml with every key, its default and a line
// why. Items of lists are shown as comments.
func Sample() []byte {
	w := writer{all: true}
	w.b.WriteString(sampleHead)
	w.section(reflect.ValueOf(*Default()), reflect.ValueOf(*Default()), 0)
	return []byte(w.b.String())
}

// YAML is the configuration as a jigasi.yaml that holds what differs from the
// defaults, secrets included.
func (c *Config) YAML() []byte {
	w := writer{}
	w.section(reflect.ValueOf(*c), reflect.ValueOf(*Default()), 0)
	return []byte(w.b.String())
}

// A writer writes sections. With all it is the sample: defaults too, with
// comments and examples of list items.
type writer struct {
	b   strings.Builder
	all bool
}

const docColumn = 34

// section writes the keys of a struct.
func (w *writer) section(v, def reflect.Value, indent int) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("yaml") == "-" || !w.all && reflect.DeepEqual(v.Field(i).Interface(), def.Field(i).Interface()) {
			continue
		}
		w.field(f, v.Field(i), def.Field(i), indent)
		if indent == 0 {
			w.b.WriteByte('\n')
		}
	}
}

func (w *writer) field(f reflect.StructField, v, def reflect.Value, indent int) {
	name := f.Tag.Get("yaml")
	doc := f.Tag.Get("doc")
	switch {
	case v.Kind() == reflect.Struct:
		if indent == 0 && w.all {
			w.line(indent, "# "+doc, "")
			doc = ""
		}
		w.line(indent, name+":", doc)
		w.section(v, def, indent+1)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		w.structs(name, doc, v, indent)
	case v.Kind() == reflect.Map && v.Len() > 0:
		w.line(indent, name+":", doc)
		for _, k := range sortedKeys(v) {
			w.line(indent+1, quoted(k)+": "+quoted(v.MapIndex(reflect.ValueOf(k)).String()), "")
		}
	default:
		w.line(indent, name+": "+text(v), doc)
	}
}

// structs writes a list of structs; the sample shows one as an example.
func (w *writer) structs(name, doc string, v reflect.Value, indent int) {
	if indent == 0 && w.all {
		w.line(indent, "# "+doc, "")
		doc = ""
	}
	w.line(indent, name+":", doc)
	for i := range v.Len() {
		inner := writer{all: w.all}
		inner.item(v.Index(i))
		w.block(inner.b.String(), strings.Repeat("  ", indent+1))
	}
	if v.Len() == 0 && w.all {
		inner := writer{all: true}
		inner.item(newItem(v.Type().Elem()))
		w.block(inner.b.String(), strings.Repeat("  ", indent+1)+"# ")
	}
}

// item writes one element: its first key stands after the dash.
func (w *writer) item(v reflect.Value) {
	inner := writer{all: w.all}
	inner.section(v, newItem(v.Type()), 1)
	if text := inner.b.String(); text != "" {
		w.b.WriteString("- " + text[2:])
		return
	}
	w.line(0, "- {}", "")
}

// block writes lines after a prefix.
func (w *writer) block(text, prefix string) {
	for line := range strings.Lines(text) {
		w.b.WriteString(prefix + line)
	}
}

// line writes one line with its comment, if comments are wanted.
func (w *writer) line(indent int, s, doc string) {
	s = strings.Repeat("  ", indent) + s
	if w.all && doc != "" {
		s = fmt.Sprintf("%-*s # %s", docColumn, s, doc)
	}
	w.b.WriteString(s + "\n")
}

func sortedKeys(v reflect.Value) []string {
	var out []string
	for _, k := range v.MapKeys() {
		out = append(out, k.String())
	}
	slices.Sort(out)
	return out
}

// text is a scalar, or a list of scalars on one line.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case xlog.Secret:
		return quoted(plainSecret(x.Reveal()))
	case time.Duration:
		return span(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case string:
		return quoted(x)
	case []string:
		var items []string
		for _, s := range x {
			items = append(items, quoted(s))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]string:
		return "{}"
	}
	return fmt.Sprint(v.Interface())
}

// plainSecret marks a secret that looks like a reference to one.
func plainSecret(s string) string {
	for _, p := range []string{"env:", "file:", "plain:"} {
		if strings.HasPrefix(s, p) {
			return "plain:" + s
		}
	}
	return s
}

// span writes 10m0s as 10m.
func span(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quoted writes a string plainly where that reads back as the same string, also
// inside a list.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, ",[]{}\n\t") {
		return strconv.Quote(s)
	}
	for _, form := range []string{"[%s, x]", "{x: %s}", "- %s"} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(fmt.Sprintf(form, s)+"\n"), &n); err != nil || len(n.Content) != 1 {
			return strconv.Quote(s)
		}
		list := n.Content[0].Content
		c := list[0]
		if form[0] == '{' && len(list) == 2 {
			c = list[1]
		}
		if c.Kind != yaml.ScalarNode || c.Value != s || c.Tag == "!!null" || len(list) > 2 {
			return strconv.Quote(s)
		}
	}
	return s
}
