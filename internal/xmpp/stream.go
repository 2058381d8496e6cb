package xmpp

import (
	"context"

	"jigasi/internal/stanza"
)

// A stream carries elements over one transport. One goroutine reads, one writes;
// drop may be called by anybody.
type stream interface {
	// open starts the stream, or restarts it after SASL.
	open(domain string) error
	// read gives the next element and its size on the wire; io.EOF at the stream's end.
	// It may be called again after a *stanza.LimitError with Skipped set.
	read() (*stanza.Elem, int, error)
	// write sends one element, encoded by appendTo, within a time of its own.
	write(b []byte) error
	// appendTo encodes e as it stands in this stream.
	appendTo(b []byte, e *stanza.Elem) []byte
	// end tells the server that nothing follows.
	end(ctx context.Context) error
	// drop closes everything at once. Reads and writes return.
	drop()
	// encrypted reports whether TLS protects it.
	encrypted() bool
}
