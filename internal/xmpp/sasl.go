package xmpp

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"jigasi/internal/stanza"

	"mellium.im/sasl"
)

// maxIterations bounds the work that a server may ask of us (RFC 5802, 5.1).
const maxIterations = 1_000_000

// login runs SASL (RFC 6120, 6) by the best mechanism that both sides have.
func (d *dialer) login(offered *stanza.Elem) error {
	if !d.s.encrypted() && !d.o.AllowPlain {
		return ErrNoTLS
	}
	var names []string
	for _, m := range offered.All(nsSASL, "mechanism") {
		names = append(names, m.Text)
	}
	mech, err := choose(names, d.o.Anonymous)
	if err != nil {
		return err
	}
	client := sasl.NewClient(mech, sasl.RemoteMechanisms(names...),
		sasl.Credentials(func() (user, password, identity []byte) {
			return []byte(d.o.User), []byte(d.o.Password.Reveal()), nil
		}))
	more, first, err := client.Step(nil)
	if err != nil {
		return fmt.Errorf("SASL %s: %w", mech.Name, err)
	}
	auth := stanza.New(nsSASL, "auth", "mechanism", mech.Name).WithText(encode(first))
	if err := d.send(auth); err != nil {
		return err
	}
	return d.converse(client, mech.Name, more)
}

// converse answers challenges until success. A server that knows no password
// cannot skip its proof in SCRAM: success before it is a failure.
func (d *dialer) converse(client *sasl.Negotiator, mech string, more bool) error {
	for {
		e, err := d.read()
		if err != nil {
			return err
		}
		done := e.Is(nsSASL, "success")
		switch {
		case e.Is(nsSASL, "failure"):
			return authError(e)
		case !done && !e.Is(nsSASL, "challenge"):
			return fmt.Errorf("%w: no answer to SASL", ErrProtocol)
		case done && !more:
			return nil
		case !more:
			return fmt.Errorf("%w: SASL %s has no further challenge", ErrProtocol, mech)
		}
		data, err := decode(e.Text)
		if err != nil {
			return err
		}
		var answer []byte
		if more, answer, err = client.Step(data); err != nil {
			return fmt.Errorf("SASL %s: %w", mech, err)
		}
		if done && more {
			return fmt.Errorf("%w: SASL %s ends without the server's proof", ErrProtocol, mech)
		}
		if done {
			return nil
		}
		if err := d.send(stanza.New(nsSASL, "response").WithText(encode(answer))); err != nil {
			return err
		}
	}
}

// choose takes the strongest of what the server offers. Channel binding is not spoken.
func choose(offered []string, anonymous bool) (sasl.Mechanism, error) {
	known := []sasl.Mechanism{sasl.ScramSha256, sasl.ScramSha1, sasl.Plain}
	if anonymous {
		known = []sasl.Mechanism{sasl.Anonymous}
	}
	for _, m := range known {
		if slices.Contains(offered, m.Name) {
			return m, nil
		}
	}
	return sasl.Mechanism{}, fmt.Errorf("no common SASL mechanism: the server offers %q", offered)
}

func encode(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}

// decode reads a challenge of SCRAM and refuses what the library cannot bear: a
// field of less than three characters, which it would read for ever, and a count of
// iterations that would take minutes.
func decode(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%w: SASL challenge is not base64", ErrProtocol)
	}
	for field := range strings.SplitSeq(string(data), ",") {
		name, value, ok := strings.Cut(field, "=")
		if !ok || len(name) != 1 || value == "" {
			return nil, fmt.Errorf("%w: SASL challenge is not SCRAM's", ErrProtocol)
		}
		if n, err := strconv.Atoi(value); name == "i" && (err != nil || n < 1 || n > maxIterations) {
			return nil, fmt.Errorf("%w: SCRAM iteration count", ErrProtocol)
		}
	}
	return data, nil
}

func authError(e *stanza.Elem) error {
	out := &AuthError{Condition: "not-authorized"}
	for _, k := range e.Kids {
		if k.Name.Local == "text" {
			out.Text = k.Text
		} else {
			out.Condition = k.Name.Local
		}
	}
	return out
}
