package config

import (
	"path/filepath"
	"reflect"
	"strings"
)

// relative makes a path in the configuration one from its own directory.
func (l *loader) relative(path string) string {
	if filepath.IsAbs(path) || l.cfg.Path == "" {
		return l.abs(path)
	}
	return filepath.Join(filepath.Dir(l.cfg.Path), path)
}

// fieldByKey is the field with that yaml name.
func fieldByKey(v reflect.Value, name string) (reflect.Value, bool) {
	if i := fieldIndex(v.Type(), name); i >= 0 {
		return v.Field(i), true
	}
	return reflect.Value{}, false
}

func fieldIndex(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag == name && tag != "-" {
			return i
		}
	}
	return -1
}

// suggest is what to say after "unknown key": the nearest key of the section, or
// where else such a key stands.
func suggest(t reflect.Type, section, name string) string {
	name = plain(name)
	best, distance := "", 1+max(1, len(name)/3)
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		if tag == "-" {
			continue
		}
		if d := edits(name, plain(tag)); d < distance {
			best, distance = tag, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	if elsewhere := find(reflect.TypeFor[Config](), "", name); elsewhere != "" {
		return "; did you mean " + elsewhere + "?"
	}
	if section == "" {
		section = "the file"
	}
	return "; " + section + " has " + strings.Join(keys(t), ", ")
}

// plain lets camelCase, dashes and capitals be no difference.
func plain(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

func keys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "-" {
			out = append(out, tag)
		}
	}
	return out
}

// find gives the path of the first key of that plain name, or "".
func find(t reflect.Type, key, name string) string {
	var deeper []string
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		if tag == "-" {
			continue
		}
		path := join(key, tag)
		if plain(tag) == name {
			return path
		}
		switch ft := t.Field(i).Type; {
		case ft.Kind() == reflect.Struct:
			deeper = append(deeper, find(ft, path, name))
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			deeper = append(deeper, find(ft.Elem(), path+"[]", name))
		}
	}
	for _, d := range deeper {
		if d != "" {
			return d
		}
	}
	return ""
}

// edits counts insertions, deletions, replacements and swaps of neighbours
// between a and b; long names are not compared.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 20
	}
	var before, last, row [65]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
