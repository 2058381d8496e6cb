package config

import (
	"fmt"
	"reflect"
	"strings"
)

// later are the keys that are read and checked, and have no effect in this version. Whoever
// sets one is told; whoever makes one work takes it out of here.
var later = []string{
	"sip.accounts[].dtmf", "sip.accounts[].answer_empty_info",
	"media.forward", "media.opus.fec",
}

// notYet tells of keys that are set and have no effect yet.
func (l *loader) notYet() {
	def := reflect.ValueOf(*Default())
	for _, key := range later {
		if rest, ok := strings.CutPrefix(key, "sip.accounts[]."); ok {
			usual, _ := fieldByKey(reflect.ValueOf(defaultAccount()), rest)
			for i, a := range l.cfg.SIP.Accounts {
				v, _ := fieldByKey(reflect.ValueOf(a), rest)
				l.warnLater(fmt.Sprintf("sip.accounts[%d].%s", i, rest), v, usual)
			}
			continue
		}
		v, usual := reflect.ValueOf(*l.cfg), def
		for part := range strings.SplitSeq(key, ".") {
			v, _ = fieldByKey(v, part)
			usual, _ = fieldByKey(usual, part)
		}
		l.warnLater(key, v, usual)
	}
}

func (l *loader) warnLater(key string, v, usual reflect.Value) {
	if !v.IsZero() && !reflect.DeepEqual(v.Interface(), usual.Interface()) || v.Kind() == reflect.Bool && v.Bool() != usual.Bool() {
		l.at(Warning, key, "is known, and has no effect in this version")
	}
}
