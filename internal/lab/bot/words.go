package bot

import (
	"fmt"
	"maps"
	"slices"

	"jigasi/internal/stanza"
)

// presenceOf is our presence, whole.
func (b *Bot) presenceOf() *stanza.Elem {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := stanza.New("jabber:client", "presence", "to", b.opt.Room.With(b.opt.Nick).String()).Add(
		stanza.New("http://jabber.org/protocol/caps", "c", "hash", "sha-1", "node", "urn:bot", "ver", "bot"+fmt.Sprint(b.opt.XML)),
		stanza.New("http://jabber.org/protocol/nick", "nick").WithText(b.opt.Name),
		stanza.New("", "SourceInfo").WithText(fmt.Sprintf(`{"%s-a0":{"muted":false}}`, b.opt.Nick)))
	for _, name := range slices.Sorted(maps.Keys(b.shows)) {
		p.Add(stanza.New("", name).WithText(b.shows[name]))
	}
	return p
}

// Show shows an element of text in the bot's presence, as clients do with the properties of a participant.
func (b *Bot) Show(name, text string) {
	b.mu.Lock()
	b.shows[name] = text
	b.mu.Unlock()
	b.wire.Send(b.presenceOf())
}

// maxMessages is how many messages are remembered.
const maxMessages = 10000

func (b *Bot) message(e *stanza.Elem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) < maxMessages {
		b.said = append(b.said, e)
	}
}

// Messages are those of the room so far, in their order.
func (b *Bot) Messages() []*stanza.Elem {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

// noteStatus notes how a transcriber stands. It is called with mu held.
func (b *Bot) noteStatus(nick string, e *stanza.Elem) {
	s := e.Kid("", "transcription-status").Get("status")
	if e.Get("type") == "unavailable" {
		s = "gone"
	}
	if all := b.status[nick]; s != "" && (len(all) == 0 || all[len(all)-1] != s) {
		b.status[nick] = append(all, s)
	}
}

// Status is what an occupant has shown of transcription, one after the other, and "gone" when it left.
func (b *Bot) Status(nick string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.status[nick])
}

// Speak says what was recorded, at 48 kHz, once, in place of the tone.
func (b *Bot) Speak(pcm []int16) { b.text.Store(&pcm) }

// words are the next of what is to be spoken.
func (b *Bot) words(pcm []int16) {
	text := b.text.Load()
	if text == nil {
		return
	}
	clear(pcm)
	rest := (*text)[copy(pcm, *text):]
	if len(rest) == 0 {
		b.text.CompareAndSwap(text, nil)
		return
	}
	b.text.CompareAndSwap(text, &rest)
}
