package focus

import (
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/stanza"
)

// Swap tells one member that the sources of two others have changed hands. It returns when that one has heard it.
func (f *Focus) Swap(name, to, a, b string) {
	heard := make(chan struct{})
	f.sync(func() {
		r := f.roomOf(name)
		if r == nil || r.members[to] == nil || r.members[a] == nil || r.members[b] == nil {
			close(heard)
			return
		}
		first, second := r.members[a], r.members[b]
		gone := append(append([]jingle.Source(nil), first.sources...), second.sources...)
		first.sources, second.sources = owned(second.sources, a), owned(first.sources, b)
		f.sources(r, r.members[to], jingle.SourceRemove, gone)
		f.sources(r, r.members[to], jingle.SourceAdd, append(append([]jingle.Source(nil), first.sources...), second.sources...))
		ping := stanza.New("http://jabber.org/protocol/disco#info", "query") // answered after what was said before
		f.request(r.jid.With(to).String(), ping, "get", func(*stanza.Elem) { close(heard) })
	})
	select {
	case <-heard:
	case <-time.After(10 * time.Second):
	case <-f.quit:
	}
}

// owned are sources in other hands.
func owned(list []jingle.Source, nick string) []jingle.Source {
	out := append([]jingle.Source(nil), list...)
	for i := range out {
		out[i].Owner, out[i].Name = nick, nick+"-a0"
	}
	return out
}
