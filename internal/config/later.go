package config

import (
	"reflect"
	"strings"
)

// later are the keys that are read and checked, and have no effect in this version. Whoever
// sets one is told; whoever makes one work takes it out of here.
var later = []string{
	"media.forward",
}

// notYet tells of keys that are set and have no effect yet.
func (l *loader) notYet() {
	def := reflect.ValueOf(*Default())
	for _, key := range later {
		v, usual := reflect.ValueOf(*l.cfg), def
		for part := range strings.SplitSeq(key, ".") {
			v, _ = fieldByKey(v, part)
			usual, _ = fieldByKey(usual, part)
		}
		if !reflect.DeepEqual(v.Interface(), usual.Interface()) {
			l.at(Warning, key, "is known, and has no effect in this version")
		}
	}
}
