package phone

import (
	"slices"
	"testing"
)

func TestJSONByINFO(t *testing.T) {
	l := line(t, Taking{}, Options{})
	a := dial(t, Options{Server: l.Addr(), User: "x"})
	within(t, "the call is answered", a.Up())
	b := <-l.Calls()
	within(t, "the call is up", b.Up())
	a.Tell(`{"t":4}`)
	eventually(t, "the one called has it", func() bool { return slices.Equal(b.Told(), []string{`{"t":4}`}) })
	b.Tell(`{"t":3}`)
	b.Tell(`{"t":11}`)
	eventually(t, "the caller has both", func() bool { return slices.Equal(a.Told(), []string{`{"t":3}`, `{"t":11}`}) })
	hang(t, a)
	a.Tell(`{}`) // of no use, and does not block
}

func hang(t *testing.T, p *Phone) {
	t.Helper()
	if err := p.Hangup(soon(t)); err != nil {
		t.Error(err)
	}
}
